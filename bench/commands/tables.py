"""`bench table`, `bench compare`: finished runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.options import Out, Plugin, ShownMetrics, SuiteRuns
from bench.commands.output import console, print_boards, print_claims, working
from bench.errors import UserError, match

if TYPE_CHECKING:
    from contextlib import ExitStack

    from bench.console.meter import Meter
    from results.tables.anchors import Scorer
    from results.tables.leaderboard import Leaderboard

FORMATS = ("terminal", "markdown", "latex", "csv", "json", "html")


def table(
    places: SuiteRuns = None,
    all_columns: Annotated[bool, typer.Option("--all", help="Every column, not only those of the paper.")] = False,
    metric: ShownMetrics = "",
    costs: Annotated[
        bool,
        typer.Option("--costs", help="Requests, tokens, truncated answers, engine and wall seconds of every row."),
    ] = False,
    by: Annotated[
        str, typer.Option("--by", help="Slices of each category: uniqueness, rating, history:4, peers:4, words:4.")
    ] = "",
    baseline: Annotated[
        str, typer.Option("--baseline", help="A method or row. † and ‡ show what is better or worse than it.")
    ] = "",
    paper: Annotated[
        bool, typer.Option("--paper", help="Also the paper's numbers below ours, and the difference.")
    ] = False,
    anchors: Annotated[
        bool,
        typer.Option("--anchors", help="Rows of real texts: a peer's review, an old one, the reference."),
    ] = False,
    normalized: Annotated[
        bool, typer.Option("--normalized", help="Values between Non-Perso (0) and the reference (1), with anchors.")
    ] = False,
    intervals: Annotated[bool, typer.Option(help="Show half the width of every 95 % interval.")] = True,
    data: Annotated[str, typer.Option("--data", help="The dataset of `bench table statistics`.")] = "",
    form: Annotated[str, typer.Option("--format", help=f"{', '.join(FORMATS)}.")] = "terminal",
    plugin: Plugin = None,
) -> None:
    """Print the leaderboard of finished runs: categories as column groups, best in bold, second underlined."""
    from contextlib import ExitStack

    from bench.suite.grid import comma_list
    from results.tables import paper_tables, slices, which_runs
    from results.tables.assemble import leaderboards

    form = match("format", form, FORMATS)
    if paper and normalized:
        raise UserError("--paper has values and --normalized shares of the way to the reference; give one of them")
    suite, _ = which_runs.suite_of(places)
    if suite and suite.shows == "statistics":
        _statistics(data or suite.data, paper=paper, form=form)
        return
    with working("reading finished runs") as meter, ExitStack() as stack:
        suite, found = which_runs.select(places, say=meter.say)
        slice_by = slices.parse(by or (suite.by if suite else ""))
        if slice_by:
            slice_by.prepare(found, meter)
        scorer = _anchors(stack, meter) if anchors or normalized else None
        meter.start(f"table of {len(found)} runs" + (": intervals by resampling users" if intervals else ""))
        boards = leaderboards(
            found,
            all_columns=all_columns,
            metrics=comma_list(metric),
            slice_by=slice_by,
            baseline=baseline,
            intervals=intervals,
            unfinished=which_runs.unfinished(places, found),
            anchors=scorer,
            normalized=normalized,
        )
    if paper:
        boards = [paper_tables.beside(board) for board in boards]
    if form == "terminal":
        print_boards(boards, costs=costs)
        print_claims(suite, found)
    else:
        print(_text(form, boards, costs=costs), end="")


def _anchors(stack: ExitStack, meter: Meter) -> Scorer:
    from bench.score.judging import Judges
    from results.tables.anchors import Scorer

    return Scorer(stack.enter_context(Judges(say=meter.say)), begin=meter.start)


def _statistics(data: str, *, paper: bool, form: str) -> None:
    from bench.data.corpus import load
    from results.tables import dataset_sizes

    with working(f"reading data {data}"):
        corpus = load(data)
    about = dataset_sizes.title(corpus), dataset_sizes.rows(corpus, paper=paper)
    if form == "terminal":
        dataset_sizes.show(console(), *about)
    else:
        print(dataset_sizes.FORMATS[form](*about), end="")


def _text(form: str, boards: list[Leaderboard], *, costs: bool) -> str:
    from results.tables.formats import csv_json, html, latex, markdown

    if form == "json":
        return csv_json.as_json(boards)
    if form == "html":
        return html.page(boards, costs=costs)
    if form == "csv":
        return csv_json.as_csv(*boards)
    write = {"markdown": markdown.markdown, "latex": latex.latex}[form]
    return "\n".join(write(board, costs=costs) for board in boards)


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A run folder, or a method or row of the runs in --out.")],
    b: Annotated[str, typer.Argument(metavar="B", help="What A is compared with.")],
    out: Out = Path("runs"),
    data: Annotated[str, typer.Option("--data", help="Only rows of this dataset: its name or folder.")] = "",
    all_columns: Annotated[bool, typer.Option("--all", help="Every column, not only those of the paper.")] = False,
    metric: ShownMetrics = "",
    plugin: Plugin = None,
) -> None:
    """Print A minus B, paired by sample: 95 % interval over users, t-test over users, Holm-corrected."""
    from bench.suite.grid import comma_list
    from results.tables import compare as comparing

    with working(f"comparing {a} with {b}: intervals by resampling users"):
        found = comparing.compare(a, b, out, data=data, all_columns=all_columns, metrics=comma_list(metric))
    comparing.show(console(), found)
