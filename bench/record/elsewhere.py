"""Where other runs are: said where a folder holds none, or not those that somebody looks for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bench.record import runs

DEPTH = 3  # folders below the working directory
MOST_LOOKED_AT = 2000  # folders: a home directory must not cost minutes
MOST_NAMED = 5


def said(out: Path) -> str:
    """`runs/demo (12), results (3)`: output folders near the working directory other than `out`; "" for none."""
    found = dict(_others(out))
    named = [f"{path} ({count})" for path, count in list(found.items())[:MOST_NAMED]]
    more = [f"and {len(found) - MOST_NAMED} more folders"] if len(found) > MOST_NAMED else []
    return ", ".join([*named, *more])


def _others(out: Path) -> Iterator[tuple[Path, int]]:
    """Folders that hold run folders, and how many, nearest first."""
    here, looked_at, level = out.resolve(), 0, [Path()]
    for _ in range(DEPTH + 1):
        below: list[Path] = []
        for folder in level:
            looked_at += 1
            inside = _folders(folder) if looked_at <= MOST_LOOKED_AT else []
            mine = [path for path in inside if (path / runs.CONFIG).is_file() and (path / runs.PROVENANCE).is_file()]
            if mine and folder.resolve() != here:
                yield folder, len(mine)
            below += [path for path in inside if path not in mine]
        level = below


def _folders(folder: Path) -> list[Path]:
    """The folders inside, without hidden ones and links; none where they may not be read."""
    try:
        with os.scandir(folder) as entries:
            inside = [one.name for one in entries if one.is_dir(follow_symlinks=False) and not one.name.startswith(".")]
    except OSError:
        return []
    return [folder / name for name in sorted(inside)]
