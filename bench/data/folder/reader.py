"""Reads a dataset folder in either format: JSON lines or Parquet. This file alone knows both."""

from __future__ import annotations

from pathlib import Path

from bench.data.folder import jsonl, manifest
from bench.data.folder.rows import Stored


def read(folder: Path) -> Stored:
    """All rows of a dataset folder. Raises UserError naming file, line and what was found there."""
    found = manifest.read_manifest(folder)
    if found["format"] == manifest.JSON_LINES:
        return jsonl.read(folder, found)
    from bench.data.folder import parquet

    return parquet.read(folder, found)
