"""The parts of figures: style, panels, captions, and lines, bars and points with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from results.tables.leaderboard import Leaderboard, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# From dark to light, so that they differ in a grey print.
COLOURS = ("#20252c", "#1f5a9e", "#c8502e", "#4f9d69", "#e0a43a", "#9b8cc4", "#9fb3c0", "#d8a6a1")
MARKERS = "osD^vPX*<"  # one more than the colours, so that 72 pairs of colour and marker differ
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (6, 2, 2, 2)))
HATCHES = ("", "//", "..", "\\\\", "xx", "--", "oo", "++")
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
    "text.parse_math": False,  # names of data are no formulas
    "svg.fonttype": "none",
    "svg.hashsalt": "dep-bench",
}
SMALL: Any = {"fontsize": 7, "color": "#555555"}  # the caption above all panels
KEPT = "#888888"  # of the axis and lines of kept reviews
LINE_HEIGHT = 0.14  # of the caption, inches
PANEL = (2.7, 2.3)  # inches


def chosen_keys(board: Leaderboard, asked: Sequence[str], usual: Sequence[str]) -> list[str]:
    """The columns to draw: those that were asked for, which are all of the board; else the usual ones, or its first.

    Without being asked, a column that some rows lack is drawn only if there is no other.
    """
    every = [column.key for column in board.columns]
    if asked:
        return every
    of_rows = [{key for _, key in row.values} for row in board.rows]
    known = [key for key in every if all(key in own for own in of_rows)] or every
    return [key for key in usual if key in known] or known[:1]


def label_of(board: Leaderboard, key: str) -> str:
    names = {"rouge1": "ROUGE-1", "meteor": "METEOR", "bleu": "BLEU", "bertscore": "BERTScore"}
    return names.get(key, next(column.label for column in board.columns if column.key == key))


def short(row: Row) -> str:
    """The row's label, whose options do not repeat the method's name."""
    return row.label.replace(f"{row.method}.", "")


def colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def panels(
    rows: int, columns: int, *, width: float = PANEL[0], height: float = PANEL[1]
) -> tuple[Figure, list[list[Axes]]]:
    import matplotlib.pyplot as plt

    size = (width * columns, height * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    plt.close(figure)  # pyplot must not keep it in memory
    return figure, axes.tolist()


def distances(row: Row, cell: tuple[str, str]) -> tuple[float, float]:
    """How far the interval reaches below and above the value. A percentile interval may exclude the value: then 0."""
    low, high = row.intervals.get(cell, (row.values[cell], row.values[cell]))
    return max(0.0, row.values[cell] - low), max(0.0, high - row.values[cell])


def has_intervals(boards: Sequence[Leaderboard], keys: Sequence[str]) -> bool:
    """Whether one of these columns has an interval, so that a figure of them draws one."""
    return any(key in keys for board in boards for row in board.rows for _, key in row.intervals)


def line(ax: Axes, xs: list[int], rows: list[Row], cell: tuple[str, str], place: int, label: str) -> None:
    """The values of `rows` at `xs`, with a band of intervals. A row without a value has no point."""
    xs, rows = [x for x, row in zip(xs, rows, strict=True) if cell in row.values], [r for r in rows if cell in r.values]
    ys = [row.values[cell] for row in rows]
    halves = [distances(row, cell) for row in rows]
    dashes: Any = DASHES[place % len(DASHES)]
    marker = MARKERS[place % len(MARKERS)]
    ax.plot(xs, ys, color=colour(place), ls=dashes, marker=marker, ms=4, lw=1.3, label=label)
    known = [cell in row.intervals for row in rows]
    bottom = [y - below if has else math.nan for y, (below, _), has in zip(ys, halves, known, strict=True)]
    top = [y + above if has else math.nan for y, (_, above), has in zip(ys, halves, known, strict=True)]
    edge: dict[str, Any] = {"edgecolor": (colour(place), 0.5), "ls": dashes, "lw": 0.6}  # where bands overlap in grey
    ax.fill_between(xs, bottom, top, facecolor=(colour(place), 0.13), **edge)


def kept(axes: list[list[Axes]], lines: Sequence[Sequence[Row]]) -> None:
    """The reviews that prompts kept of K on a second axis of every panel, dotted and grey, and what "all" would be.

    Lines with the same numbers, as those of most methods, lie on each other. Nothing where no row knows it.
    """
    known = [[row for row in rows if row.kept is not None] for rows in lines]
    if not any(known):
        return
    top = max(row.k for rows in lines for row in rows)
    for panels in axes:
        for ax in panels:
            twin = ax.twinx()
            twin.plot([0, top], [0, top], color=KEPT, lw=0.6, alpha=0.6, label="_all of K")
            for place, rows in enumerate(known):
                marker = MARKERS[place % len(MARKERS)]
                twin.plot(
                    [row.k for row in rows],
                    [row.kept or 0.0 for row in rows],
                    color=KEPT,
                    ls=":",
                    marker=marker,
                    ms=3,
                    lw=1,
                )
            twin.set_ylim(
                0, 2.2 * max(top, 1)
            )  # in the lower half, so that it does not cross the values more than needed
            twin.set_yticks(sorted({0, top // 2, top}))
            twin.grid(visible=False)
            twin.spines["right"].set(visible=True, color=KEPT)
            twin.tick_params(axis="y", colors=KEPT, labelsize=7)
            if ax is panels[-1]:
                twin.set_ylabel("reviews kept (dotted), all of K (thin)", color=KEPT, fontsize=7)
            ax.set_zorder(twin.get_zorder() + 1)
            ax.patch.set_visible(False)


def level(ax: Axes, row: Row, cell: tuple[str, str], place: int) -> None:
    """A value that does not depend on the x axis, with its interval; nothing where the row has none."""
    if cell not in row.values:
        return
    value, (below, above) = row.values[cell], distances(row, cell)
    ax.axhspan(value - below, value + above, color=colour(place), alpha=0.1, lw=0)
    ax.axhline(value, color=colour(place), dashes=(2, 2), lw=1, label=row.label)
    ax.autoscale(axis="y")  # without this, a line in the margin stays out of sight


def bars(ax: Axes, board: Leaderboard, key: str) -> None:
    """A group of bars for each column group, a bar for each row."""
    width = 0.8 / len(board.rows)
    for place, row in enumerate(board.rows):
        groups = [name for name in board.categories if (name, key) in row.values]
        xs = [board.categories.index(name) + (place - (len(board.rows) - 1) / 2) * width for name in groups]
        ys = [row.values[name, key] for name in groups]
        look: dict[str, Any] = {"color": colour(place), "hatch": HATCHES[place % len(HATCHES)], "edgecolor": "white"}
        ax.bar(xs, ys, width * 0.95, label=row.label, **look)
        _intervals_on_bars(ax, row, [(name, key) for name in groups], xs)
    ax.set_xticks(range(len(board.categories)), board.categories)
    ax.grid(axis="x", visible=False)


def _intervals_on_bars(ax: Axes, row: Row, cells: list[tuple[str, str]], xs: list[float]) -> None:
    """A value of one user has no interval, and gets no cap: a cap without height would look like one."""
    from matplotlib.patheffects import withStroke

    known = [(cell, x) for cell, x in zip(cells, xs, strict=True) if cell in row.intervals]
    if not known:
        return
    ends = list(zip(*(distances(row, cell) for cell, _ in known), strict=True))
    ys = [row.values[cell] for cell, _ in known]
    drawn = ax.errorbar([x for _, x in known], ys, yerr=ends, ls="", color="#000000", capsize=2, lw=0.8)
    for artist in (*drawn[1], *drawn[2]):
        artist.set_path_effects([withStroke(linewidth=2, foreground="white")])  # visible on a dark bar too


def point(ax: Axes, row: Row, cell: tuple[str, str], place: int) -> None:
    """The value at height `place`, with its interval."""
    ends = [[one] for one in distances(row, cell)] if cell in row.intervals else None
    ax.errorbar([row.values[cell]], [place], xerr=ends, fmt="o", ms=4, color=COLOURS[1], capsize=2, lw=1)


def value_against_tokens(ax: Axes, row: Row, cell: tuple[str, str], place: int) -> None:
    """The value, with its interval, above the tokens of a sample."""
    tokens = (row.cost.prompt_tokens + row.cost.new_tokens) / row.written
    look: dict[str, Any] = {
        "color": colour(place),
        "marker": MARKERS[place % len(MARKERS)],
        "ms": 5,
        "mec": COLOURS[0],
        "mew": 0.5,
        "elinewidth": 1,
        "capthick": 1,
    }
    ends = [[one] for one in distances(row, cell)] if cell in row.intervals else None
    ax.errorbar([tokens], [row.values[cell]], yerr=ends, ls="", capsize=2, label=short(row), **look)


def token_bars(ax: Axes, board: Leaderboard) -> None:
    """A bar of tokens for each row, stacked by kind, for one sample on average."""
    places = list(range(len(board.rows)))[::-1]
    start = [0.0] * len(places)
    costs = [row.cost for row in board.rows]
    stacked = {
        "read": [cost.prompt_tokens - cost.cached_tokens for cost in costs],
        "read from the cache": [cost.cached_tokens for cost in costs],
        "written": [cost.new_tokens for cost in costs],
    }
    for number, (label, tokens) in enumerate(stacked.items()):
        widths = [count / row.written for count, row in zip(tokens, board.rows, strict=True)]
        look: dict[str, Any] = {"color": COLOURS[(1, 6, 4)[number]], "hatch": HATCHES[number], "edgecolor": "white"}
        ax.barh(places, widths, left=start, label=label, height=0.7, **look)
        start = [a + b for a, b in zip(start, widths, strict=True)]
    ax.set_yticks(places, [short(row) for row in board.rows])
    ax.set_xlabel("tokens a sample")
    ax.grid(axis="y", visible=False)
    ax.legend(fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)


def name_axes(axes: list[list[Axes]], board: Leaderboard, keys: list[str], below: str) -> None:
    """Categories above the columns of panels, metrics left of the lines of panels, `below` on the x axis."""
    for ax, category in zip(axes[0], board.categories, strict=True):
        ax.set_title(category)
    for panels, key in zip(axes, keys, strict=True):
        panels[0].set_ylabel(label_of(board, key))
    for ax in axes[-1]:
        ax.set_xlabel(below)


def add_legend(figure: Figure, axes: list[list[Axes]]) -> None:
    """One legend for all panels, from the first."""
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), handleheight=1.2)


def caption(figure: Figure, board: Leaderboard, keys: Sequence[str], *, intervals: bool) -> None:
    """Metrics, data and model in small letters above the panels, and what the bars mean if `intervals` are drawn."""
    parts = [
        "SYNTHETIC DATA" if board.notes[0].startswith("SYNTHETIC") else "",
        ", ".join(label_of(board, key) for key in keys),
        *board.title.split(" · ")[:2],
        "95 % intervals over users" if intervals else "",
    ]
    figure.suptitle(" · ".join(filter(None, parts)), **SMALL)
