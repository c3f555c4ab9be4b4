"""Figures as a paper prints them: intervals drawn, readable in grey (markers, dashes and hatches beside colours)."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UserError, unknown
from results import finished, slices
from results.board import Leaderboard, Row
from results.finished import Finished
from results.leaderboard import leaderboards

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# From dark to light, so that a grey print keeps them apart.
COLOURS = ("#20252c", "#1f5a9e", "#c8502e", "#4f9d69", "#e0a43a", "#9b8cc4", "#9fb3c0", "#d8a6a1")
MARKERS = "osD^vPX*<"  # one more than colours: their pairs repeat after 72
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
    "svg.fonttype": "none",
    "svg.hashsalt": "dep-bench",
}
PANEL = (2.7, 2.3)  # inches


def draw(kind: str, found: Sequence[Finished], metrics: Sequence[str]) -> list[Figure]:
    """A figure for each table of comparable runs that has something to show of this kind.

    `metrics` are column keys; none: what the paper drew. Raises UserError where no table has anything to show.
    """
    import matplotlib

    if kind not in KINDS:
        raise unknown("plot", kind, KINDS)
    matplotlib.use("Agg")
    with matplotlib.rc_context(STYLE):
        figures = [KINDS[kind](group, metrics) for group in finished.comparable(found)]
    made = [figure for figure in figures if figure is not None]
    if not made:
        raise UserError(f"nothing to plot: {NEEDS[kind]}; `bench grid {kind}` makes such runs")
    return made


def save(figures: Sequence[Figure], to: Path) -> list[Path]:
    """One file a figure; the second gets "-2" to its name, and so on. Raises UserError for another format."""
    if to.suffix not in (".svg", ".png", ".pdf"):
        raise UserError(f"--to {to}: a name that ends in .svg, .png or .pdf is expected")
    places = [to if not n else to.with_stem(f"{to.stem}-{n + 1}") for n in range(len(figures))]
    for figure, place in zip(figures, places, strict=True):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(rendered(figure, to.suffix[1:]))
    return places


def rendered(figure: Figure, form: str) -> bytes:
    """The file's bytes: the same every time."""
    import matplotlib

    file = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        metadata = {"Date": None} if form == "svg" else {}
        figure.savefig(file, format=form, dpi=200, bbox_inches="tight", metadata=metadata)
    return file.getvalue()


# ---------------------------------------------------------------- kinds


def k_sweep(group: Sequence[Finished], metrics: Sequence[str]) -> Figure | None:
    """Values against K: a panel for each category and metric, a line a method (the paper's figures 2 and 5)."""
    (board,) = leaderboards(group)
    lines: dict[str, list[Row]] = defaultdict(list)
    for row in board.rows:
        if row.retriever:
            lines[" · ".join(part for part in row.label.split(" · ") if not part.startswith("K="))].append(row)
    lines = {label: sorted(rows, key=lambda row: row.k) for label, rows in lines.items() if len(rows) > 1}
    if not lines:
        return None
    keys = _keys(board, metrics, ("rouge1", "meteor", "bleu"))
    figure, axes = _panels(len(keys), len(board.categories))
    flat = [row for row in board.rows if not row.retriever]
    for line, key in zip(axes, keys, strict=True):
        for ax, category in zip(line, board.categories, strict=True):
            for place, (label, rows) in enumerate(lines.items()):
                _line(ax, [row.k for row in rows], rows, (category, key), place, label)
            for place, row in enumerate(flat, start=len(lines)):
                ax.axhline(row.values[category, key], color=_colour(place), dashes=(2, 2), lw=1, label=row.label)
            ax.set_xticks(sorted({row.k for rows in lines.values() for row in rows}))
    _name_axes(axes, board, keys, "K (retrieved reviews)")
    return _with_legend(figure, axes, board)


def uniqueness(group: Sequence[Finished], metrics: Sequence[str]) -> Figure | None:
    """Bars of Non-Unique and Unique users, a bar a method, a panel a category (the paper's figure 3)."""
    boards = leaderboards(group, slice_by=slices.parse("uniqueness"))
    keys = _keys(boards[0], metrics, ("meteor",))
    figure, axes = _panels(len(keys), len(boards))
    for line, key in zip(axes, keys, strict=True):
        for ax, board in zip(line, boards, strict=True):
            _bars(ax, board, key)
            ax.set_title(board.title.rpartition(" · ")[2])
        line[0].set_ylabel(_label(boards[0], key))
    return _with_legend(figure, axes, boards[0])


