"""The micro model on stock vLLM: greedy texts equal those of plain transformers, with and without soft rows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from bench.config import load_profile
from bench.data.corpus import load
from bench.generate.engine.transformers import TransformersGenerator
from bench.generate.engine.vllm_arguments import CACHE, installed
from bench.generate.prompts import chat
from bench.models import assets
from bench.types import Completion, Request, Sampling
from methods.rag import Rag
from methods.soft import instructed
from tests.engine.conftest import LiveEngine

pytestmark = [pytest.mark.engine]


@pytest.fixture(scope="module")
def micro(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    if installed() is None:
        pytest.skip("vllm is not installed: pip install '.[cpu]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE, "1")
        live = LiveEngine(tmp_path_factory.mktemp("micro") / "engine.log", load_profile("micro"))
        yield live
        live.close()


@pytest.fixture
def stopping(micro: LiveEngine, monkeypatch: pytest.MonkeyPatch) -> LiveEngine:
    """The same engine for a profile with a stop string and another chat template."""
    spoken = micro.profile.model_copy(update={"stop": (" the", "never said"), "chat_template": "plain"})
    monkeypatch.setattr(micro, "profile", spoken)
    monkeypatch.setattr(micro.generator, "_profile", spoken)
    monkeypatch.setitem(vars(micro.generator), "encoder", chat.of_profile(spoken, assets.resolve("micro")))
    return micro


async def by_transformers(profile_of: LiveEngine, wanted: list[Request]) -> list[Completion]:
    generator = TransformersGenerator(profile_of.profile)
    await generator.start()
    try:
        return list(await asyncio.gather(*map(generator.generate, wanted)))
    finally:
        await generator.close()


def test_greedy_texts_are_those_of_transformers(micro: LiveEngine) -> None:
    samples = load("bundled").samples("test", limit=12)
    encode = micro.generator.encoder.encode
    greedy = Sampling(0.0, 1.0, 96)
    plain = [Request(encode(Rag().prompt(one, one.history[:3])), greedy, 0) for one in samples]
    row = np.random.default_rng(0).normal(0, 0.05, (1, 128)).astype(np.float32)
    soft = [
        replace(request, ids=encode(instructed(Rag().prompt(one, one.history[:3]))), embeds=row)
        for request, one in zip(plain, samples, strict=True)
    ]
    wanted = [*plain, *soft]
    ours, theirs = micro.complete(wanted), asyncio.run(by_transformers(micro, wanted))
    equal = [a.ids == b.ids for a, b in zip(ours, theirs, strict=True)]
    print(f"greedy: {sum(equal)} of {len(equal)} equal")
    assert sum(equal) >= len(equal) - 1  # a near-tie of two logits may fall either way
    assert len({answer.text for answer in ours[: len(plain)]}) > 6
    assert {answer.finish for answer in ours} == {"stop"}


def test_the_engine_runs_the_shipped_files(micro: LiveEngine) -> None:
    from bench.models import assets

    assert micro.generator.identity()["weights"] == assets.fingerprint(assets.SHIPPED["micro"])


def test_stop_strings_end_an_answer_where_transformers_ends_it(stopping: LiveEngine) -> None:
    samples = load("bundled").samples("test", limit=12)
    encoder = stopping.generator.encoder
    assert encoder.has_own_template
    greedy = Sampling(0.0, 1.0, 64)
    wanted = [Request(encoder.encode(Rag().prompt(one, one.history[:2])), greedy, 0) for one in samples]
    ours, theirs = stopping.complete(wanted), asyncio.run(by_transformers(stopping, wanted))
    equal = [(a.ids, a.text, a.finish) == (b.ids, b.text, b.finish) for a, b in zip(ours, theirs, strict=True)]
    assert sum(equal) >= len(equal) - 1  # a near-tie of two logits may fall either way
    stopped = [one for one in ours if " the" in encoder.decode(one.ids)]
    assert len(stopped) > 3
    assert all(encoder.decode(one.ids).startswith(f"{one.text} the") and one.finish == "stop" for one in stopped)
    assert not any(" the" in one.text for one in ours)
