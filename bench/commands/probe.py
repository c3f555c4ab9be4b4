"""`bench probe`: what users' vectors hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import Data, Out, Plugin, Profile
from bench.commands.output import console, to_stderr, working
from bench.defaults import DATA
from bench.errors import UserError, match


def probe(
    data: Data = DATA,
    profile: Profile = "",
    k: Annotated[str, typer.Option("-k", help="Newest reviews of a user; comma list.")] = "1,2,4,8",
    target: Annotated[
        str, typer.Option("--target", help="habits or identity.", show_default="habits where they are planted")
    ] = "",
    users: Annotated[int, typer.Option("--users", help="Users of a category, for identity.", min=2)] = 50,
    seed: Annotated[int, typer.Option("--seed", help="Draws users and folds.")] = 0,
    to: Annotated[Path | None, typer.Option("--to", help="Also a figure: .svg, .png or .pdf.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    out: Out = Path("runs"),
    plugin: Plugin = None,
) -> None:
    """Tell habits or identities from users' vectors by a linear probe: what soft prompts over them could carry."""
    import json

    from bench import defaults
    from bench.config import load_profile
    from bench.console.meter import Meter
    from bench.context.prefetch import vector_store
    from bench.data.corpus import load
    from bench.embed.encoders import create
    from bench.embed.store import StoredEmbedder
    from bench.suite.grid import integers
    from results.figures import probe as figure
    from results.tables import probe as told

    ks = integers(k, option="-k")
    if 0 in ks:
        raise UserError(f"-k {k}: no review tells nothing; give numbers of at least 1")
    with working(f"reading data {data}"):
        corpus = load(data)
    what = match("target of a probe", target or ("habits" if corpus.is_world else "identity"), ("habits", "identity"))
    samples = told.users(corpus, ks=ks, what=what, n=users if what == "identity" else None, seed=seed)
    encoder = create(load_profile(profile or defaults.profile(world=corpus.is_world)).embedder)
    with Meter(shown=True) as meter:
        texts = told.texts(corpus, samples)
        meter.start(f"embedding up to {len(texts):,} texts", len(texts))
        before = 0

        def embedded(done: int, total: int) -> None:
            nonlocal before
            meter.advance(done - before)
            before = done

        vectors = StoredEmbedder(vector_store(out), encoder, progress=embedded)
        vectors.embed(texts)  # all at once: the encoder gets full batches
        rows = told.measure(corpus, samples, vectors, ks=ks, what=what, seed=seed, say=meter.say)
    title = f"{corpus.name}, {what}, {encoder.identity().split()[0][:12]}"
    if as_json:
        print(json.dumps(told.as_json(title, rows), indent=1))
    else:
        told.show(console(), title, rows)
    if to:
        figure.save(rows, title, to)
        to_stderr(str(to))