def ablations(group: Sequence[Finished], metrics: Sequence[str]) -> Figure | None:
    """A point and its interval a row, a panel for each category and metric."""
    (board,) = leaderboards(group)
    if len(board.rows) < 2:
        return None
    keys = _keys(board, metrics, ("meteor",))
    figure, axes = _panels(len(keys), len(board.categories), height=0.6 + 0.24 * len(board.rows))
    places = list(range(len(board.rows)))[::-1]
    for line, key in zip(axes, keys, strict=True):
        for ax, category in zip(line, board.categories, strict=True):
            for place, row in zip(places, board.rows, strict=True):
                if (category, key) in row.values:
                    _point(ax, row, (category, key), place)
            ax.set_yticks(places, [row.label for row in board.rows] if ax is line[0] else [""] * len(places))
            ax.set_xlabel(_label(board, key))
            ax.margins(y=0.5 / len(places))
    for ax, category in zip(axes[0], board.categories, strict=True):
        ax.set_title(category)
    return _titled(figure, board)


def costs(group: Sequence[Finished], metrics: Sequence[str]) -> Figure | None:
    """Tokens a sample, read, read from the cache and written; and the value against them, over all samples."""
    import numpy as np

    from results import resampling

    (board,) = leaderboards(group, intervals=False)
    (key, *_) = _keys(board, metrics, ("meteor",))
    figure, axes = _panels(1, 2, width=3.6, height=0.9 + 0.27 * max(5, len(board.rows)))
    left, right = axes[0]
    _token_bars(left, board)
    runs = finished.by_row(finished.newest(group))
    scores = [[run.scores for run in row if run.scores] for row in runs]
    if all(scores):
        everything = {"all": np.ones(len(scores[0][0].category), bool)}
        found = resampling.estimate(scores, everything, [key])
        for place, row in enumerate(board.rows):
            if (place, "all", key) in found:
                one = found[place, "all", key]
                ends = [[max(0.0, one.value - one.low)], [max(0.0, one.high - one.value)]]
                style: dict[str, Any] = {"color": _colour(place), "marker": MARKERS[place % len(MARKERS)]}
                right.errorbar([_tokens(row)], [one.value], yerr=ends, ls="", capsize=2, label=row.label, **style)
    right.set(xlabel="tokens a sample, read and written", ylabel=f"{_label(board, key)}, all samples")
    right.set_xlim(left=0)
    right.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _titled(figure, board)


KINDS: dict[str, Callable[[Sequence[Finished], Sequence[str]], Figure | None]] = {
    "k-sweep": k_sweep,
    "uniqueness": uniqueness,
    "ablations": ablations,
    "costs": costs,
}
NEEDS = {
    "k-sweep": "no method has runs at several K",
    "uniqueness": "no finished run has scores",
    "ablations": "there are not two rows to compare",
    "costs": "no finished run",
}

# ---------------------------------------------------------------- parts


def _keys(board: Leaderboard, asked: Sequence[str], usual: Sequence[str]) -> list[str]:
    """The columns to draw: those asked for (UserError for an unknown one), else the usual that are there."""
    known = [column.key for column in board.columns]
    for key in asked:
        if key not in known:
            raise unknown("column", key, known)
    return list(asked) or [key for key in usual if key in known] or known[:1]


