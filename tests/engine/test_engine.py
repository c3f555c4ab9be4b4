"""The real engine on the real small model: agreement with transformers, seeds, limits."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bench.data.corpus import load
from bench.generate.engine.transformers import TransformersGenerator
from bench.types import Completion, Prompt, Request, Sampling
from methods.rag import Rag
from tests.engine.conftest import LiveEngine

pytestmark = [pytest.mark.engine, pytest.mark.models]

# A greedy choice between two logits closer than this may fall either way: the engines sum in other orders.
NEAR_TIE = 2e-3


def prompts(n: int) -> list[Prompt]:
    """RAG prompts with one past review, of the bundled corpus."""
    samples = load("bundled").samples("test", limit=n)
    return [Rag().prompt(sample, sample.history[:1]) for sample in samples]


def requests(engine: LiveEngine, n: int, *, temperature: float, seed: int = 0) -> list[Request]:
    sampling = Sampling(temperature=temperature, top_p=0.95, max_new_tokens=engine.profile.max_new_tokens)
    ids = map(engine.generator.encoder.encode, prompts(n))
    return [Request(ids=row, sampling=sampling, seed=seed + number) for number, row in enumerate(ids)]


async def by_transformers(generator: TransformersGenerator, wanted: list[Request]) -> list[Completion]:
    await generator.start()
    answers = await asyncio.gather(*map(generator.generate, wanted))
    return list(answers)


def gap_of_first_difference(model: Any, request: Request, ours: Completion, theirs: Completion) -> float:
    """Distance of the two differing tokens' logits, by transformers, after the part that both agree on."""
    import torch

    at = next(i for i, (a, b) in enumerate(zip(ours.ids, theirs.ids, strict=False)) if a != b)
    with torch.inference_mode():
        logits = model(torch.tensor([[*request.ids, *theirs.ids[:at]]])).logits[0, -1]
    return float((logits[theirs.ids[at]] - logits[ours.ids[at]]).abs())


def test_greedy_texts_agree_with_transformers_up_to_near_ties(engine: LiveEngine) -> None:
    wanted = requests(engine, 12, temperature=0.0)
    ours = engine.complete(wanted)
    generator = TransformersGenerator(engine.profile)
    theirs = asyncio.run(by_transformers(generator, wanted))
    different = [i for i in range(len(wanted)) if ours[i].ids != theirs[i].ids]
    gaps = [gap_of_first_difference(generator._model, wanted[i], ours[i], theirs[i]) for i in different]
    print(f"greedy: {len(wanted) - len(different)} of {len(wanted)} equal; logit gaps where not: {gaps}")
    assert all(gap < NEAR_TIE for gap in gaps)
    assert len(different) <= 2
    assert all(answer.text for answer in ours)


def test_a_seed_decides_the_text(engine: LiveEngine) -> None:
    wanted = requests(engine, 8, temperature=0.8)
    first = engine.complete(wanted)
    engine.forget_prefixes()
    again = engine.complete(wanted)
    other = engine.complete([replace(request, seed=request.seed + 1000) for request in wanted])
    assert [a.ids for a in first] == [a.ids for a in again]
    assert all(a.ids != b.ids for a, b in zip(first, other, strict=True))


def test_two_requests_that_differ_in_the_seed_alone_are_answered_apart(engine: LiveEngine) -> None:
    one = requests(engine, 1, temperature=0.8)[0]
    answers = engine.complete([replace(one, seed=seed) for seed in range(4)])
    assert len({answer.ids for answer in answers}) == 4
    assert all(answer.n_prompt == len(one.ids) for answer in answers)


def test_seeded_prompts_that_fill_the_budget_together_do_not_kill_the_engine(engine: LiveEngine) -> None:
    """A prefill in chunks would: the CPU's random generators cannot be rewound."""
    filler = engine.generator.encoder.encode(Prompt("Write.", "word " * 2000))[: engine.profile.input_budget]
    sampling = Sampling(temperature=0.8, top_p=0.95, max_new_tokens=4)
    answers = engine.complete([Request(ids=filler, sampling=sampling, seed=seed) for seed in range(6)])
    assert [answer.n_prompt for answer in answers] == [engine.profile.input_budget] * 6
    assert all(1 <= answer.n_new <= 4 for answer in answers)


def test_a_shared_beginning_is_served_from_the_prefix_cache(engine: LiveEngine) -> None:
    one = requests(engine, 1, temperature=0.0)[0]
    engine.forget_prefixes()
    cold, warm = engine.complete([one])[0], engine.complete([one])[0]
    assert cold.n_cached == 0
    assert warm.n_cached > len(one.ids) // 2
    assert warm.ids == cold.ids


def test_the_end_token_ends_the_text_and_is_not_part_of_it(engine: LiveEngine) -> None:
    ids = engine.generator.encoder.encode(Prompt("You answer with one word.", "Say yes."))
    sampling = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=engine.profile.max_new_tokens)
    (answer,) = engine.complete([Request(ids=ids, sampling=sampling, seed=0)])
    assert answer.finish == "stop"
    assert "<|im_end|>" not in answer.text
