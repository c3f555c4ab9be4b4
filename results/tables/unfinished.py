"""Runs that are not finished: no table has a row of them, and a note under it names them."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import UserError
from bench.record import runs
from bench.record.runs import RunFolder
from bench.score.written import read_config

MOST = 5  # that are named
NOTE = "Not finished, and in no row: {runs}; its command again goes on (`bench show RUN --provenance` has it)."


def notes(fingerprints: Sequence[str], unfinished: Sequence[RunFolder]) -> list[str]:
    """For each table, given the fingerprint of its data, the note of the runs on that data; "" for none.

    A run on other data, or with a damaged configuration, is named under the last table.
    """
    by_table: list[list[RunFolder]] = [[] for _ in fingerprints]
    for folder in unfinished if fingerprints else ():
        own = _fingerprint(folder)
        for place in [n for n, one in enumerate(fingerprints) if one == own] or [len(fingerprints) - 1]:
            by_table[place].append(folder)
    return [_note(folders) if folders else "" for folders in by_table]


def _fingerprint(folder: RunFolder) -> str:
    try:
        return read_config(folder).data_fingerprint
    except UserError:
        return ""


def _note(folders: Sequence[RunFolder]) -> str:
    named = [f"{one.path.name} ({_written(one)} samples written)" for one in folders[:MOST]]
    more = [f"and {len(folders) - MOST} more"] if len(folders) > MOST else []
    return NOTE.format(runs=", ".join([*named, *more]))


def _written(folder: RunFolder) -> int:
    file = folder.path / runs.SAMPLES
    return file.read_bytes().count(b"\n") if file.is_file() else 0
