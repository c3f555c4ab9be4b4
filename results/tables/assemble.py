"""Finished runs to leaderboards in the paper's layout: rows are methods, column groups are categories.

Only comparable runs share a table: same data, samples, model, engine, sampling and metrics. Imported runs, of which
only the texts are known, stand beside them. Runs that differ only in the seed form one row, the mean over seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from bench.errors import unknown
from bench.record.runs import RunFolder
from bench.types import Column, StageCost
from results.tables import finished_runs, labels, notes, run_settings, scored, significance, validity
from results.tables import unfinished as unfinished_runs
from results.tables.finished_runs import FinishedRun, Summary
from results.tables.leaderboard import Leaderboard, Row
from results.tables.slices import Slice

if TYPE_CHECKING:
    from results.tables.anchors import Scorer


def leaderboards(
    found: Sequence[FinishedRun],
    *,
    all_columns: bool = False,
    metrics: Sequence[str] = (),
    slice_by: Slice | None = None,
    baseline: str = "",
    intervals: bool = True,
    unfinished: Sequence[RunFolder] = (),
    anchors: Scorer | None = None,
    normalized: bool = False,
) -> list[Leaderboard]:
    """One table for each group of comparable runs, in the order in which the groups were first seen.

    `metrics` names metrics and columns to show, in any case and by the start of their names; tables without one of
    these are left out. `slice_by` makes one table for each category, with the slices as column groups. `baseline` is a
    method, a row's label or the start of a label: daggers show what differs from it. Raises UserError if no table has
    that row, or one has several, and for an unknown metric. `unfinished` are runs to name under the tables.
    `anchors` makes rows of real texts, below those of runs; `normalized` needs them.
    """
    boards: list[Leaderboard] = []
    data: list[str] = []
    groups = finished_runs.comparable(found)
    names = scored.of_runs(metrics, found)
    for group, distinction in zip(groups, run_settings.distinctions(groups), strict=True):
        latest = finished_runs.newest(group)
        rows = finished_runs.by_row(latest)
        shared = scored.together([run.summary for run in latest])
        columns = scored.chosen(shared["columns"], names, every=all_columns)
        if names and not columns:
            continue
        board = _leaderboard(rows, shared, columns, older=len(group) - len(latest), distinction=distinction)
        board = validity.checked(board, rows, named=names, every=all_columns)
        real = anchors.of(latest, shared, board.columns, ask=bool(names)) if anchors else None
        made = significance.measured(
            real.below(board) if real else board,
            rows,
            slice_by=slice_by,
            baseline=baseline,
            intervals=intervals,
            anchors=real.scores if real else (),
            normalized=normalized,
        )
        boards += made
        data += [shared["data"]["fingerprint"]] * len(made)
    if baseline and all(significance.find(board, baseline) is None for board in boards):
        known = {name for board in boards for row in board.rows for name in (row.method, row.label)}
        raise unknown("baseline", baseline, known)
    said = unfinished_runs.notes(data, unfinished)
    return [
        replace(board, notes=(*board.notes, note)) if note else board for board, note in zip(boards, said, strict=True)
    ]


def _leaderboard(
    rows: list[list[FinishedRun]], shared: Summary, columns: tuple[Column, ...], *, older: int, distinction: str
) -> Leaderboard:
    names, lines = labels.labels(rows), labels.lines(rows)
    return Leaderboard(
        title=" · ".join(filter(None, (shared["data"]["name"], run_settings.model(shared), distinction))),
        categories=tuple(shared["scores"]),
        columns=columns,
        rows=tuple(_row(seeds, *names) for seeds, *names in zip(rows, names, lines, strict=True)),
        notes=notes.of_runs(dict(zip(names, rows, strict=True)), shared, columns, older=older),
        model=shared["model"],
        settings=run_settings.of(shared),
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
        k=first["k"] or 0,
        seeds=tuple(summary["seed"] for summary in seeds),
        n=sum(first["n"].values()),
        failed=sum(summary["failed"] for summary in seeds),
        values={cell: fmean(values) for cell, values in by_seed.items()},
        cost=_cost(seeds),
        wall_seconds=sum(summary["wall_seconds"] or 0.0 for summary in seeds),
        variant=first["variant"],
        line=line,
        changes=labels.own(runs[0]),
        settings=runs[0].facts,
        kept=fmean(one["mean"] for one in kept) if kept else None,
        full=fmean(one["full"] for one in kept) if kept else None,
        by_seed=by_seed,
        imported=runs[0].imported,
    )


def _cost(seeds: list[Summary]) -> StageCost:
    total = StageCost()
    for summary in seeds:
        for cost in summary["stages"].values():
            total.add(StageCost(**cost))
    return total
