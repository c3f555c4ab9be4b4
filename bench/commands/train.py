"""`bench train`: the first part of `bench run` of a trained method."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.options import Data, Method, Out, Plugin, Profile, Retriever, Seeds
from bench.commands.output import console, to_stderr, working
from bench.defaults import DATA
from bench.errors import UserError, shown

if TYPE_CHECKING:
    from bench.config import RunConfig


def train(
    method: Method = "all",
    retriever: Retriever = "recency",
    k: Annotated[
        int | None, typer.Option("-k", help="Retrieved reviews: train.k.", min=0, show_default="the profile's")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", help="At most N training samples: train.limit.", min=1, show_default="the profile's"),
    ] = None,
    data: Data = DATA,
    profile: Profile = "",
    seed: Seeds = "0",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value: train.lr=1e-4, train.k=2, dep.embeddings=his.")
    ] = None,
    generator: Annotated[str, typer.Option("--generator", help="Validates: vllm, openai or transformers.")] = "vllm",
    deterministic: Annotated[bool, typer.Option("--deterministic", help="Validate in batches of one.")] = False,
    out: Out = Path("runs"),
    plugin: Plugin = None,
) -> None:
    """Train soft-prompt methods and choose the best epoch by METEOR on the validation set. Goes on where it was."""
    from bench.console.progress import Progress
    from bench.data.corpus import load, resolve
    from bench.run import runner
    from bench.run.cells import plan
    from bench.suite import grid
    from results.tables import show

    found = grid.named(method, "method")
    trained = grid.trained(found)
    if method != "all" and trained != found:
        untrained = next(name for name in found if name not in trained)
        raise UserError(f"method '{untrained}' has nothing to train; `bench run --method {untrained}` runs it")
    values = grid.settings(set_ or [])
    for option, key, given in (("-k", "train.k", k), ("--limit", "train.limit", limit)):
        if given is not None and values.setdefault(key, given) != given:
            raise UserError(f"{option} {given} and --set {key}={shown(values[key])} are one setting; give one of them")
    with working(f"reading data {data}"):
        corpus = load(data)
    configs = grid.expand(
        corpus,
        data=resolve(data),
        methods=trained,
        retrievers=grid.named(retriever, "retriever"),
        ks=None,
        seeds=grid.integers(seed, option="--seed"),
        profile=profile,
        set_values=values,
        generator=generator,
        deterministic=deterministic,
    )
    with Progress() as progress:
        service = runner.open_service(configs[0], out, progress=progress)
        cells = plan(configs, corpus, out, generator=service.identity)
        choices = runner.train(cells, corpus, service, out, progress=progress)
    for cell, choice in choices:
        if cell.checkpoint is not None:
            show.training(console(), cell.checkpoint, choice)
            others = [
                "--data",
                data,
                *(["--profile", profile] if profile else []),
                "--generator",
                generator,
                "--out",
                str(out),
            ]
            others += [word for pair in set_ or [] if not pair.startswith("train.") for word in ("--set", pair)]
            others += [word for file in plugin or [] for word in ("--plugin", str(file))]
            others += ["--deterministic"] if deterministic else []
            to_stderr(f"next: {_next(cell.config, cell.checkpoint.path.name, others)}")


def _next(config: RunConfig, checkpoint: str, others: Sequence[str]) -> str:
    """The command that runs a checkpoint, which knows its training settings itself."""
    retriever = ["--retriever", config.retriever] if config.retriever else []
    own = ["--method", config.method, *retriever, "--seed", str(config.seed), "--checkpoint", checkpoint]
    return shlex.join(["bench", "run", *own, *others])
