"""`bench swap`: the same cells with another user's history, and what is lost by it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.grid import show_plan
from bench.commands.options import DryRun, Out, Plugin, ShownMetrics
from bench.commands.output import console, tell_failures, to_stderr, working
from bench.errors import UserError, match

if TYPE_CHECKING:
    from bench.console.progress import Progress
    from bench.suite.suite import Failure
    from bench.types import History
    from results.swap.sides import Own

FORMATS = ("terminal", "markdown", "json")


def swap(
    places: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Runs or rows, as `bench compare` takes them, or output folders."),
    ],
    history: Annotated[
        str, typer.Option("--history", help="random, similar, dissimilar; comma list, or all.")
    ] = "random",
    out: Out = Path("runs"),
    all_columns: Annotated[bool, typer.Option("--all", help="Every column, not only those of the paper.")] = False,
    metric: ShownMetrics = "",
    form: Annotated[str, typer.Option("--format", help=f"{', '.join(FORMATS)}.")] = "terminal",
    dry_run: DryRun = False,
    plugin: Plugin = None,
) -> None:
    """Run the same cells with another user's history and print own minus other. A gain that stays is no person's."""
    from bench.console.progress import Progress
    from bench.suite.grid import comma_list
    from results.swap import differences, show, sides
    from results.tables import scored

    form, histories = match("format", form, FORMATS), _histories(history)
    with working("reading finished runs"):
        found = sides.find(places, out)
        metrics = scored.of_runs(comma_list(metric), [run for own in found for run in own.runs])
    with Progress() as progress:
        failures = _missing(found, histories, progress, dry_run=dry_run)
    if not dry_run:
        with working("comparing: intervals by resampling users"):
            pairs = list(sides.pairs(found, histories))
            swaps = differences.measured(pairs, every=all_columns, metrics=metrics)
        if swaps and form == "terminal":
            show.terminal(console(), swaps)
        elif swaps:
            print({"markdown": show.as_markdown, "json": show.as_json}[form](swaps), end="")
        tell_failures([run.folder for pair in pairs for run in pair.swapped], "run ... --retry")
    for failure in failures:
        to_stderr(f"not run: {failure.what}: {failure.reason}")
    if failures:
        raise typer.Exit(1)


def _histories(text: str) -> list[History]:
    """'sim,random' -> ['similar', 'random']. Raises UserError where none is another user's."""
    from typing import get_args

    from bench.suite import grid
    from bench.types import History

    every = [one for one in get_args(History) if one != "own"]
    found = every if text.casefold() == "all" else [grid.history(word) for word in grid.comma_list(text)]
    if not found or "own" in found:
        raise UserError(f"--history {text!r} swaps nothing; give some of {', '.join(every)}, or all")
    return list(dict.fromkeys(found))


def _missing(found: list[Own], histories: list[History], progress: Progress, *, dry_run: bool) -> list[Failure]:
    """Runs the cells that are not finished, or shows what is left of them. Returns what could not run."""
    from bench.data.corpus import load
    from bench.run import engines
    from results.swap import sides

    corpora = cache(load)
    failures: list[Failure] = []
    for out, lacking in sides.missing(found, histories).items():
        sides.check([run for run, _ in lacking], corpora, out, progress)
        configs = [config for _, config in lacking]
        if dry_run:
            failures += show_plan(configs, corpora, out, progress)
        else:
            failures += engines.run(configs, corpora, out, progress=progress).failures
    return failures
