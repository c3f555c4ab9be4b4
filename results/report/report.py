"""`bench report`: one HTML file with tables, figures, costs and all samples. It needs no network."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from bench.console.meter import Meter
from bench.errors import UserError
from bench.record import files, runs
from bench.record.runs import RunFolder
from results.figures import plots
from results.report import browser
from results.report.browser import Samples
from results.tables import uniqueness
from results.tables.assemble import leaderboards
from results.tables.finished_runs import FinishedRun
from results.tables.formats import html
from results.tables.leaderboard import Leaderboard

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = ("ablations", "k-sweep", "uniqueness", "costs")
TITLES = {
    "ablations": "All rows",
    "k-sweep": "Number of retrieved reviews",
    "uniqueness": "Unique and Non-Unique users",
    "costs": "Costs",
}


def write(
    found: Sequence[FinishedRun],
    to: Path,
    *,
    title: str = "dep-bench report",
    baseline: str = "",
    prompts: bool = True,
    unfinished: Sequence[RunFolder] = (),
    meter: Meter | None = None,
) -> None:
    """Writes the page, whole or not at all. It computes no vector: what lacks some is left out, and a line says so."""
    meter = meter or Meter()
    meter.start(f"report: tables of {len(found)} runs, intervals by resampling users")
    boards = leaderboards(found, baseline=baseline, unfinished=unfinished)
    samples = browser.collect(found, prompts=prompts, meter=meter)
    figures = [_figures(kind, found, meter) for kind in FIGURES]
    meter.start(f"report: writing {to}")
    parts = {
        "TITLE": escape(title),
        "STYLE": html.STYLE + _asset("report.css"),
        "TABLES": "\n".join(html.table(board) for board in boards),
        "FIGURES": "\n".join(figures),
        "COSTS": "\n".join(html.table(_without_values(board), costs=True) for board in boards),
        "DATA": "\n".join(_data(number, one) for number, one in enumerate(samples)),
        "SCRIPT": _asset("report.js"),
    }
    page = _asset("report.html")
    before, *rest = page.split("{{")
    for piece in rest:
        name, _, after = piece.partition("}}")
        before += parts[name] + after
    files.write(to, before)


def _without_values(board: Leaderboard) -> Leaderboard:
    return replace(board, categories=(), columns=(), notes=())


def _asset(name: str) -> str:
    return (resources.files("results") / "report" / "page" / name).read_text("utf-8")


def _figures(kind: str, found: Sequence[FinishedRun], meter: Meter) -> str:
    """The figures as images inside the page, so that ids of one SVG cannot clash with those of another.

    "" if there is nothing to draw.
    """
    meter.start(f"report: figure '{TITLES[kind]}'")
    try:
        if kind == "uniqueness":
            _check_vectors(found)
        figures = plots.draw(kind, found, (), meter=meter)
    except plots.NothingToDraw:
        return ""
    except UserError as error:  # missing vectors or a missing encoder must not cost the rest of the page
        meter.say(f"figure '{TITLES[kind]}' is left out: {error}")
        return f'<p class="notes">{escape(TITLES[kind])}: left out: {escape(str(error))}</p>'
    return "".join(_picture(figure, f"{TITLES[kind]}: {figure.get_suptitle()}") for figure in figures)


def _check_vectors(found: Sequence[FinishedRun]) -> None:
    """Raises UserError that names the command which computes the vectors that are missing."""
    lacking, needed = uniqueness.missing(found)
    if lacking:
        places = dict.fromkeys(str(run.folder.path.parent) for run in found)
        again = shlex.join(["bench", "plot", "uniqueness", *places])
        raise UserError(f"{lacking:,} of {needed:,} vectors of past reviews are not stored; `{again}` makes them")


def _picture(figure: Figure, caption: str) -> str:
    data = base64.b64encode(plots.rendered(figure, "svg")).decode()
    said = escape(caption)
    return f'<figure><img alt="{said}" src="data:image/svg+xml;base64,{data}"><figcaption>{said}</figcaption></figure>'


def _data(number: int, samples: Samples) -> str:
    """JSON in which no text can end the script, because "<" is escaped."""
    index = runs.dump(samples.index).replace("<", "\\u003c")
    blocks = "\n".join(
        f'<script type="text/plain" id="block-{number}-{place}">{block}</script>'
        for place, block in enumerate(samples.blocks)
    )
    return f'<script type="application/json" class="index">{index}</script>\n{blocks}'
