"""Finished runs to leaderboards in the paper's layout: rows are methods, column groups are categories.

Only runs that may be compared share a table: the same data, samples, model, engine, sampling and metrics.
Runs that differ in nothing but the seed are one row, the mean over seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from bench.errors import unknown
from bench.types import Column, StageCost
from results.tables import finished, notes, settings, significance
from results.tables.board import Leaderboard, Row
from results.tables.finished import Finished, Summary
from results.tables.slices import Slice


def leaderboards(
    found: Sequence[Finished],
    *,
    all_columns: bool = False,
    slice_by: Slice | None = None,
    baseline: str = "",
    intervals: bool = True,
) -> list[Leaderboard]:
    """One table for each group of comparable runs, in the order in which the groups were first seen.

    `slice_by` makes one for each category, with the slices as column groups. `baseline` (a method, a row's label or
    the start of one) marks what differs from it; raises UserError where no table has that row.
    """
    boards: list[Leaderboard] = []
    groups = finished.comparable(found)
    for group, apart in zip(groups, settings.apart(groups), strict=True):
        latest = finished.newest(group)
        rows = finished.by_row(latest)
        board = _leaderboard(rows, older=len(group) - len(latest), all_columns=all_columns, apart=apart)
        boards += significance.measured(board, rows, slice_by=slice_by, baseline=baseline, intervals=intervals)
    if baseline and all(significance.find(board, baseline) is None for board in boards):
        raise unknown("baseline", baseline, {name for board in boards for row in board.rows for name in _names(row)})
    return boards


def _names(row: Row) -> tuple[str, str]:
    return row.method, row.label


def _leaderboard(rows: list[list[Finished]], *, older: int, all_columns: bool, apart: str) -> Leaderboard:
    summaries = [[run.summary for run in row] for row in rows]
    flat = [summary for row in summaries for summary in row]
    retrievers = {summary["retriever"] for summary in flat if summary["retriever"]}
    ks = {summary["k"] for summary in flat if summary["retriever"]}
    first = flat[0]
    return Leaderboard(
        title=" · ".join(filter(None, (first["data"]["name"], settings.model(first), apart))),
        categories=tuple(first["scores"]),
        columns=tuple(Column(**column) for column in first["columns"] if all_columns or column["main"]),
        rows=tuple(_row(same, show_retriever=len(retrievers) > 1, show_k=len(ks) > 1) for same in summaries),
        notes=notes.of_runs(flat, older=older),
        model=first["model"],
        settings=settings.of(first),
        apart=apart,
    )


def _row(same: list[Summary], *, show_retriever: bool, show_k: bool) -> Row:
    first = same[0]
    parts = [first["label"]]
    if first["retriever"]:
        parts += [first["retriever"]] * show_retriever + [f"K={first['k']}"] * show_k
    if first["variant"]:
        parts.append(first["variant"])
    # A value that a seed lacks (no judge's answer could be read) is no mean over seeds: it is left out.
    by_seed = {
        (category, key): tuple(summary["scores"][category][key] for summary in same)
        for category, values in first["scores"].items()
        for key in values
        if all(key in summary["scores"][category] for summary in same)
    }
    return Row(
        label=" · ".join(parts),
        method=first["method"],
        retriever=first["retriever"],
        k=first["k"],
        seeds=tuple(summary["seed"] for summary in same),
        n=sum(sum(summary["n"].values()) for summary in same),
        failed=sum(summary["failed"] for summary in same),
        values={cell: fmean(values) for cell, values in by_seed.items()},
        cost=_cost(same),
        variant=first["variant"],
        by_seed=by_seed,
    )


def _cost(same: list[Summary]) -> StageCost:
    total = StageCost()
    for summary in same:
        for cost in summary["stages"].values():
            total.add(StageCost(**cost))
    return total
