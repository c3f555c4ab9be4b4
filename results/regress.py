"""`bench regress`: fresh results against a committed baseline, value by value, within stated tolerances.

The baseline is JSON that can be read and edited: for each cell (method, retriever, K, options, seeds) n, how many
samples may fail, and for each category and column the value and its tolerance. When it is written, the tolerance is
the width of the value's 95 % interval, 3.9 standard errors: another machine may draw other texts, and the difference of
two such draws has up to 1.4 times the error of one. It catches what is broken, not what is a little worse.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench import files, runs
from bench.errors import UserError, mistake
from results.board import Leaderboard, Row
from results.finished import Finished
from results.leaderboard import leaderboards

FORMAT = 1
MOVED = 3  # exit code


class Expected(BaseModel):
    """One value of a baseline: as strict as the rest, for a tolerance that is no number would let everything pass."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    value: float
    tolerance: float = Field(ge=0)


class Expectations(BaseModel):
    """One cell of a baseline. `values`: category -> column -> value."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    n: int = Field(ge=0)
    failed: int = Field(ge=0)
    values: dict[str, dict[str, Expected]]


class Baseline(BaseModel):
    """The file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1]
    about: list[list[str]] = []
    cells: dict[str, Expectations] = Field(min_length=1)


@dataclass(frozen=True)
class Move:
    """Something that is not as it was. `value` None: it is gone."""

    cell: str
    what: str
    was: float
    value: float | None
    tolerance: float


@dataclass(frozen=True)
class Verdict:
    compared: int
    moved: tuple[Move, ...]
    new: tuple[str, ...]  # cells that the baseline lacks


def write(path: Path, found: Sequence[Finished]) -> int:
    """Makes these runs the baseline; the number of its values."""
    boards = leaderboards(found)
    cells = {name: _cell(board, row) for board in boards for name, row in _named(board)}
    made = {
        "format": FORMAT,
        "about": [list(board.notes) for board in boards],
        "cells": cells,
    }
    files.write(path, runs.dump(made, indent=1) + "\n")
    return sum(len(values) for cell in cells.values() for values in cell["values"].values())


def _named(board: Leaderboard) -> Iterator[tuple[str, Row]]:
    """The cells of a table by all that tells them apart."""
    name, model = board.title.split(" · ")[0], board.model.rpartition("/")[2]
    for row in board.rows:
        parts = [name, model, row.method, row.retriever, f"K={row.k}" if row.retriever else "", row.variant]
        seeds = f"seed {' '.join(map(str, row.seeds))}"
        yield " · ".join(filter(None, [*parts, seeds])), row


def _cell(board: Leaderboard, row: Row) -> dict[str, Any]:
    digits = {column.key: column.digits for column in board.columns}
    values: dict[str, dict[str, Any]] = {}
    for (category, key), value in row.values.items():
        if key in digits:
            low, high = row.intervals.get((category, key), (value, value))
            tolerance = round(high - low, digits[key])
            values.setdefault(category, {})[key] = {"value": round(value, digits[key] + 2), "tolerance": tolerance}
    return {"n": row.n, "failed": row.failed, "values": values}


def compare(path: Path, found: Sequence[Finished]) -> Verdict:
    """What moved. Raises UserError where the baseline cannot be read."""
    baseline = _read(path).cells
    fresh = {name: row for board in leaderboards(found, intervals=False) for name, row in _named(board)}
    moved: list[Move] = []
    compared = 0
    for name, cell in baseline.items():
        for what, was, tolerance, value in _values(cell, fresh.get(name)):
            compared += 1
            if value is None or abs(value - was) > tolerance:
                moved.append(Move(name, what, was, value, tolerance))
    return Verdict(compared, tuple(moved), tuple(name for name in fresh if name not in baseline))


def _values(cell: Expectations, row: Row | None) -> Iterator[tuple[str, float, float, float | None]]:
    """(what, value of the baseline, tolerance, fresh value). Fewer failures are no regression."""
    yield "n", cell.n, 0, row.n if row else None
    if row:
        yield "failed", cell.failed, 0, max(row.failed, cell.failed)
    for category, values in cell.values.items():
        for key, one in values.items():
            yield f"{category} {key}", one.value, one.tolerance, row.values.get((category, key)) if row else None


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
