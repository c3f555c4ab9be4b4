"""`bench plot`: figures of finished runs, each as files or bytes.

They are drawn as a paper prints them: with intervals, and readable in grey by markers, dashes and hatches.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.console.meter import Meter
from bench.console.terminal import inert
from bench.errors import UserError, match
from bench.record import files
from results.figures import agreement, drawing, kinds
from results.tables import finished_runs, run_settings, scored, slices
from results.tables.finished_runs import FinishedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind = Callable[[Sequence[FinishedRun], Sequence[str]], "Figure | None"]

KINDS: dict[str, Kind] = {
    "k-sweep": kinds.k_sweep,
    "uniqueness": kinds.uniqueness,
    "ablations": kinds.ablations,
    "costs": kinds.costs,
    "metrics": agreement.metrics,
}
SLICED = ("uniqueness",)  # by slices of the kind's own name
LACKING = {  # why there is nothing to draw
    "k-sweep": "no method has runs at several K",
    "uniqueness": "no finished run has scores",
    "ablations": "there are not two rows to compare",
    "costs": "no finished run",
    "metrics": "there are not two rows that have scores of two columns",
}
MADE_BY = {"costs": "smoke", "metrics": "smoke"}  # the suite, where it has not the kind's own name


class NothingToDraw(UserError):
    """No run is of the kind that the figure shows."""


def draw(
    kind: str, found: Sequence[FinishedRun], metrics: Sequence[str], *, title: str = "", meter: Meter | None = None
) -> list[Figure]:
    """A figure for each table of comparable runs that has something to show.

    `metrics` names metrics and columns; without any, the columns are those that the paper drew. `title` becomes the
    first line. Raises UserError for an unknown kind or metric, NothingToDraw if no table has anything to show.
    """
    import matplotlib

    kind = match("plot", kind, KINDS)
    matplotlib.use("Agg")
    names = scored.of_runs(metrics, found)
    groups = [group for group in finished_runs.comparable(found) if _has(group, names)]
    meter = meter or Meter()
    if kind in SLICED and (slice_by := slices.parse(kind)):
        slice_by.prepare(found, meter)
    meter.start(f"drawing {kind}: intervals by resampling users")
    with matplotlib.rc_context(drawing.STYLE):
        figures = [KINDS[kind](group, names) for group in groups]
    distinctions = run_settings.distinctions(groups)
    drawn = [(figure, distinction) for figure, distinction in zip(figures, distinctions, strict=True) if figure]
    if not drawn:
        raise NothingToDraw(f"nothing to plot: {LACKING[kind]}; `bench grid {MADE_BY.get(kind, kind)}` makes such runs")
    for figure, distinction in drawn:
        _add_to_caption(figure, title, distinction)
    return [figure for figure, _ in drawn]


def _has(group: Sequence[FinishedRun], names: Sequence[str]) -> bool:
    """Whether the group's table has one of these metrics or columns, or none is asked for."""
    return bool(scored.chosen(scored.together([run.summary for run in group])["columns"], names))


def _add_to_caption(figure: Figure, title: str, distinction: str) -> None:
    """The title above the figure's own caption, the distinction from other figures below it."""
    caption = "\n".join(filter(None, (inert(title).expandtabs(1), figure.get_suptitle(), distinction)))
    figure.set_figheight(figure.get_figheight() + drawing.LINE_HEIGHT * caption.count("\n"))
    figure.suptitle(caption, **drawing.SMALL)


def save(figures: Sequence[Figure], to: Path) -> list[Path]:
    """One file for each figure; the second file's name ends in "-2". Raises UserError for an unknown format."""
    if to.suffix not in (".svg", ".png", ".pdf"):
        raise UserError(f"--to {to}: a name that ends in .svg, .png or .pdf is expected")
    places = [to if not n else to.with_stem(f"{to.stem}-{n + 1}") for n in range(len(figures))]
    for figure, place in zip(figures, places, strict=True):
        files.write(place, rendered(figure, to.suffix[1:]))
    return places


def rendered(figure: Figure, form: str) -> bytes:
    """The file's content, the same bytes every time."""
    import matplotlib

    file = io.BytesIO()
    with matplotlib.rc_context(drawing.STYLE):
        metadata = {"Date": None} if form == "svg" else {}
        figure.savefig(file, format=form, dpi=200, bbox_inches="tight", metadata=metadata)
    return file.getvalue()
