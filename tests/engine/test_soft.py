"""Soft prompt embeddings in the real engine: they are read, at their slots, and from no wrong cache."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from bench.errors import SampleFailure, UserError
from bench.generate.engine.transformers import TransformersGenerator
from bench.types import Request, Sampling
from tests.engine.conftest import LiveEngine
from tests.engine.soft import as_embeds, check_equal, soft_requests
from tests.engine.test_engine import by_transformers, requests

pytestmark = [pytest.mark.engine, pytest.mark.models]

N = 8
GREEDY = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=32)

Users = tuple[list[Request], list[Request]]


@pytest.fixture(scope="module")
def users(engine: LiveEngine) -> Users:
    """Two users' requests: equal ids, different embeddings."""
    encoder = engine.generator.encoder
    one, other = (soft_requests(encoder, N, GREEDY, user=user) for user in (1, 2))
    assert [request.ids for request in one] == [request.ids for request in other]
    return one, other


@pytest.fixture(scope="module")
def local(engine: LiveEngine) -> TransformersGenerator:
    return TransformersGenerator(engine.profile)


def test_ids_and_their_embeddings_give_the_same_greedy_texts(engine: LiveEngine, local: TransformersGenerator) -> None:
    wanted = requests(engine, N, temperature=0.0)
    by_ids = engine.complete(wanted)
    by_embeds = engine.complete([as_embeds(engine.generator.encoder, request) for request in wanted])
    check_equal("ids and their embeddings", local, wanted, by_embeds, by_ids)
    assert [answer.n_prompt for answer in by_embeds] == [len(request.ids) for request in wanted]


def test_equal_texts_with_other_embeddings_are_other_prompts_to_the_prefix_cache(
    engine: LiveEngine, local: TransformersGenerator, users: Users
) -> None:
    one, other = users
    engine.forget_prefixes()
    cold_one = engine.complete(one)
    engine.forget_prefixes()
    cold_other = engine.complete(other)
    after_other = engine.complete(one)  # the cache holds the other user's prompts
    engine.forget_prefixes()
    again_one = engine.complete(one)
    after_one = engine.complete(other)

    differ = sum(a.ids != b.ids for a, b in zip(cold_one, cold_other, strict=True))
    print(f"two users' texts differ for {differ} of {N} prompts")
    assert differ >= N // 2  # some prompts have the same greedy text for both, by transformers too
    check_equal("a user alone, twice", local, one, again_one, cold_one)
    check_equal("a user after the other and alone", local, one, after_other, cold_one)
    check_equal("the other after the user and alone", local, other, after_one, cold_other)


def test_soft_prompts_agree_with_transformers_up_to_near_ties(
    engine: LiveEngine, local: TransformersGenerator, users: Users
) -> None:
    wanted = [*users[0], *requests(engine, 2, temperature=0.0), *users[1][: N // 2]]  # with ordinary prompts
    theirs = asyncio.run(by_transformers(local, wanted))
    check_equal("soft prompts by vLLM and transformers", local, wanted, engine.complete(wanted), theirs)


def test_soft_prompts_are_served_from_the_prefix_cache(engine: LiveEngine, users: Users) -> None:
    one, other = users[0][0], users[1][0]
    engine.forget_prefixes()
    cold, warm = engine.complete([one])[0], engine.complete([one])[0]
    shared = engine.complete([other])[0]
    first_soft = one.ids.index(engine.generator.encoder.slot_id)
    print(f"cached of {len(one.ids)}: again {warm.n_cached}, another user {shared.n_cached}; slots from {first_soft}")
    assert cold.n_cached == 0
    assert warm.n_cached > len(one.ids) // 2
    assert warm.ids == cold.ids
    assert 0 < shared.n_cached <= first_soft


def test_a_seed_decides_a_drawn_text_beside_the_embeddings(engine: LiveEngine, users: Users) -> None:
    drawn = replace(GREEDY, temperature=0.8, top_p=0.95)
    one, other = ([replace(request, sampling=drawn, seed=3) for request in user[:4]] for user in users)
    first, again, others = (
        [answer.ids for answer in engine.complete(each)]
        for each in (one, one, [*other, *(replace(request, seed=4) for request in one)])
    )
    assert first == again
    assert first != others[:4]
    assert all(a != b for a, b in zip(first, others[4:], strict=True))


def test_embeddings_that_do_not_fit_are_refused_and_the_engine_lives_on(engine: LiveEngine, users: Users) -> None:
    one = users[0][0]
    assert one.embeds is not None
    with pytest.raises(UserError, match="hidden size 576"):
        engine.complete([replace(one, embeds=one.embeds[:, :-1])])
    with pytest.raises(SampleFailure, match="6 slots, but the method's module gave 5 embeddings"):
        engine.complete([replace(one, embeds=one.embeds[:-1])])
    with pytest.raises(UserError, match="not all finite"):
        engine.complete([replace(one, embeds=np.full_like(one.embeds, np.nan))])
    assert engine.complete([one])[0].text
