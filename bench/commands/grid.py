"""`bench grid`: all cells of a suite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.options import (
    BaseUrl,
    Deterministic,
    DryRun,
    Generator,
    Limit,
    ModelName,
    Out,
    Plugin,
    Retry,
    SuiteProfile,
    SuiteSeeds,
)
from bench.commands.output import console, print_boards, print_claims, tell_failures, tell_truncated, to_stderr
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.config import RunConfig
    from bench.console.progress import Progress
    from bench.run import engines
    from bench.run.cells import Cell
    from bench.suite.suite import Failure, Suite


def grid(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="A shipped suite (`bench ls suites`) or a TOML file.")],
    data: Annotated[str, typer.Option("--data", help="A dataset.", show_default="the suite's")] = "",
    profile: SuiteProfile = "",
    limit: Limit = None,
    seed: SuiteSeeds = "",
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value for the cells that know the key.")] = None,
    generator: Generator = "vllm",
    base_url: BaseUrl = "",
    model_name: ModelName = "",
    deterministic: Deterministic = False,
    quick: Annotated[bool, typer.Option("--quick", help="Only the part that the suite names for this.")] = False,
    retry: Retry = False,
    dry_run: DryRun = False,
    out: Out = Path("runs"),
    plugin: Plugin = None,
) -> None:
    """Run what is new in a suite, then print its table. Cells that cannot run are listed at the end."""
    from functools import cache

    from bench.console.progress import Progress
    from bench.data.corpus import load
    from bench.run import engines
    from bench.suite import grid as arguments
    from bench.suite import suite as suites
    from results.tables import claims

    chosen = suites.load(suite)
    chosen = chosen.quickened() if quick else chosen
    given = suites.Given(
        data=data or None,
        limit=limit,
        profile=profile or None,
        seeds=tuple(arguments.integers(seed, option="--seed")) if seed else None,
        set_values=arguments.settings(set_ or []),
        generator=generator,
        generator_options=arguments.server(generator, base_url=base_url, model=model_name),
        deterministic=deterministic,
    )
    if chosen.claims:
        claims.check(chosen, [])  # names of methods and options, before hours of work
    corpora = cache(load)
    configs, failures = suites.expand(chosen, corpora, given)
    if failures:  # nothing of the machine's: the suite or the command line is wrong
        more = f" (and {len(failures) - 1} more like it)" if failures[1:] else ""
        raise UserError(f"suite '{suite}', {failures[0].what}: {failures[0].reason}{more}")
    with Progress() as progress:
        if dry_run:
            failures += show_plan(configs, corpora, out, progress)
        else:
            outcome = engines.run(configs, corpora, out, progress=progress, retry=retry)
            failures += outcome.failures
            _show(chosen, outcome.finished)
    for failure in failures:
        to_stderr(f"not run: {failure.what}: {failure.reason}")
    if chosen.shows == "statistics":
        to_stderr(f"suite '{suite}' runs nothing; `bench table {suite} --data {data or chosen.data}` shows it")
    if failures:
        raise typer.Exit(1)


def show_plan(configs: list[RunConfig], corpora: engines.Corpora, out: Path, progress: Progress) -> list[Failure]:
    """`--dry-run` of cells on any engines. Returns what cannot be planned."""
    from bench.run import engines, planning, runner
    from results.tables import show

    outcome = engines.Outcome()
    groups = engines.by_engine(configs)
    for group in groups:
        ready = engines.prepare(group, corpora, out, progress=progress, outcome=outcome)
        if ready:
            for line in runner.warnings(ready.cells, ready.corpus):
                progress.say(line)
            if len(groups) > 1:
                title = (ready.corpus.name, f"profile {group[0].profile.name}", f"engine {group[0].generator}")
                console().print(" · ".join(title), style="italic", markup=False)
            show.plan(console(), planning.plan(ready.cells, ready.corpus, ready.service, out))
    return outcome.failures


def _show(suite: Suite, cells: list[Cell]) -> None:
    from results.tables.assemble import leaderboards
    from results.tables.finished_runs import FinishedRun

    if not cells:
        return
    found = [FinishedRun(cell.folder, cell.folder.summary()) for cell in cells]
    print_boards(leaderboards(found))
    print_claims(suite, found)
    tell_truncated([run.summary for run in found])
    tell_failures([cell.folder for cell in cells], "grid ... --retry")
