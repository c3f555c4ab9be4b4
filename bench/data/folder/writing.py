"""Writes a dataset folder: first into a scratch folder inside it, then moved into place, so the old dataset lasts."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.data.folder.manifest import MANIFEST
from bench.errors import UserError


def check_writable(folder: Path) -> None:
    """Raises UserError where a folder cannot be made or written, before hours are spent on its content."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise UserError(f"{folder} cannot be written ({nearest} is no writable folder); choose another folder")


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """A scratch folder inside `folder`. Makes `folder`, and removes it again where nothing was written.

    Raises UserError where it cannot be written.
    """
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as scratch:
            yield Path(scratch)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}; choose another folder") from error
    finally:
        if new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def move_into_place(
    folder: Path, scratch: Path, manifest: Mapping[str, Any], moves: Iterable[tuple[Path, Path]]
) -> None:
    """Moves the written tables into place, dataset.json last.

    Each file appears whole or not at all. A folder whose writing was cut off still holds the old dataset, or its
    fingerprint is wrong and it is refused.
    """
    (scratch / MANIFEST).write_text(f"{json.dumps(manifest, ensure_ascii=False, indent=2)}\n", "utf-8")
    for source, target in moves:
        os.replace(source, target)
    os.replace(scratch / MANIFEST, folder / MANIFEST)
