"""`bench regress`: compares new results with a committed baseline, value by value, within tolerances.

The baseline is JSON that people can read and edit. For each cell (method, retriever, K, options, seeds) it holds the
settings, n, how many samples may fail, and for each category and column the value and its tolerance.

The tolerance is first set to the width of the value's 95 % interval, 3.9 standard errors. Another machine may sample
other texts, and the difference of two such samples has up to 1.4 times the error of one. The check therefore finds what
is broken, not what is slightly worse. A value without an interval (one user) has the tolerance null: it must be equal
in the digits kept. Runs with other settings or another n cannot be compared and are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import UserError, mistake
from bench.record import files, runs
from results.tables import finished_runs, run_settings
from results.tables.assemble import leaderboards
from results.tables.finished_runs import FinishedRun
from results.tables.leaderboard import Leaderboard, Row

FORMAT = 2
MOVED = 3  # exit code
KEPT = 2  # digits of a value in the file, beyond those that tables show
NOISE = 1e-9  # rounding error of the difference of two such values


class Expected(BaseModel):
    """One value of a baseline. NaN is refused: with such a tolerance every value would pass."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    value: float
    tolerance: float | None = Field(ge=0)


class Expectations(BaseModel):
    """One cell of a baseline. `values`: category -> column key -> value."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    settings: dict[str, str | int | float | bool | None] = {}  # results.tables.run_settings
    n: int = Field(ge=0)
    failed: int = Field(ge=0)
    values: dict[str, dict[str, Expected]]


class Baseline(BaseModel):
    """The whole file. `about`: the notes of the tables, for readers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1, 2]  # 1 has not all settings
    about: list[list[str]] = []
    cells: dict[str, Expectations] = Field(min_length=1)


@dataclass(frozen=True)
class Move:
    """A value that moved beyond its tolerance. `value` None: the run no longer has it."""

    cell: str
    what: str
    was: float
    value: float | None
    tolerance: float | None


@dataclass(frozen=True)
class Verdict:
    compared: int
    moved: tuple[Move, ...]
    new: tuple[str, ...]  # cells that the baseline lacks


def write(path: Path, found: Sequence[FinishedRun]) -> int:
    """Writes these runs as the baseline. Returns the number of its values, including n and failed of each cell."""
    boards = leaderboards(found)
    cells = {name: _cell(*_only(name, rows)) for name, rows in _rows(found, boards).items()}
    made = {
        "format": FORMAT,
        "about": [list(board.notes) for board in boards],
        "cells": cells,
    }
    files.write(path, runs.dump(made, indent=1) + "\n")
    return sum(2 + sum(map(len, cell["values"].values())) for cell in cells.values())


def _rows(found: Sequence[FinishedRun], boards: Sequence[Leaderboard]) -> dict[str, list[tuple[Leaderboard, Row]]]:
    """Name of a cell -> its rows, each from another table. Of tables with the same settings and n the newest counts."""
    groups = finished_runs.comparable(found)
    tables = sorted(
        zip(groups, boards, strict=True), key=lambda one: max(str(run.summary["finished"]) for run in one[0])
    )
    rows: dict[str, dict[str, tuple[Leaderboard, Row]]] = {}
    for group, board in tables:
        for name, row in _named(group[0].summary["data"]["name"], board):
            rows.setdefault(name, {})[f"{_settings(board, row)} {row.n}"] = board, row
    return {name: list(same.values()) for name, same in rows.items()}


def _only(name: str, rows: Sequence[tuple[Leaderboard, Row]]) -> tuple[Leaderboard, Row]:
    if len(rows) > 1:
        distinctions = "; ".join(board.distinction or f"n = {row.n}" for board, row in rows)
        raise UserError(f"'{name}' was run {len(rows)} times ({distinctions}); name the run folders to compare")
    return rows[0]


def _named(name: str, board: Leaderboard) -> Iterator[tuple[str, Row]]:
    """The rows of a table with their names: data, model, method, retriever, K, options and seeds."""
    model = board.model.rpartition("/")[2]
    for row in board.rows:
        k = f"K={row.k}" if row.retriever else ""
        parts = [name, model, row.method, row.retriever, k, row.variant, row.changes]
        seeds = f"seed {' '.join(map(str, row.seeds))}"
        yield " · ".join(filter(None, [*parts, seeds])), row


