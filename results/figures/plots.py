"""Figures as a paper prints them: intervals drawn, readable in grey (markers, dashes and hatches beside colours)."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.console.terminal import inert
from bench.errors import UserError, unknown
from bench.record import files
from results.figures import drawing
from results.tables import finished, settings, slices
from results.tables.board import Row
from results.tables.finished import Finished
from results.tables.leaderboard import leaderboards

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class NothingToDraw(UserError):
    """No run is of the kind that the figure shows."""


def draw(kind: str, found: Sequence[Finished], metrics: Sequence[str], *, title: str = "") -> list[Figure]:
    """A figure for each table of comparable runs that has something to show of this kind.

    `metrics` are column keys; none: what the paper drew. `title` stands above what a figure says of itself.
    Raises UserError where no table has anything to show.
    """
    import matplotlib

    if kind not in KINDS:
        raise unknown("plot", kind, KINDS)
    matplotlib.use("Agg")
    groups = finished.comparable(found)
    _check(groups, metrics)
    with matplotlib.rc_context(drawing.STYLE):
        figures = [KINDS[kind](group, metrics) for group in groups]
    made = [(figure, apart) for figure, apart in zip(figures, settings.apart(groups), strict=True) if figure]
    if not made:
        raise NothingToDraw(f"nothing to plot: {NEEDS[kind]}; `bench grid {kind}` makes such runs")
    for figure, apart in made:
        said = "\n".join(filter(None, (inert(title).expandtabs(1), figure.get_suptitle(), apart)))
        figure.set_figheight(figure.get_figheight() + drawing.LINE * said.count("\n"))
        figure.suptitle(said, **drawing.SMALL)
    return [figure for figure, _ in made]


def _check(groups: Sequence[Sequence[Finished]], metrics: Sequence[str]) -> None:
    """Raises UserError for a column that no table has, whatever else there may be to complain of."""
    columns = [column for group in groups for column in group[0].summary["columns"]]
    known = {column["key"] for column in columns if column["main"]}
    for key in metrics:
        if key not in known:
            raise unknown("column", key, known)


def save(figures: Sequence[Figure], to: Path) -> list[Path]:
    """One file a figure; the second gets "-2" to its name, and so on. Raises UserError for another format."""
    if to.suffix not in (".svg", ".png", ".pdf"):
        raise UserError(f"--to {to}: a name that ends in .svg, .png or .pdf is expected")
    places = [to if not n else to.with_stem(f"{to.stem}-{n + 1}") for n in range(len(figures))]
    for figure, place in zip(figures, places, strict=True):
        files.write(place, rendered(figure, to.suffix[1:]))
    return places


def rendered(figure: Figure, form: str) -> bytes:
    """The file's bytes: the same every time."""
    import matplotlib

    file = io.BytesIO()
    with matplotlib.rc_context(drawing.STYLE):
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
    keys = drawing.chosen_keys(board, metrics, ("rouge1", "meteor", "bleu"))
    figure, axes = drawing.panels(len(keys), len(board.categories))
    flat = [row for row in board.rows if not row.retriever]
    for line, key in zip(axes, keys, strict=True):
        for ax, category in zip(line, board.categories, strict=True):
            for place, (label, rows) in enumerate(lines.items()):
                drawing.line(ax, [row.k for row in rows], rows, (category, key), place, label)
            for place, row in enumerate(flat, start=len(lines)):
                drawing.level(ax, row, (category, key), place)
            ax.set_xticks(sorted({row.k for rows in lines.values() for row in rows}))
    drawing.name_axes(axes, board, keys, "K (retrieved reviews)")
    return drawing.with_legend(figure, axes, board)


def uniqueness(group: Sequence[Finished], metrics: Sequence[str]) -> Figure | None:
    """Bars of Non-Unique and Unique users, a bar a method, a panel a category (the paper's figure 3)."""
    boards = leaderboards(group, slice_by=slices.parse("uniqueness"))
    keys = drawing.chosen_keys(boards[0], metrics, ("meteor",))
    figure, axes = drawing.panels(len(keys), len(boards))
    for ax, board in zip(axes[0], boards, strict=True):
        ax.set_title(board.title.rpartition(" · ")[2])
    for line, key in zip(axes, keys, strict=True):
        for ax, board in zip(line, boards, strict=True):
            drawing.bars(ax, board, key)
        line[0].set_ylabel(drawing.label_of(boards[0], key))
    return drawing.with_legend(figure, axes, boards[0])


def ablations(group: Sequence[Finished], metrics: Sequence[str]) -> Figure | None:
    """A point and its interval a row, a panel for each category and metric."""
    (board,) = leaderboards(group)
    if len(board.rows) < 2:
        return None
    keys = drawing.chosen_keys(board, metrics, ("meteor",))
    figure, axes = drawing.panels(len(keys), len(board.categories), height=0.6 + 0.24 * len(board.rows))
    places = list(range(len(board.rows)))[::-1]
    for line, key in zip(axes, keys, strict=True):
        for ax, category in zip(line, board.categories, strict=True):
            for place, row in zip(places, board.rows, strict=True):
                if (category, key) in row.values:
                    drawing.point(ax, row, (category, key), place)
            ax.set_yticks(places, [drawing.short(row) for row in board.rows] if ax is line[0] else [""] * len(places))
            ax.set_xlabel(drawing.label_of(board, key))
            ax.margins(y=0.5 / len(places))
    for ax, category in zip(axes[0], board.categories, strict=True):
        ax.set_title(category)
    return drawing.titled(figure, board)


def costs(group: Sequence[Finished], metrics: Sequence[str]) -> Figure | None:
    """Tokens a sample, read, read from the cache and written; and the value against them, over all samples."""
    import numpy as np

    from results.statistics import resampling

    (board,) = leaderboards(group, intervals=False)
    (key, *_) = drawing.chosen_keys(board, metrics, ("meteor",))
    figure, axes = drawing.panels(1, 2, width=3.6, height=0.9 + 0.27 * max(5, len(board.rows)))
    left, right = axes[0]
    drawing.token_bars(left, board)
    runs = finished.by_row(finished.newest(group))
    scores = [[run.scores for run in row if run.scores] for row in runs]
    if all(scores):
        everything = {"all": np.ones(len(scores[0][0].category), bool)}
        found = resampling.estimate(scores, everything, [key])
        for place, row in enumerate(board.rows):
            if (place, "all", key) in found:
                one = found[place, "all", key]
                ends = [[max(0.0, one.value - one.low)], [max(0.0, one.high - one.value)]]
                known = math.isfinite(one.low)
                style: dict[str, Any] = {
                    "color": drawing.colour(place),
                    "marker": drawing.MARKERS[place % len(drawing.MARKERS)],
                    "ms": 5,
                    "mec": drawing.COLOURS[0],
                    "mew": 0.5,
                    "elinewidth": 1,
                    "capthick": 1,
                }
                right.errorbar(
                    [drawing.tokens_of(row)],
                    [one.value],
                    yerr=ends if known else None,
                    ls="",
                    capsize=2,
                    label=drawing.short(row),
                    **style,
                )
    right.set(xlabel="tokens a sample, read and written", ylabel=f"{drawing.label_of(board, key)}, all samples")
    right.set_xlim(left=0)
    right.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return drawing.titled(figure, board)


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
