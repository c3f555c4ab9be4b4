"""`bench plot`, `bench report`: finished runs as figures and as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import DrawnMetrics, Plugin, SuiteRuns
from bench.commands.output import working
from bench.errors import match


def plot(
    kind: Annotated[str, typer.Argument(help="k-sweep, uniqueness, ablations, costs or metrics.")],
    places: SuiteRuns = None,
    metric: DrawnMetrics = "",
    to: Annotated[Path | None, typer.Option("--to", help="A .svg, .png or .pdf file.", show_default="KIND.svg")] = None,
    title: Annotated[str, typer.Option("--title", help="A line above the panels.")] = "",
    plugin: Plugin = None,
) -> None:
    """Draw a figure of finished runs, with intervals, readable in grey."""
    from bench.suite.grid import comma_list
    from results.figures import plots
    from results.tables.which_runs import select

    kind = match("plot", kind, plots.KINDS)
    with working("reading finished runs") as meter:
        _, found = select(places, say=meter.say)
        figures = plots.draw(kind, found, comma_list(metric), title=title, meter=meter)
        meter.start("writing figures")
        written = plots.save(figures, to or Path(f"{kind}.svg"))
    for path in written:
        print(path)


def report(
    places: SuiteRuns = None,
    to: Annotated[Path, typer.Option("--to", help="The HTML file.")] = Path("report.html"),
    baseline: Annotated[
        str, typer.Option("--baseline", help="A method or row. † and ‡ show what is better or worse than it.")
    ] = "",
    title: Annotated[str, typer.Option("--title", help="The page's title.")] = "dep-bench report",
    prompts: Annotated[bool, typer.Option(help="Include every prompt; without prompts the file is smaller.")] = True,
    plugin: Plugin = None,
) -> None:
    """Write one HTML file with tables, figures, costs and all samples. It needs no network and no server."""
    from results.report import report as pages
    from results.tables import which_runs

    with working("reading finished runs") as meter:
        _, found = which_runs.select(places, say=meter.say)
        unfinished = which_runs.unfinished(places, found)
        pages.write(found, to, title=title, baseline=baseline, prompts=prompts, unfinished=unfinished, meter=meter)
    print(to)