def _settings(board: Leaderboard, row: Row) -> dict[str, Any]:
    """Those of the table and of the row. Weights of encoders are no settings: two machines may fetch other files."""
    return board.settings | {key: value for key, value in row.settings.items() if not key.endswith(".weights")}


def _cell(board: Leaderboard, row: Row) -> dict[str, Any]:
    digits = {column.key: column.digits for column in board.columns}
    values: dict[str, dict[str, Any]] = {}
    for (category, key), value in row.values.items():
        if key in digits:
            ends = row.intervals.get((category, key))
            tolerance = round(ends[1] - ends[0], digits[key]) if ends else None
            kept = round(value, digits[key] + KEPT)
            values.setdefault(category, {})[key] = {"value": kept, "tolerance": tolerance}
    return {"settings": _settings(board, row), "n": row.n, "failed": row.failed, "values": values}


def compare(path: Path, found: Sequence[FinishedRun]) -> Verdict:
    """Raises UserError if the baseline cannot be read, or was made from runs with other settings."""
    kept = _read(path)
    baseline, complete = kept.cells, kept.format == FORMAT
    current = _rows(found, leaderboards(found, intervals=False))
    moved: list[Move] = []
    compared = 0
    for name, cell in baseline.items():
        row = _matching(path, name, cell, current.get(name, []), complete=complete and bool(cell.settings))
        for what, was, tolerance, value in _values(cell, row):
            compared += 1
            if value is None or abs(value - was) > (tolerance or 0) + NOISE:
                moved.append(Move(name, what, was, value, tolerance))
    return Verdict(compared, tuple(moved), tuple(name for name in current if name not in baseline))


def _matching(
    path: Path, name: str, cell: Expectations, rows: Sequence[tuple[Leaderboard, Row]], *, complete: bool
) -> tuple[Leaderboard, Row] | None:
    """The row with the cell's settings and n; None if the cell was not run. Raises UserError if all rows differ."""
    differing: list[list[str]] = [
        [
            *run_settings.differences(_settings(board, row), cell.settings, complete=complete),
            *([f"n = {row.n}, not {cell.n}"] if row.n != cell.n else []),
        ]
        for board, row in rows
    ]
    alike = [one for one, differences in zip(rows, differing, strict=True) if not differences]
    if rows and not alike:
        nearest = min(differing, key=len)
        raise UserError(
            f"{path} is no baseline of these runs: {name}: {'; '.join(nearest)}; run it with the baseline's settings"
        )
    return _only(name, alike) if alike else None


def _values(
    cell: Expectations, found: tuple[Leaderboard, Row] | None
) -> Iterator[tuple[str, float, float | None, float | None]]:
    """(what, value of the baseline, tolerance, new value). Fewer failures are no regression."""
    board, row = found or (None, None)
    yield "n", cell.n, 0, row.n if row else None
    yield "failed", cell.failed, 0, max(row.failed, cell.failed) if row else None
    digits = {column.key: column.digits + KEPT for column in board.columns} if board else {}
    for category, values in cell.values.items():
        for key, one in values.items():
            now = row.values.get((category, key)) if row else None
            kept = round(now, digits[key]) if now is not None and key in digits else now
            yield f"{category} {key}", one.value, one.tolerance, kept


def _read(path: Path) -> Baseline:
    files.check_regular(path, "`bench regress FILE --write` makes one of finished runs")
    try:
        return Baseline.model_validate(json.loads(path.read_text("utf-8"), object_pairs_hook=files.once))
    except OSError as error:
        reason = f"cannot read the baseline {path}: {error.strerror}"
        raise UserError(f"{reason}; `bench regress {path} --write` makes one of finished runs") from error
    except (ValueError, RecursionError) as error:
        what = mistake(error) if isinstance(error, ValidationError) else error
        raise UserError(f"{path} is no baseline ({what}); `bench regress {path} --write` makes one") from error
