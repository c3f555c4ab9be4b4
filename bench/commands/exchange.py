"""`bench export samples`, `bench import predictions`: texts that are made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.commands.options import Limit, Metrics, Out, Plugin
from bench.commands.output import print_boards, to_stderr, working
from bench.defaults import DATA, PROFILE_SAID
from bench.errors import UserError

DataOption = Annotated[str, typer.Option("--data", help="A dataset's name or folder.")]
ExportedSplit = Annotated[str, typer.Option("--split", help="test or val.")]
LimitSeed = Annotated[int, typer.Option("--limit-seed", help="The seed by which --limit draws users.", min=0)]


def import_predictions(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="JSON lines of a sample and its text; one file a seed.")
    ],
    name: Annotated[str, typer.Option("--name", help="The system that wrote them, as tables name it.")],
    data: DataOption = DATA,
    split: ExportedSplit = "test",
    limit: Limit = None,
    limit_seed: LimitSeed = 0,
    seed: Annotated[str, typer.Option("--seed", help="A seed for each file; comma list.", show_default="0,1,...")] = "",
    metric: Metrics = "",
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            "-p",
            help="Its metrics and their options; a judge's model. No text is its.",
            show_default=PROFILE_SAID,
        ),
    ] = "",
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Samples without a text count as failed: score 0, in n.")
    ] = False,
    ignore_unknown: Annotated[
        bool, typer.Option("--ignore-unknown", help="Leave out lines of samples that are not asked for.")
    ] = False,
    last: Annotated[bool, typer.Option("--last", help="Of several texts of a sample, take the last.")] = False,
    out: Out = Path("runs"),
    plugin: Plugin = None,
) -> None:
    """Import texts that were made elsewhere as a run, marked as such, and score it. Wrong files are refused."""
    from bench.exchange import imported
    from bench.exchange.predictions import Rules
    from bench.suite import grid
    from results.tables.assemble import leaderboards
    from results.tables.finished_runs import FinishedRun

    asked = imported.Asked(
        name=name,
        data=data,
        profile=profile,
        out=out,
        split=split,
        limit=limit,
        limit_seed=limit_seed,
        metrics=grid.metrics(metric),
        rules=Rules(allow_missing, ignore_unknown, last),
    )
    seeds = grid.integers(seed, option="--seed") if seed else list(range(len(files)))
    with working(f"importing {', '.join(map(str, files))}") as meter:
        found = imported.run(files, seeds, asked, say=meter.say)
    for one in found:
        to_stderr(one.said)
    print_boards(leaderboards([FinishedRun(one.folder, one.summary) for one in found]))


def export_samples(
    to: Annotated[Path, typer.Option("--to", help="The file, JSON lines; packed if its name ends in .gz.")],
    data: DataOption = DATA,
    split: ExportedSplit = "test",
    limit: Limit = None,
    limit_seed: LimitSeed = 0,
    prompts: Annotated[
        str, typer.Option("--prompts", help="Add the prompts of a method of one request: rag, nonperso.")
    ] = "",
    retriever: Annotated[str, typer.Option("--retriever", "-r", help="Of --prompts.", show_default="recency")] = "",
    k: Annotated[
        int | None, typer.Option("-k", help="Of --prompts: retrieved reviews.", min=0, show_default="the profile's")
    ] = None,
    profile: Annotated[
        str, typer.Option("--profile", "-p", help="Of --prompts: its budget, tokenizer.", show_default=PROFILE_SAID)
    ] = "",
    generator: Annotated[
        str, typer.Option("--generator", help="Of --prompts: whose tokenizer counts.", show_default="vllm")
    ] = "",
    out: Annotated[Path, typer.Option("--out", help="Where vectors of a retriever are kept.")] = Path("runs"),
    plugin: Plugin = None,
) -> None:
    """Write what others need to generate texts: samples with their histories, never a text that is to be written."""
    from bench.data.corpus import load
    from bench.errors import match
    from bench.exchange import samples as exchange

    of_prompts = {"--retriever": retriever, "-k": k, "--profile": profile, "--generator": generator}
    if not prompts and (given := [option for option, value in of_prompts.items() if value not in ("", None)]):
        raise UserError(f"{given[0]} goes with --prompts METHOD; add it, or leave {given[0]} out")
    chosen: Any = match("split", split, ("test", "val"))
    with working(f"reading data {data}"):
        corpus = load(data)
        samples = corpus.samples(chosen, limit=limit, limit_seed=limit_seed)
    if not samples:
        raise UserError(f"data '{data}' has no samples in split '{chosen}'")
    made, said = None, ""
    if prompts:
        from bench.exchange import prompts as of_methods

        with working(f"making the prompts of {prompts}"):
            config = of_methods.config(
                corpus,
                data=data,
                method=prompts,
                retriever=retriever or "recency",
                k=k,
                profile=profile,
                generator=generator or "vllm",
            )
            made = of_methods.of_method(config, samples, corpus, out)
        said = of_methods.said(config)
    with working(f"writing {to}"):
        lines, left_out = exchange.export(samples, corpus, to, prompts=made)
    print(f"{to}: {lines:,} samples of {corpus.name}, {chosen} split{said}")
    if left_out:
        to_stderr(f"note: {left_out:,} past reviews are to be written by other samples, and are not in the file")
