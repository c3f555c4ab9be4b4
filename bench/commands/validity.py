"""`bench validity`: whether scorers of authorship tell users by their real reviews."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import Data, Limit, Out, Plugin, Profile
from bench.commands.output import console, working
from bench.defaults import DATA


def validity(
    data: Data = DATA,
    profile: Profile = "",
    scorers: Annotated[
        str, typer.Option("--scorers", help="delta, lambdag, embedder; comma list.")
    ] = "delta,lambdag,embedder",
    model: Annotated[str, typer.Option("--model", help="An encoder as one more scorer: a name or a folder.")] = "",
    limit: Limit = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    out: Out = Path("runs"),
    plugin: Plugin = None,
) -> None:
    """Tell users by their real reviews: which scorers are fit to judge generated ones."""
    import json

    from bench import defaults
    from bench.config import load_profile
    from bench.data.corpus import load
    from bench.score.encoding import Encoders
    from bench.score.targets import Targets
    from metrics.identify import Identify
    from results.tables import validity as told

    metric = Identify(scorers=scorers, model=model)
    with working(f"reading data {data}") as meter:
        corpus = load(data)
        Encoders().bind(metric, load_profile(profile or defaults.profile(world=corpus.is_world)), out=out)
        metric.versions()  # a model that is not here is said before anything is computed
        targets = Targets(corpus.samples("test", limit=limit), corpus).of(metric, [])  # type: ignore[arg-type]
        lines, nobody = told.measure(metric, targets, say=meter.start)
    title = f"{corpus.name}: real texts, 1 of {metric.candidates} users"
    if as_json:
        print(json.dumps(told.as_json(title, lines, nobody=nobody), indent=1))
    else:
        told.show(console(), title, lines, nobody=nobody, candidates=metric.candidates)
