"""Options that several verbs take, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.defaults import PROFILE_SAID

Method = Annotated[str, typer.Option("--method", "-m", help="Names separated by commas, or all.")]
Retriever = Annotated[str, typer.Option("--retriever", "-r", help="Names separated by commas, or all.")]
K = Annotated[str, typer.Option("-k", help="Retrieved reviews; comma list.", show_default="the profile's")]
Profile = Annotated[
    str,
    typer.Option(
        "--profile", "-p", help="Models, budgets, sampling: a name or a TOML file.", show_default=PROFILE_SAID
    ),
]
SuiteProfile = Annotated[str, typer.Option("--profile", "-p", help="For all cells.", show_default="the suite's")]
Seeds = Annotated[str, typer.Option("--seed", help="Run seeds; comma list.")]
SuiteSeeds = Annotated[str, typer.Option("--seed", help="Run seeds; comma list.", show_default="the suite's")]
Limit = Annotated[
    int | None, typer.Option("--limit", help="At most N samples a cell, drawn by user; smaller are nested in larger.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value: temperature=0, rag.order=chronological, engine.max_num_seqs=32."),
]
Split = Annotated[str, typer.Option("--split", help="test or val.")]
History = Annotated[
    str, typer.Option("--history", help="own; another user's: random, similar, dissimilar. Checkpoints stay.")
]
Metrics = Annotated[str, typer.Option("--metric", help="Names separated by commas.", show_default="the profile's")]
ShownMetrics = Annotated[
    str,
    typer.Option(
        "--metric", help="Metrics or columns, separated by commas: rouge, rougeL.", show_default="the main ones"
    ),
]
DrawnMetrics = Annotated[
    str,
    typer.Option("--metric", help="Metrics or columns, comma list: rouge, rougeL.", show_default="the paper's figure"),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option("--checkpoint", help="A trained method's checkpoint; its train.* settings are taken from it."),
]
Generator = Annotated[str, typer.Option("--generator", help="vllm, openai or transformers.")]
BaseUrl = Annotated[
    str, typer.Option("--base-url", help="Server of --generator openai; its key is read from OPENAI_API_KEY.")
]
ModelName = Annotated[str, typer.Option("--model-name", help="Model on that server.", show_default="its only one")]
Deterministic = Annotated[bool, typer.Option("--deterministic", help="Batches of one: same texts every time, slower.")]
Retry = Annotated[bool, typer.Option("--retry", help="Try the failed samples of finished runs again.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the cells and what is left of them; run nothing.")]
Out = Annotated[Path, typer.Option("--out", help="Folder of all runs and of the request store.")]
Data = Annotated[str, typer.Option("--data", help="A shipped dataset or a folder made by `bench data build`.")]
Runs = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="RUN", help="Run folders, runs or methods of those in --out, or output folders. Default: --out."
    ),
]
SuiteRuns = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="SUITE|RUN", help="Run or output folders, default runs/. With a SUITE, only runs of its cells."
    ),
]


def _load_plugins(files: list[Path] | None) -> list[Path] | None:
    from bench import plugins

    plugins.load(map(str, files or []))
    return files


Plugin = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        callback=_load_plugins,
        is_eager=True,
        help="A Python file with methods, retrievers, metrics or data.",
    ),
]
