"""`bench power`, `bench metrics`: what differences between the rows of a table can show, and which metrics agree."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.commands.options import Plugin, ShownMetrics, SuiteRuns
from bench.commands.output import console, one_by_one, working

Every = Annotated[bool, typer.Option("--all", help="Every column, not only those of the paper.")]


def power(
    places: SuiteRuns = None,
    difference: Annotated[
        float | None, typer.Option("--difference", help="How many users it needs; in a column's units: 0.01.")
    ] = None,
    relative: Annotated[
        str, typer.Option("--relative", help="The same, as a share of a column's value: 5%.", show_default="5%")
    ] = "",
    baseline: Annotated[str, typer.Option("--baseline", help="Only differences from this method or row.")] = "",
    method: Annotated[
        str, typer.Option("--method", "-m", help="Only the difference of two methods or rows: rag,dpl.")
    ] = "",
    all_columns: Every = False,
    metric: ShownMetrics = "",
    plugin: Plugin = None,
) -> None:
    """Print the smallest difference that the users of finished runs can show, and how many users a difference needs."""
    from bench.suite.grid import comma_list
    from results.tables import power as powers
    from results.tables import scored_rows, which_runs

    want = powers.wanted(difference, relative)
    with working("reading finished runs") as meter:
        _, found = which_runs.select(places, say=meter.say)
        tables = scored_rows.tables(found, all_columns=all_columns, metrics=comma_list(metric))
        meter.start("power: differences over users")
        made = powers.measure(tables, want, baseline=baseline, pair=comma_list(method))
    for one in made:
        powers.show(console(), one)


def metrics(
    places: SuiteRuns = None,
    baseline: Annotated[str, typer.Option("--baseline", help="Only differences from this method or row.")] = "",
    all_columns: Every = False,
    metric: ShownMetrics = "",
    plugin: Plugin = None,
) -> None:
    """Print how far metrics agree: on differences between rows, on another user's history, on the order of methods."""
    from bench.suite.grid import comma_list
    from results.tables import agreement, agreement_shown, scored_rows, which_runs

    with working("reading finished runs") as meter:
        _, found = which_runs.select(places, say=meter.say)
        tables = scored_rows.tables(found, all_columns=all_columns, metrics=comma_list(metric))
    made = agreement.measure(tables, baseline=baseline)
    for one in one_by_one(made, "metrics: correlations over users"):
        agreement_shown.show(console(), one)
