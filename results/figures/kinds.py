"""The kinds of figures. Each function draws one group of comparable runs; None: there is nothing to draw."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from results.figures import drawing
from results.tables import finished_runs, slices
from results.tables.assemble import leaderboards
from results.tables.finished_runs import FinishedRun
from results.tables.leaderboard import Leaderboard, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALL = "all samples"  # the column group of a figure that does not distinguish categories


def k_sweep(group: Sequence[FinishedRun], metrics: Sequence[str]) -> Figure | None:
    """Values against K: a panel for each category and metric, a line for each method (the paper's figures 2 and 5).

    On a second axis: how many of the K reviews the prompts kept.
    """
    (board,) = leaderboards(group, metrics=metrics)
    lines = _lines(board)
    if not lines:
        return None
    keys = drawing.chosen_keys(board, metrics, ("rouge1", "meteor", "bleu"))
    figure, axes = drawing.panels(len(keys), len(board.categories))
    without_k = [row for row in board.rows if not row.retriever]
    for panels, key in zip(axes, keys, strict=True):
        for ax, category in zip(panels, board.categories, strict=True):
            for place, (label, rows) in enumerate(lines.items()):
                drawing.line(ax, [row.k for row in rows], rows, (category, key), place, label)
            for place, row in enumerate(without_k, start=len(lines)):
                drawing.level(ax, row, (category, key), place)
            ax.set_xticks(sorted({row.k for rows in lines.values() for row in rows}))
    drawing.name_axes(axes, board, keys, "K (retrieved reviews)")
    drawing.kept(axes, list(lines.values()))
    drawing.add_legend(figure, axes)
    drawing.caption(figure, board, keys, intervals=drawing.has_intervals([board], keys))
    return figure


def _lines(board: Leaderboard) -> dict[str, list[Row]]:
    """label without K -> rows by K, for methods with several K. Points of other settings are another line."""
    lines: dict[str, list[Row]] = defaultdict(list)
    for row in board.rows:
        if row.retriever:
            lines[row.line].append(row)
    return {label: sorted(rows, key=lambda row: row.k) for label, rows in lines.items() if len(rows) > 1}


def uniqueness(group: Sequence[FinishedRun], metrics: Sequence[str]) -> Figure | None:
    """Bars of Non-Unique and Unique users: a bar for each method, a panel for each category (the paper's figure 3)."""
    boards = leaderboards(group, metrics=metrics, slice_by=slices.parse("uniqueness"))
    keys = drawing.chosen_keys(boards[0], metrics, ("meteor",))
    figure, axes = drawing.panels(len(keys), len(boards))
    for ax, board in zip(axes[0], boards, strict=True):
        ax.set_title(board.title.rpartition(" · ")[2])
    for panels, key in zip(axes, keys, strict=True):
        for ax, board in zip(panels, boards, strict=True):
            drawing.bars(ax, board, key)
        panels[0].set_ylabel(drawing.label_of(boards[0], key))
    drawing.add_legend(figure, axes)
    drawing.caption(figure, boards[0], keys, intervals=drawing.has_intervals(boards, keys))
    return figure


def ablations(group: Sequence[FinishedRun], metrics: Sequence[str]) -> Figure | None:
    """A point with its interval for each row, a panel for each category and metric."""
    (board,) = leaderboards(group, metrics=metrics)
    if len(board.rows) < 2:
        return None
    keys = drawing.chosen_keys(board, metrics, ("meteor",))
    figure, axes = drawing.panels(len(keys), len(board.categories), height=0.6 + 0.24 * len(board.rows))
    places = list(range(len(board.rows)))[::-1]
    for panels, key in zip(axes, keys, strict=True):
        for ax, category in zip(panels, board.categories, strict=True):
            for place, row in zip(places, board.rows, strict=True):
                if (category, key) in row.values:
                    drawing.point(ax, row, (category, key), place)
            names = [drawing.short(row) if ax is panels[0] else "" for row in board.rows]
            ax.set_yticks(places, names)
            ax.set_xlabel(drawing.label_of(board, key))
            ax.margins(y=0.5 / len(places))
    for ax, category in zip(axes[0], board.categories, strict=True):
        ax.set_title(category)
    drawing.caption(figure, board, keys, intervals=drawing.has_intervals([board], keys))
    return figure


def costs(group: Sequence[FinishedRun], metrics: Sequence[str]) -> Figure | None:
    """Left: tokens for each sample (read, read from the cache, written). Right: the metric against these tokens.

    What texts that were made elsewhere cost is not known: they are left out.
    """
    group = [run for run in group if not run.imported]
    if not group:
        return None
    (board,) = leaderboards(group, metrics=metrics, intervals=False)
    (key, *_) = drawing.chosen_keys(board, metrics, ("meteor",))
    figure, axes = drawing.panels(1, 2, width=3.6, height=0.9 + 0.27 * max(5, len(board.rows)))
    left, right = axes[0]
    drawing.token_bars(left, board)
    over_all = _over_all_samples(board, group, key)
    for place, row in enumerate(over_all.rows):
        if (ALL, key) in row.values:
            drawing.value_against_tokens(right, row, (ALL, key), place)
    right.set(xlabel="tokens a sample, read and written", ylabel=f"{drawing.label_of(board, key)}, {ALL}")
    right.set_xlim(left=0)
    right.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    drawing.caption(figure, board, [key], intervals=drawing.has_intervals([over_all], [key]))
    return figure


def _over_all_samples(board: Leaderboard, group: Sequence[FinishedRun], key: str) -> Leaderboard:
    """The board with one column: `key` over the samples of all categories, with intervals. Empty without scores."""
    import numpy as np

    from results.statistics import resampling

    seeds = finished_runs.by_row(finished_runs.newest(group))
    scores = [[run.scores for run in row if run.scores] for row in seeds]
    if not all(scores):
        return replace(board, categories=(ALL,), rows=tuple(replace(row, values={}) for row in board.rows))
    found = resampling.estimate(scores, {ALL: np.ones(len(scores[0][0].category), bool)}, [key])
    rows = []
    for place, row in enumerate(board.rows):
        one = found.get((place, ALL, key))
        values = {(ALL, key): one.value} if one else {}
        intervals = {(ALL, key): (one.low, one.high)} if one and math.isfinite(one.low) else {}
        rows.append(replace(row, values=values, intervals=intervals))
    return replace(board, categories=(ALL,), rows=tuple(rows))
