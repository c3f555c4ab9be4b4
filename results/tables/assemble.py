"""Finished runs to leaderboards in the paper's layout: rows are methods, column groups are categories.

Only comparable runs share a table: same data, samples, model, engine, sampling and metrics.
Runs that differ only in the seed form one row, the mean over seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from bench.errors import unknown
from bench.types import Column, StageCost
from results.tables import finished_runs, labels, notes, run_settings, significance
from results.tables.finished_runs import FinishedRun, Summary
from results.tables.leaderboard import Leaderboard, Row
from results.tables.slices import Slice


def leaderboards(
    found: Sequence[FinishedRun],
    *,
    all_columns: bool = False,
    slice_by: Slice | None = None,
    baseline: str = "",
    intervals: bool = True,
) -> list[Leaderboard]:
    """One table for each group of comparable runs, in the order in which the groups were first seen.

    `slice_by` makes one table for each category, with the slices as column groups. `baseline` is a method, a row's
    label or the start of a label: daggers show what differs from it. Raises UserError if no table has that row, or one
    has several.
    """
    boards: list[Leaderboard] = []
    groups = finished_runs.comparable(found)
    for group, distinction in zip(groups, run_settings.distinctions(groups), strict=True):
        latest = finished_runs.newest(group)
        rows = finished_runs.by_row(latest)
        board = _leaderboard(rows, older=len(group) - len(latest), all_columns=all_columns, distinction=distinction)
        boards += significance.measured(board, rows, slice_by=slice_by, baseline=baseline, intervals=intervals)
    if baseline and all(significance.find(board, baseline) is None for board in boards):
        known = {name for board in boards for row in board.rows for name in (row.method, row.label)}
        raise unknown("baseline", baseline, known)
    return boards


def _leaderboard(rows: list[list[FinishedRun]], *, older: int, all_columns: bool, distinction: str) -> Leaderboard:
    names, lines = labels.labels(rows), labels.lines(rows)
    first = rows[0][0].summary
    return Leaderboard(
        title=" · ".join(filter(None, (first["data"]["name"], run_settings.model(first), distinction))),
        categories=tuple(first["scores"]),
        columns=tuple(Column(**column) for column in first["columns"] if all_columns or column["main"]),
        rows=tuple(_row(seeds, *names) for seeds, *names in zip(rows, names, lines, strict=True)),
        notes=notes.of_runs(dict(zip(names, rows, strict=True)), older=older),
        model=first["model"],
        settings=run_settings.of(first),
        distinction=distinction,
    )


def _row(runs: Sequence[FinishedRun], label: str, line: str) -> Row:
    seeds = [run.summary for run in runs]
    first = seeds[0]
    kept = [summary["kept"] for summary in seeds if summary["kept"]]
    # One seed may lack a value: a judge whose answers could not be read. Then there is no mean over seeds.
    by_seed = {
        (category, key): tuple(summary["scores"][category][key] for summary in seeds)
        for category, values in first["scores"].items()
        for key in values
        if all(key in summary["scores"][category] for summary in seeds)
    }
    return Row(
        label=label,
        method=first["method"],
        retriever=first["retriever"],
        k=first["k"],
        seeds=tuple(summary["seed"] for summary in seeds),
        n=sum(sum(summary["n"].values()) for summary in seeds),
        failed=sum(summary["failed"] for summary in seeds),
        values={cell: fmean(values) for cell, values in by_seed.items()},
        cost=_cost(seeds),
        wall_seconds=sum(summary["wall_seconds"] for summary in seeds),
        variant=first["variant"],
        line=line,
        changes=labels.own(runs[0]),
        settings=runs[0].facts,
        kept=fmean(one["mean"] for one in kept) if kept else None,
        full=fmean(one["full"] for one in kept) if kept else None,
        by_seed=by_seed,
    )


def _cost(seeds: list[Summary]) -> StageCost:
    total = StageCost()
    for summary in seeds:
        for cost in summary["stages"].values():
            total.add(StageCost(**cost))
    return total
