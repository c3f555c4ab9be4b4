"""`bench run`."""

from __future__ import annotations

from pathlib import Path

import typer

from bench.commands.options import (
    BaseUrl,
    Checkpoint,
    Data,
    Deterministic,
    DryRun,
    Generator,
    History,
    K,
    Limit,
    Method,
    Metrics,
    ModelName,
    Out,
    Plugin,
    Profile,
    Retriever,
    Retry,
    Seeds,
    Settings,
    Split,
)
from bench.commands.output import console, print_boards, tell_failures, tell_truncated, to_stderr, working
from bench.defaults import DATA


def run(
    method: Method = "all",
    retriever: Retriever = "recency",
    k: K = "",
    data: Data = DATA,
    profile: Profile = "",
    limit: Limit = None,
    seed: Seeds = "0",
    set_: Settings = None,
    split: Split = "test",
    history: History = "own",
    generator: Generator = "vllm",
    base_url: BaseUrl = "",
    model_name: ModelName = "",
    metric: Metrics = "",
    deterministic: Deterministic = False,
    retry: Retry = False,
    checkpoint: Checkpoint = None,
    dry_run: DryRun = False,
    out: Out = Path("runs"),
    plugin: Plugin = None,
) -> None:
    """Run methods x retrievers x K x seeds, then print the leaderboard. Goes on where it was stopped."""
    from bench.console.progress import Progress
    from bench.run import planning, runner
    from bench.run.asked import Asked
    from bench.suite import grid
    from results.tables import show
    from results.tables.assemble import leaderboards
    from results.tables.finished_runs import FinishedRun

    asked = Asked(
        method=method,
        retriever=retriever,
        k=k,
        data=data,
        profile=profile,
        limit=limit,
        seed=seed,
        split=split,
        history=history,
        generator=generator,
        base_url=base_url,
        model_name=model_name,
        metric=metric,
        deterministic=deterministic,
        checkpoint=checkpoint,
        out=out,
        settings=grid.settings(set_ or []),
    )
    with working(f"reading data {data}"):
        corpus = asked.corpus(say=to_stderr)
    configs = asked.expand(corpus)
    with Progress() as progress:
        cells, service = asked.plan(corpus, configs, progress)
        if dry_run:
            for line in runner.warnings(cells, corpus):
                progress.say(line)
            show.plan(console(), planning.plan(cells, corpus, service, out))
            return
        summaries = runner.run(cells, corpus, service, out, progress=progress, retry=retry)
    print_boards(leaderboards(list(map(FinishedRun, (cell.folder for cell in cells), summaries))))
    tell_truncated(summaries)
    if tell_failures([cell.folder for cell in cells], "run ... --retry"):
        raise typer.Exit(1)
