"""`bench regress`: compares new results with a committed baseline, value by value, within tolerances.

The baseline is JSON that people can read and edit. For each cell (method, retriever, K, options) it holds the settings,
n, how many samples may fail, and its values (results/checks/measured.py), each with a tolerance:

- From at least three seeds: the values over all samples and what the runs did, with tolerances from the spread over
  seeds (results/checks/tolerances.py). A gate: it knows what it would find, and how often it is wrong.
- From fewer: the values of each category, and as tolerance the width of the value's 95 % interval, 3.9 standard errors.
  Another machine may sample other texts, and the difference of two such samples has up to 1.4 times the error of one.
  It finds what is broken, not what is slightly worse. A value without an interval (one user) has the tolerance null: it
  must be equal in the digits kept.

A value that a run of empty texts would pass, 0 being within its tolerance, is no check and is left out. Runs with other
settings or another n cannot be compared and are refused; other seeds may be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import UserError, mistake
from bench.record import files, runs
from results.checks import measured, tolerances
from results.tables import finished_runs, run_settings, scored
from results.tables.assemble import leaderboards
from results.tables.finished_runs import FinishedRun, Summary
from results.tables.leaderboard import Leaderboard, Row

FORMAT = 3
MOVED = 3  # exit code
DIGITS = 6  # of a value in the file that no table shows
KEPT = 2  # digits of a value in the file, beyond those that tables show
NOISE = 1e-9  # rounding error of the difference of two such values


class Expected(BaseModel):
    """One value of a baseline. NaN is refused: with such a tolerance every value would pass."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    value: float
    tolerance: float | None = Field(ge=0)


class Expectations(BaseModel):
    """One cell of a baseline. `values`: group -> key -> value, as `measured.values` has them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    settings: dict[str, str | int | float | bool | None] = {}  # results.tables.run_settings
    n: int = Field(ge=0)
    failed: int = Field(ge=0)
    values: dict[str, dict[str, Expected]]


class Baseline(BaseModel):
    """The whole file. `about`: the notes of the tables, for readers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[3]
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


@dataclass(frozen=True)
class Written:
    """What a new baseline holds. `left_out`: values that a run of empty texts would pass."""

    values: int
    left_out: tuple[str, ...]
    finds: Mapping[str, tuple[float, float]]  # key of a value -> the smallest and the largest tolerance in the file


@dataclass(frozen=True)
class Found:
    """A row of a table with its runs, one a seed."""

    board: Leaderboard
    row: Row
    seeds: Sequence[FinishedRun]


def write(path: Path, found: Sequence[FinishedRun]) -> Written:
    """Writes these runs as the baseline."""
    named = {name: _only(name, rows) for name, rows in _rows(found, leaderboards(found)).items()}
    expected = _from_seeds(named) if _have_seeds(named) else {name: _from_intervals(one) for name, one in named.items()}
    left_out = []
    cells: dict[str, dict[str, Any]] = {}
    for name, one in named.items():
        kept: dict[str, dict[str, dict[str, float | None]]] = {}
        higher = {column.key for column in one.board.columns if column.higher_is_better}
        for (group, key), (value, tolerance) in expected[name].items():
            if group != measured.RUN and key in higher and tolerance is not None and value <= tolerance:
                left_out.append(f"{name}: {group} {key}")
            else:
                kept.setdefault(group, {})[key] = {"value": value, "tolerance": tolerance}
        about = {"settings": _settings(one), "n": one.row.n, "failed": _failed(one)}
        cells[name] = {**about, "values": kept}
    notes = {note: None for one in named.values() for note in one.board.notes}
    files.write(path, runs.dump({"format": FORMAT, "about": [list(notes)], "cells": cells}, indent=1) + "\n")
    n = sum(2 + sum(len(values) for values in cell["values"].values()) for cell in cells.values())
    return Written(n, tuple(left_out), _finds(cells))


def _have_seeds(named: Mapping[str, Found]) -> bool:
    """Whether all rows have the seeds that a gate needs. Raises UserError where only some have."""
    lacking = [name for name, one in named.items() if len(one.seeds) < tolerances.LEAST_SEEDS]
    if lacking and len(lacking) < len(named):
        least = f"at least {tolerances.LEAST_SEEDS} seeds of every row"
        raise UserError(
            f"'{lacking[0]}' has {len(named[lacking[0]].seeds)} seeds, and others more; a gate needs {least}"
        )
    return not lacking


Expectation = dict[tuple[str, str], tuple[float, float | None]]


def _from_seeds(named: Mapping[str, Found]) -> dict[str, Expectation]:
    gated = measured.ALL, measured.RUN
    seeds = {
        (name, *of): each for name, one in named.items() for of, each in measured.by_seed(one.seeds, gated).items()
    }
    found: dict[str, Expectation] = {name: {} for name in named}
    for (name, group, key), (value, tolerance) in tolerances.of(seeds).items():
        found[name][group, key] = round(value, DIGITS), round(tolerance, DIGITS)
    return found


def _from_intervals(one: Found) -> Expectation:
    digits = {column.key: column.digits for column in one.board.columns}
    found: Expectation = {}
    for (category, key), value in one.row.values.items():
        if key in digits:
            ends = one.row.intervals.get((category, key))
            tolerance = round(ends[1] - ends[0], digits[key]) if ends else None
            found[category, key] = round(value, digits[key] + KEPT), tolerance
    return found


