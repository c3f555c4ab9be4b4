"""`bench report`: one HTML file with tables, figures, costs and all samples. It needs no network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from importlib import resources
from pathlib import Path

from bench.errors import UserError
from bench.record import files, runs
from results.figures import plots
from results.report import browser
from results.report.browser import Samples
from results.tables.assemble import leaderboards
from results.tables.finished_runs import FinishedRun
from results.tables.formats import html
from results.tables.leaderboard import Leaderboard

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
    unique: bool = True,
) -> None:
    """Writes the page, whole or not at all. `unique` False leaves out the one figure that may have to embed texts."""
    boards = leaderboards(found, baseline=baseline)
    kinds = [kind for kind in FIGURES if unique or kind != "uniqueness"]
    samples = browser.collect(found, prompts=prompts)
    parts = {
        "TITLE": escape(title),
        "STYLE": html.STYLE + _asset("report.css"),
        "TABLES": "\n".join(html.table(board) for board in boards),
        "FIGURES": "\n".join(_figures(kind, found) for kind in kinds),
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


def _figures(kind: str, found: Sequence[FinishedRun]) -> str:
    """The figures as images inside the page, so that ids of one SVG cannot clash with those of another.

    "" if there is nothing to draw.
    """
    try:
        figures = plots.draw(kind, found, ())
    except plots.NothingToDraw:
        return ""
    except UserError as error:  # a missing encoder must not cost the rest of the page
        return f'<p class="notes">{escape(TITLES[kind])}: not drawn: {escape(str(error))}</p>'
    pictures = []
    for figure in figures:
        data = base64.b64encode(plots.rendered(figure, "svg")).decode()
        pictures.append(f'<img alt="{escape(TITLES[kind])}" src="data:image/svg+xml;base64,{data}">')
    return f"<figure>{''.join(pictures)}<figcaption>{escape(TITLES[kind])}</figcaption></figure>"


def _data(number: int, samples: Samples) -> str:
    """JSON in which no text can end the script, because "<" is escaped."""
    index = runs.dump(samples.index).replace("<", "\\u003c")
    blocks = "\n".join(
        f'<script type="text/plain" id="block-{number}-{place}">{block}</script>'
        for place, block in enumerate(samples.blocks)
    )
    return f'<script type="application/json" class="index">{index}</script>\n{blocks}'
