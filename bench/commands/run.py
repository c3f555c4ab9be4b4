"""`bench run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.commands.output import Data, Out, Plugin, console, print_boards, tell_failures, to_stderr
from bench.errors import unknown


def run(
    method: Annotated[str, typer.Option("--method", "-m", help="Names separated by commas, or all.")] = "all",
    retriever: Annotated[str, typer.Option("--retriever", "-r", help="Names separated by commas, or all.")] = "recency",
    k: Annotated[str, typer.Option("-k", help="Retrieved reviews; comma list.", show_default="the profile's")] = "",
    data: Data = "bundled",
    profile: Annotated[
        str, typer.Option("--profile", "-p", help="Models, budgets, sampling: a name or a TOML file.")
    ] = "tiny",
    limit: Annotated[
        int | None, typer.Option("--limit", help="At most N samples, drawn by user; smaller are nested in larger.")
    ] = None,
    seed: Annotated[str, typer.Option("--seed", help="Run seeds; comma list.")] = "0",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value: temperature=0, rag.order=chronological, engine.max_num_seqs=32."),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="test or val.")] = "test",
    generator: Annotated[str, typer.Option("--generator", help="vllm, openai or transformers.")] = "vllm",
    base_url: Annotated[
        str, typer.Option("--base-url", help="Server of --generator openai; its key is read from OPENAI_API_KEY.")
    ] = "",
    model_name: Annotated[
        str, typer.Option("--model-name", help="Model on that server.", show_default="its only one")
    ] = "",
    metric: Annotated[
        str, typer.Option("--metric", help="Names separated by commas.", show_default="the profile's")
    ] = "",
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Batches of one: same texts every time, slower.")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try the failed samples of finished runs again.")] = False,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="A trained method's checkpoint folder; it must fit the run.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the cells and what is left of them; run nothing.")
    ] = False,
    out: Out = Path("runs"),
    plugin: Plugin = None,
) -> None:
    """Run methods x retrievers x K x seeds, then print the leaderboard. Goes on where it was stopped."""
    from bench.console.progress import Progress
    from bench.data.corpus import NO_PEERS, load, resolve
    from bench.run import planning, runner
    from bench.run.cells import plan
    from bench.suite import grid
    from results.tables import show
    from results.tables.finished import Finished
    from results.tables.leaderboard import leaderboards

    values = grid.settings(set_ or [])
    if metric:
        values["metrics"] = grid.comma_list(metric)
    corpus = load(data)
    if alone := corpus.without_peers():
        to_stderr(f"note: {NO_PEERS.format(', '.join(alone))}")
    configs = grid.expand(
        corpus,
        data=resolve(data),
        methods=grid.named(method, "method"),
        retrievers=grid.named(retriever, "retriever"),
        ks=grid.integers(k, option="-k") if k else None,
        seeds=grid.integers(seed, option="--seed"),
        profile=profile,
        set_values=values,
        split=_split(split),
        limit=limit,
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
    print_boards(leaderboards([Finished(cell.folder, summary) for cell, summary in zip(cells, summaries, strict=True)]))
    if tell_failures([cell.folder for cell in cells], "run ... --retry"):
        raise typer.Exit(1)


def _split(name: str) -> Any:
    if name not in ("test", "val"):
        raise unknown("split", name, ("test", "val"))
    return name
