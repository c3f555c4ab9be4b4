"""`bench run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from bench.commands.options import (
    DATA,
    PROFILE,
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
from bench.commands.output import console, print_boards, tell_failures, tell_truncated, to_stderr
from bench.errors import unknown


def run(
    method: Method = "all",
    retriever: Retriever = "recency",
    k: K = "",
    data: Data = DATA,
    profile: Profile = PROFILE,
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
    from bench.data.corpus import load, resolve
    from bench.run import planning, runner
    from bench.run.cells import plan
    from bench.suite import grid
    from results.tables import show
    from results.tables.assemble import leaderboards
    from results.tables.finished_runs import FinishedRun

    values = grid.settings(set_ or []) | ({"metrics": grid.comma_list(metric)} if metric else {})
    corpus = load(data)
    _tell_without_peers(corpus.without_peers())
    configs = grid.expand(
        corpus,
        data=resolve(data),
        methods=grid.named(method, "method"),
        retrievers=grid.named(retriever, "retriever"),
        ks=grid.integers(k, option="-k") if k else None,
        seeds=grid.integers(seed, option="--seed"),
        profile=profile,
        set_values=values,
        split=_one_of("split", split, ("test", "val")),
        limit=limit,
        history=_one_of("history", history, ("own", "swapped")),
        generator=generator,
        generator_options=grid.server(generator, base_url=base_url, model=model_name),
        deterministic=deterministic,
    )
    with Progress() as progress:
        service = runner.open_service(configs[0], out, progress=progress)
        cells = plan(configs, corpus, out, generator=service.identity, checkpoint=checkpoint)
        if dry_run:
            show.plan(console(), planning.plan(cells, corpus, service, out))
            return
        summaries = runner.run(cells, corpus, service, out, progress=progress, retry=retry)
    print_boards(leaderboards(list(map(FinishedRun, (cell.folder for cell in cells), summaries))))
    tell_truncated(summaries)
    if tell_failures([cell.folder for cell in cells], "run ... --retry"):
        raise typer.Exit(1)


def _tell_without_peers(categories: Sequence[str]) -> None:
    from bench.data.corpus import NO_PEERS

    if categories:
        to_stderr(f"note: {NO_PEERS.format(', '.join(categories))}")


def _one_of(kind: str, name: str, known: tuple[str, ...]) -> Any:
    if name not in known:
        raise unknown(kind, name, known)
    return name
