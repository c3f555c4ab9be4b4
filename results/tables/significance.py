"""Adds to a leaderboard: intervals, slices where asked for, and daggers against a baseline."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from results.statistics import inference, resampling
from results.statistics.resampling import Estimates
from results.tables import detectable, find_row, notes, recovered
from results.tables import normalized as normalizing
from results.tables.finished_runs import FinishedRun
from results.tables.leaderboard import Cell, Leaderboard
from results.tables.slices import Slice

if TYPE_CHECKING:
    from bench.score.score_arrays import ScoreArrays
    from results.statistics.resampling import Mask

BETTER, WORSE = "†", "‡"


def measured(
    board: Leaderboard,
    runs: Sequence[Sequence[FinishedRun]],
    *,
    slice_by: Slice | None,
    baseline: str,
    intervals: bool,
    anchors: Sequence[Sequence[ScoreArrays]] = (),
    normalized: bool = False,
) -> list[Leaderboard]:
    """The board with intervals and daggers. With `slice_by`, one board for each category, with slices as column groups.

    `runs` holds the seeds of each row, `anchors` the scores of the rows after these. A run without scores.jsonl leaves
    the table without intervals; raises UserError if slices, daggers or normalized values are asked for then.
    """
    if not (intervals or slice_by or baseline or normalized):
        return [board]
    lacking = [run for row in runs for run in row if run.scores is None]
    if lacking and (slice_by or baseline or normalized):
        lacking[0].required_scores(by="slices, daggers and normalized values")
    scores = [*([run.scores for run in row if run.scores is not None] for row in runs), *anchors]
    if lacking or not _same_samples(scores):
        return [board]
    keys = [column.key for column in board.columns]
    if slice_by is None:
        found = resampling.estimate(scores, _category_masks(scores[0][0]), keys)
        return [_finished(board, found, baseline, normalized=normalized)]
    slice_by.check([run for row in runs for run in row])
    boards = []
    for category, mask in _category_masks(scores[0][0]).items():
        groups = {label: part & mask for label, part in slice_by(runs[0][0], mask).items()}
        found = resampling.estimate(scores, groups, keys)
        sliced = _sliced(board, category, groups, found, slice_by.note)
        boards.append(_finished(sliced, found, baseline, normalized=normalized))
    return boards


def _finished(board: Leaderboard, found: Estimates, baseline: str, *, normalized: bool) -> Leaderboard:
    whole, of_values = recovered.with_column(board, found)
    estimates = of_values
    if normalized:
        whole, estimates = normalizing.normalize(whole, of_values)
    tested = _with_daggers(_with_intervals(whole, estimates), found, baseline)
    if estimates is not of_values:  # a smallest difference of values says nothing of shares
        return tested
    of_runs = {key: one for key, one in found.items() if board.rows[key[0]].kind == "run"}
    said = detectable.note(board, of_runs, find(board, baseline) if baseline else None)
    return replace(tested, notes=(*tested.notes, said)) if said else tested


def _same_samples(scores: Sequence[Sequence[ScoreArrays]]) -> bool:
    return len({one.samples for row in scores for one in row}) == 1


def _category_masks(scores: ScoreArrays) -> dict[str, Mask]:
    return {name: scores.category == place for place, name in enumerate(scores.categories)}


def _sliced(board: Leaderboard, category: str, groups: Mapping[str, Mask], found: Estimates, note: str) -> Leaderboard:
    """One category with its slices as column groups. The values are computed here: no summary holds them."""
    sizes = ", ".join(f"{label} {mask.sum()}" for label, mask in groups.items())
    values: dict[int, dict[Cell, float]] = defaultdict(dict)
    for (place, label, key), one in found.items():
        values[place][label, key] = one.value
    n = sum(int(mask.sum()) for mask in groups.values())
    rows = [
        replace(row, values=values[place], by_seed={}, n=0 if row.missing else n)
        for place, row in enumerate(board.rows)
    ]
    return replace(
        board,
        title=f"{board.title} · {category}",
        categories=tuple(label for label, mask in groups.items() if mask.any()),
        rows=tuple(rows),
        notes=(*board.notes, f"{note}; n = {sizes}. {_whole(board)}"),
    )


def _whole(board: Leaderboard) -> str:
    kept = any(row.kept is not None for row in board.rows)
    return "The columns kept and failed count the whole run." if kept else "The column failed counts the whole run."


def _with_intervals(board: Leaderboard, found: Estimates) -> Leaderboard:
    ends: dict[int, dict[Cell, tuple[float, float]]] = defaultdict(dict)
    for (place, label, key), one in found.items():
        if math.isfinite(one.low) and math.isfinite(one.high):
            ends[place][label, key] = (one.low, one.high)
    rows = [replace(row, intervals=ends[place]) for place, row in enumerate(board.rows)]
    if not any(row.intervals for row in rows):
        return board
    users = {label: one.users for (_, label, _), one in found.items()}
    counts = ", ".join(f"{label} {users[label]}" for label in board.categories if label in users)
    return replace(
        board,
        rows=tuple(rows),
        notes=notes.with_intervals(board.notes, users=counts, draws=inference.DRAWS),
    )


def find(board: Leaderboard, baseline: str) -> int | None:
    """The index of the baseline's row; None where the board has none. Raises UserError where it may be several."""
    return find_row.find(board.rows, baseline, where=f"table {board.title}", cure="give --baseline a whole label")


def _with_daggers(board: Leaderboard, found: Estimates, baseline: str) -> Leaderboard:
    base = find(board, baseline) if baseline else None
    if base is None:
        return board
    columns = {column.key: column for column in board.columns if column.higher_is_better is not None}
    compared = {
        (place, (label, key)): (one, found[base, label, key])
        for (place, label, key), one in found.items()
        if place != base
        and key in columns
        and (base, label, key) in found
        and not (board.rows[place].missing or board.rows[base].missing)  # of other samples: they do not pair up
    }
    adjusted = inference.holm([resampling.p_value(*pair) for pair in compared.values()])
    daggers: dict[int, dict[Cell, str]] = defaultdict(dict)
    for ((place, cell), (ours, theirs)), p in zip(compared.items(), adjusted, strict=True):
        if p <= inference.LEVEL:
            better = notes.better(columns[cell[1]], ours.value - theirs.value)
            daggers[place][cell] = BETTER if better else WORSE
    rows = [replace(row, significance=daggers[place]) for place, row in enumerate(board.rows)]
    label = board.rows[base].label
    return replace(
        board, rows=tuple(rows), notes=notes.with_baseline(board.notes, name=label, comparisons=len(compared))
    )