def _finds(cells: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """Key of a value -> the smallest and the largest tolerance; relative to the value where its noise is."""
    found: dict[str, list[float]] = {}
    for cell in cells.values():
        for group, values in cell["values"].items():
            for key, one in values.items():
                if one["tolerance"] is not None:
                    relative = measured.relative(group, key)
                    unit = (abs(one["value"]) or 1.0) if relative else 1.0
                    found.setdefault(f"{key} (relative)" if relative else key, []).append(one["tolerance"] / unit)
    return {key: (min(some), max(some)) for key, some in found.items()}


def _rows(found: Sequence[FinishedRun], boards: Sequence[Leaderboard]) -> dict[str, list[Found]]:
    """Name of a cell -> its rows, each from another table. Of tables with the same settings and n the newest counts."""
    groups = finished_runs.comparable(found)
    tables = sorted(
        zip(groups, boards, strict=True), key=lambda one: max(str(run.summary["finished"]) for run in one[0])
    )
    rows: dict[str, dict[str, Found]] = {}
    for group, board in tables:
        of_rows = finished_runs.by_row(finished_runs.newest(group))
        for name, row, seeds in zip(_names(group[0].summary["data"]["name"], board), board.rows, of_rows, strict=True):
            one = Found(board, row, seeds)
            rows.setdefault(name, {})[f"{_settings(one)} {one.row.n}"] = one
    return {name: list(same.values()) for name, same in rows.items()}


def _only(name: str, rows: Sequence[Found]) -> Found:
    if len(rows) > 1:
        distinctions = "; ".join(one.board.distinction or f"n = {one.row.n}" for one in rows)
        raise UserError(f"'{name}' was run {len(rows)} times ({distinctions}); name the run folders to compare")
    return rows[0]


def _names(data: str, board: Leaderboard) -> Iterator[str]:
    """The names of a table's rows: data, model, method, retriever, K and options."""
    model = board.model.rpartition("/")[2]
    for row in board.rows:
        k = f"K={row.k}" if row.retriever else ""
        yield " · ".join(filter(None, [data, model, row.method, row.retriever, k, row.variant, row.changes]))


def _settings(one: Found) -> dict[str, Any]:
    """Those of the table and of the row. Weights of encoders are no settings: two machines may fetch other files."""
    of_row = {key: value for key, value in one.row.settings.items() if not key.endswith(".weights")}
    return run_settings.of(_together(one)) | of_row


def _together(one: Found) -> Summary:
    """What the row's runs share: other rows of the table may be scored with other metrics."""
    return scored.together([run.summary for run in one.seeds])


def _failed(one: Found) -> int:
    """Failed samples of the seed with the most."""
    return max(int(run.summary["failed"]) for run in one.seeds)


def compare(path: Path, found: Sequence[FinishedRun]) -> Verdict:
    """Raises UserError if the baseline cannot be read, or was made from runs with other settings."""
    baseline = _read(path).cells
    current = _rows(found, leaderboards(found, intervals=False))
    moved: list[Move] = []
    compared = 0
    for name, cell in baseline.items():
        one = _matching(path, name, cell, current.get(name, []), complete=bool(cell.settings))
        for what, was, tolerance, value in _values(cell, one):
            compared += 1
            if value is None or abs(value - was) > (tolerance or 0) + NOISE:
                moved.append(Move(name, what, was, value, tolerance))
    return Verdict(compared, tuple(moved), tuple(name for name in current if name not in baseline))


def _matching(path: Path, name: str, cell: Expectations, rows: Sequence[Found], *, complete: bool) -> Found | None:
    """The row with the cell's settings and n; None if the cell was not run. Raises UserError if all rows differ."""
    differing: list[list[str]] = [
        [
            *run_settings.differences(_comparable_settings(one, cell), cell.settings, complete=complete),
            *([f"n = {one.row.n}, not {cell.n}"] if one.row.n != cell.n else []),
        ]
        for one in rows
    ]
    alike = [one for one, differences in zip(rows, differing, strict=True) if not differences]
    if rows and not alike:
        nearest = min(differing, key=len)
        raise UserError(
            f"{path} is no baseline of these runs: {name}: {'; '.join(nearest)}; run it with the baseline's settings"
        )
    return _only(name, alike) if alike else None


def _comparable_settings(one: Found, cell: Expectations) -> dict[str, Any]:
    """Without the options of metrics that the baseline was not scored with: they change none of its values."""
    known = {key.partition(".")[0] for key in cell.settings}
    added = {name for name in _together(one)["metric_settings"] if name not in known}
    return {key: value for key, value in _settings(one).items() if key.partition(".")[0] not in added}


def _values(cell: Expectations, one: Found | None) -> Iterator[tuple[str, float, float | None, float | None]]:
    """(what, value of the baseline, tolerance, new value). Fewer failures are no regression."""
    yield "n", cell.n, 0, one.row.n if one else None
    yield "failed", cell.failed, 0, max(_failed(one), cell.failed) if one else None
    digits = {column.key: column.digits + KEPT for column in one.board.columns} if one else {}
    now = measured.values(one.seeds, cell.values) if one else {}
    for group, values in cell.values.items():
        for key, expected in values.items():
            value = now.get(group, {}).get(key)
            kept = value if value is None else round(value, digits.get(key, DIGITS))
            yield f"{group} {key}", expected.value, expected.tolerance, kept


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
