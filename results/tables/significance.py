"""A leaderboard with its intervals, in slices if asked for, and with daggers against a baseline."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.errors import UserError
from bench.record.runs import SCORES
from results.statistics import resampling, statistics
from results.statistics.resampling import Estimates
from results.tables import notes
from results.tables.board import Cell, Leaderboard, Row
from results.tables.finished import Finished
from results.tables.slices import Slice

if TYPE_CHECKING:
    from bench.score.matrix import Scores
    from results.statistics.resampling import Mask

BETTER, WORSE = "†", "‡"


def measured(
    board: Leaderboard,
    runs: Sequence[Sequence[Finished]],
    *,
    slice_by: Slice | None,
    baseline: str,
    intervals: bool,
) -> list[Leaderboard]:
    """The board with intervals and marks; or one board a category, its column groups the slices.

    Runs without scores.jsonl leave a table without intervals; raises UserError where slices or marks are asked of them.
    """
    if not (intervals or slice_by or baseline):
        return [board]
    lacking = [run for row in runs for run in row if run.scores is None]
    if lacking and (slice_by or baseline):
        place = lacking[0].folder.path
        raise UserError(f"{place} has no {SCORES}, of which slices and marks are made; `bench score {place}` writes it")
    scores = [[run.scores for run in row if run.scores is not None] for row in runs]
    if lacking or _differ(scores):
        return [board]
    keys = [column.key for column in board.columns]
    if slice_by is None:
        found = resampling.estimate(scores, _categories(scores[0][0]), keys)
        return [_marked(_with_intervals(board, found), found, baseline)]
    boards = []
    for category, mask in _categories(scores[0][0]).items():
        groups = {label: part & mask for label, part in slice_by(runs[0][0], mask).items()}
        found = resampling.estimate(scores, groups, keys)
        sliced = _sliced(board, category, groups, found, slice_by.note)
        boards.append(_marked(_with_intervals(sliced, found), found, baseline))
    return boards


def _differ(scores: Sequence[Sequence[Scores]]) -> bool:
    return len({one.samples for row in scores for one in row}) != 1


def _categories(scores: Scores) -> dict[str, Mask]:
    return {name: scores.category == place for place, name in enumerate(scores.categories)}


def _sliced(board: Leaderboard, category: str, groups: Mapping[str, Mask], found: Estimates, note: str) -> Leaderboard:
    """One category, its slices as column groups; values computed anew, as no summary holds them."""
    sizes = ", ".join(f"{label} {mask.sum()}" for label, mask in groups.items())
    values: dict[int, dict[Cell, float]] = defaultdict(dict)
    for (place, label, key), one in found.items():
        values[place][label, key] = one.value
    n = sum(int(mask.sum()) for mask in groups.values())
    rows = [
        replace(row, values=values[place], by_seed={}, n=n * len(row.seeds)) for place, row in enumerate(board.rows)
    ]
    return replace(
        board,
        title=f"{board.title} · {category}",
        categories=tuple(label for label, mask in groups.items() if mask.any()),
        rows=tuple(rows),
        notes=(*board.notes, f"{note}; n = {sizes}. The column failed counts the whole run's."),
    )


def _with_intervals(board: Leaderboard, found: Estimates) -> Leaderboard:
    ends: dict[int, dict[Cell, tuple[float, float]]] = defaultdict(dict)
    for (place, label, key), one in found.items():
        if math.isfinite(one.low):
            ends[place][label, key] = (one.low, one.high)
    rows = [replace(row, intervals=ends[place]) for place, row in enumerate(board.rows)]
    users = {label: one.users for (_, label, _), one in found.items()}
    if not any(row.intervals for row in rows):
        return board
    said = ", ".join(f"{label} {users[label]}" for label in board.categories if label in users)
    return replace(
        board,
        rows=tuple(rows),
        notes=notes.with_intervals(board.notes, users=said, draws=statistics.DRAWS),
    )


def names(row: Row, name: str) -> bool:
    """Whether a row is meant by its label, its method, or the start of its label."""
    return name in (row.label, row.method) or row.label.lower().startswith(name.lower())


def find(board: Leaderboard, name: str) -> int | None:
    """The place of the row of this label, else of the first that is meant."""
    meant = [place for place, row in enumerate(board.rows) if names(row, name)]
    exact = [place for place in meant if board.rows[place].label == name]
    return next(iter(exact or meant), None)


def _marked(board: Leaderboard, found: Estimates, baseline: str) -> Leaderboard:
    base = find(board, baseline) if baseline else None
    if base is None:
        return board
    compared = {
        (place, (label, key)): (one, found[base, label, key])
        for (place, label, key), one in found.items()
        if place != base and (base, label, key) in found
    }
    adjusted = statistics.holm([resampling.p_value(*pair) for pair in compared.values()])
    columns = {column.key: column for column in board.columns}
    marks: dict[tuple[int, Cell], str] = {}
    for (where, (ours, theirs)), p in zip(compared.items(), adjusted, strict=True):
        if p <= statistics.LEVEL:
            marks[where] = BETTER if notes.better(columns[where[1][1]], ours.value - theirs.value) else WORSE
    of_row: dict[int, dict[Cell, str]] = defaultdict(dict)
    for (place, cell), mark in marks.items():
        of_row[place][cell] = mark
    rows = [replace(row, marks=of_row[place]) for place, row in enumerate(board.rows)]
    said = notes.with_baseline(board.notes, name=board.rows[base].label, comparisons=len(compared))
    return replace(board, rows=tuple(rows), notes=said)