def _label(board: Leaderboard, key: str) -> str:
    names = {"rouge1": "ROUGE-1", "meteor": "METEOR", "bleu": "BLEU", "bertscore": "BERTScore"}
    return names.get(key, next(column.label for column in board.columns if column.key == key))


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _panels(
    rows: int, columns: int, *, width: float = PANEL[0], height: float = PANEL[1]
) -> tuple[Figure, list[list[Axes]]]:
    import matplotlib.pyplot as plt

    size = (width * columns, height * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    plt.close(figure)  # kept by us, not by pyplot
    return figure, axes.tolist()


def _half(row: Row, cell: tuple[str, str]) -> tuple[float, float]:
    """Distances of the value from the ends of its interval; a percentile interval may even exclude it."""
    low, high = row.intervals.get(cell, (row.values[cell], row.values[cell]))
    return max(0.0, row.values[cell] - low), max(0.0, high - row.values[cell])


def _line(ax: Axes, xs: list[int], rows: list[Row], cell: tuple[str, str], place: int, label: str) -> None:
    ys = [row.values[cell] for row in rows]
    halves = [_half(row, cell) for row in rows]
    dashes: Any = DASHES[place % len(DASHES)]
    marker = MARKERS[place % len(MARKERS)]
    ax.plot(xs, ys, color=_colour(place), ls=dashes, marker=marker, ms=4, lw=1.3, label=label)
    bottom = [y - below for y, (below, _) in zip(ys, halves, strict=True)]
    top = [y + above for y, (_, above) in zip(ys, halves, strict=True)]
    ax.fill_between(xs, bottom, top, color=_colour(place), alpha=0.13, lw=0)


def _bars(ax: Axes, board: Leaderboard, key: str) -> None:
    width = 0.8 / len(board.rows)
    for place, row in enumerate(board.rows):
        groups = [name for name in board.categories if (name, key) in row.values]
        xs = [board.categories.index(name) + (place - (len(board.rows) - 1) / 2) * width for name in groups]
        ys = [row.values[name, key] for name in groups]
        ends = list(zip(*(_half(row, (name, key)) for name in groups), strict=True))
        look: dict[str, Any] = {"color": _colour(place), "hatch": HATCHES[place % len(HATCHES)], "edgecolor": "white"}
        ax.bar(xs, ys, width * 0.95, label=row.label, **look)
        ax.errorbar(xs, ys, yerr=ends or None, ls="", color="#000000", capsize=2, lw=0.8)
    ax.set_xticks(range(len(board.categories)), board.categories)
    ax.grid(axis="x", visible=False)


def _point(ax: Axes, row: Row, cell: tuple[str, str], place: int) -> None:
    below, above = _half(row, cell)
    ax.errorbar([row.values[cell]], [place], xerr=[[below], [above]], fmt="o", ms=4, color=COLOURS[1], capsize=2, lw=1)


def _tokens(row: Row) -> float:
    return (row.cost.prompt_tokens + row.cost.new_tokens) / max(1, row.n)


def _token_bars(ax: Axes, board: Leaderboard) -> None:
    places = list(range(len(board.rows)))[::-1]
    start = [0.0] * len(places)
    costs = [row.cost for row in board.rows]
    stacked = {
        "read": [cost.prompt_tokens - cost.cached_tokens for cost in costs],
        "read from the cache": [cost.cached_tokens for cost in costs],
        "written": [cost.new_tokens for cost in costs],
    }
    for number, (label, tokens) in enumerate(stacked.items()):
        widths = [count / max(1, row.n) for count, row in zip(tokens, board.rows, strict=True)]
        look: dict[str, Any] = {"color": COLOURS[(1, 6, 4)[number]], "hatch": HATCHES[number], "edgecolor": "white"}
        ax.barh(places, widths, left=start, label=label, height=0.7, **look)
        start = [a + b for a, b in zip(start, widths, strict=True)]
    ax.set_yticks(places, [row.label for row in board.rows])
    ax.set_xlabel("tokens a sample")
    ax.grid(axis="y", visible=False)
    ax.legend(fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)


def _name_axes(axes: list[list[Axes]], board: Leaderboard, keys: list[str], below: str) -> None:
    for ax, category in zip(axes[0], board.categories, strict=True):
        ax.set_title(category)
    for line, key in zip(axes, keys, strict=True):
        line[0].set_ylabel(_label(board, key))
    for ax in axes[-1]:
        ax.set_xlabel(below)


def _with_legend(figure: Figure, axes: list[list[Axes]], board: Leaderboard) -> Figure:
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    return _titled(figure, board)


def _titled(figure: Figure, board: Leaderboard) -> Figure:
    """Data, model and what the bars are, small, above the panels; synthetic data says so."""
    warning = "SYNTHETIC DATA · " if board.notes[0].startswith("SYNTHETIC") else ""
    name = " · ".join(board.title.split(" · ")[:2])
    figure.suptitle(f"{warning}{name} · 95 % intervals over users", fontsize=7, color="#555555")
    return figure
