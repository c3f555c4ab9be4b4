"""What the micro model has learnt: habits shown given nothing, another user's history, the user's own, the key.

On users of a world that it never saw. `recovered` is (own - nothing) / (key - nothing): the way from floor to ceiling.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.config import Profile
from bench.data.corpus import load
from bench.data.swap import swapped
from bench.data.synthetic import world
from bench.generate.engine.transformers import TransformersGenerator
from bench.seeds import derive
from bench.types import Prompt, Request, Sample, Target
from methods import nonperso, oracle
from methods.rag import Rag
from metrics.habits import Habits

K = 4
WAYS = ("nothing", "swapped", "own", "key")


def measured(profile: Profile, *, of: str = "mixed", n: int = 300) -> dict[str, Any]:
    """way -> the columns of `habits`; those of the references; `recovered` of own and swapped history."""
    with TemporaryDirectory() as folder:
        world.write(Path(folder), world.named()[of], name=of)
        corpus = load(folder)
        samples = corpus.samples("test", limit=n)
        targets = [Target(one, corpus.reference(one.sample_id), corpus.truth(one)) for one in samples]
    others = swapped(samples, corpus, seed=0)
    shares = {way: shown(asyncio.run(_written(profile, way, targets, others)), targets) for way in WAYS}
    shares["reference"] = shown([target.reference for target in targets], targets)
    floor, ceiling = shares["nothing"]["habits"], shares["key"]["habits"]
    room = ceiling - floor  # of a model that follows no words there is none
    recovered = {way: (shares[way]["habits"] - floor) / room if room > 0 else None for way in ("own", "swapped")}
    return {"world": of, "n": n, "k": K, "shown": shares, "recovered": recovered}


def shown(texts: Sequence[str], targets: Sequence[Target]) -> dict[str, float]:
    """The columns of metric `habits`."""
    metric = Habits()
    return metric.aggregate(metric.score(texts, targets))


def prompt(way: str, target: Target, other: Sample) -> Prompt:
    sample = target.sample
    if way == "key":
        assert target.truth is not None
        return oracle.prompt(sample, target.truth.habits)
    if way == "nothing":
        return nonperso.prompt(sample)
    history = other.history if way == "swapped" else sample.history
    return Rag().prompt(sample, history[:K])


async def _written(profile: Profile, way: str, targets: Sequence[Target], others: Sequence[Sample]) -> list[str]:
    generator = TransformersGenerator(profile)
    await generator.start()
    try:
        requests = [
            Request(
                generator.encoder.encode(prompt(way, target, other)),
                profile.sampling,
                derive(0, "card", way, target.sample.sample_id),
            )
            for target, other in zip(targets, others, strict=True)
        ]
        answers = await asyncio.gather(*map(generator.generate, requests))
    finally:
        await generator.close()
    return [answer.text for answer in answers]
