"""The figure of `bench plot metrics`: correlations, what reacts to another user's history, and orders of methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from results.figures import drawing
from results.statistics import inference
from results.tables import agreement, agreement_shown, finished_runs, scored_rows
from results.tables.agreement import Agreement
from results.tables.finished_runs import FinishedRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST = 3.0  # inches of a panel
CELL = 0.42  # inches of a column in it


def metrics(group: Sequence[FinishedRun], names: Sequence[str]) -> Figure | None:
    """What `bench metrics` prints of all pairs of rows; None without two rows and two columns, and without scores."""
    rows = finished_runs.by_row(finished_runs.newest(group))
    if len(rows) < 2 or any(run.scores is None for row in rows for run in row):
        return None
    (table,) = scored_rows.tables(group, metrics=names)
    made = agreement.of_table(table)
    if len(made.columns) < 2:
        return None
    draw = [_correlations, *[_swaps] * bool(made.swaps), *[_orders] * bool(made.ordered)]
    size = max(LEAST, 1.2 + CELL * len(made.columns))
    figure, (axes,) = drawing.panels(1, len(draw), width=size + 0.4, height=size)
    for panel, ax in zip(draw, axes, strict=True):
        panel(ax, made)
    keys = [column.key for column in made.columns]
    drawing.caption(figure, table.board, keys, intervals=False)
    return figure


def _correlations(ax: Axes, made: Agreement) -> None:
    """Pearson below, Spearman above the diagonal; the darker, the farther from 0."""
    from matplotlib.colors import LinearSegmentedColormap

    size = len(made.columns)
    cells = [
        [(made.pearson if place < line else made.spearman).values[line, place].item() for place in range(size)]
        for line in range(size)
    ]
    shades: Any = LinearSegmentedColormap.from_list("shades", ["#ffffff", drawing.COLOURS[1]])
    strengths = [[math.nan if math.isnan(value) else abs(value) for value in line] for line in cells]
    edges = [place - 0.5 for place in range(size + 1)]
    ax.pcolormesh(edges, edges, strengths, cmap=shades, vmin=0, vmax=1)
    for line, values in enumerate(cells):
        for place, value in enumerate(values):
            said = "" if line == place else "-" if math.isnan(value) else f"{value:.2f}"
            ax.text(
                place, line, said, ha="center", va="center", fontsize=7, color="white" if abs(value) > 0.6 else "black"
            )
    for place in range(1, size):
        if made.metrics[place] != made.metrics[place - 1]:
            ax.axhline(place - 0.5, color="white", lw=2)
            ax.axvline(place - 0.5, color="white", lw=2)
    ax.set_xticks(range(size), agreement_shown.heads(made), rotation=45, ha="right")
    ax.set_yticks(range(size), agreement_shown.heads(made))
    ax.invert_yaxis()
    ax.grid(visible=False)
    ax.set_title("Pearson below, Spearman above")


def _swaps(ax: Axes, made: Agreement) -> None:
    """A point for each column and swap, right of 0 where one's own history is better; filled: significant."""
    keys = [column.key for column in made.columns]
    for place, other in enumerate(dict.fromkeys(one.other for one in made.swaps)):
        mine = [one for one in made.swaps if one.other == other and not math.isnan(one.errors)]
        look: Any = {"color": drawing.colour(place), "marker": drawing.MARKERS[place % len(drawing.MARKERS)], "s": 26}
        for label, shown in ((other, True), (None, False)):
            some = [one for one in mine if (one.p <= inference.LEVEL) is shown]
            fill: Any = {} if shown else {"facecolors": "none", "edgecolors": drawing.colour(place)}
            xs = [one.errors * agreement.direction(one.column) for one in some]
            ax.scatter(xs, [keys.index(one.column.key) for one in some], label=label, **{**look, **fill})
    ax.axvline(0, color=drawing.KEPT, lw=0.8)
    ax.set_yticks(range(len(keys)), agreement_shown.heads(made))
    ax.set_ylim(len(keys) - 0.5, -0.5)
    ax.set_xlabel("in SE; on the right: better with own history")
    ax.set_title("Own or another's history; filled: significant")
    ax.legend(fontsize=6, loc="upper left", bbox_to_anchor=(0, -0.2))


def _orders(ax: Axes, made: Agreement) -> None:
    """A line for each row through its places by all columns that order rows."""
    xs = list(range(len(made.ordered)))
    for place, (label, places) in enumerate(zip(made.rows, made.places.tolist(), strict=True)):
        look: Any = {"color": drawing.colour(place), "marker": drawing.MARKERS[place % len(drawing.MARKERS)]}
        dashes: Any = drawing.DASHES[place % len(drawing.DASHES)]
        ax.plot(xs, places, ls=dashes, ms=5, lw=1.3, label=label, **look)
    ax.set_xticks(xs, agreement_shown.ordered_heads(made), rotation=45, ha="right")
    ax.set_yticks(range(1, len(made.rows) + 1))
    ax.invert_yaxis()
    ax.set_title("Place by each metric")
    ax.legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5))
