"""Soft prompts in the real engine: what the rows say is read, where they stand, and from no wrong cache."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from bench.errors import SampleFailure, UserError
from bench.generate.transformers import TransformersGenerator
from bench.types import Request, Sampling
from tests.engine.conftest import LiveEngine
from tests.engine.soft import as_rows, gap, soft_requests
from tests.engine.test_engine import NEAR_TIE, by_transformers, gap_of_first_difference, requests

pytestmark = [pytest.mark.engine, pytest.mark.models]

N = 8
GREEDY = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=32)


@pytest.fixture(scope="module")
def users(engine: LiveEngine) -> tuple[list[Request], list[Request]]:
    """Two users' requests: equal ids, different rows."""
    encoder = engine.generator.encoder
    one, other = (soft_requests(encoder, N, GREEDY, user=user) for user in (1, 2))
    assert [request.ids for request in one] == [request.ids for request in other]
    return one, other


def texts(engine: LiveEngine, wanted: list[Request]) -> list[tuple[int, ...]]:
    return [answer.ids for answer in engine.complete(wanted)]


def test_ids_and_their_embeddings_give_the_same_greedy_texts(engine: LiveEngine) -> None:
    wanted = requests(engine, N, temperature=0.0)
    by_rows = [as_rows(engine.generator.encoder, request) for request in wanted]
    ours, theirs = engine.complete(wanted), engine.complete(by_rows)
    different = [i for i in range(N) if ours[i].ids != theirs[i].ids]
    generator = TransformersGenerator(engine.profile)
    model = generator._load() if different else None
    gaps = [gap_of_first_difference(model, wanted[i], theirs[i], ours[i]) for i in different]
    print(f"ids and embeddings, greedy: {N - len(different)} of {N} equal; logit gaps where not: {gaps}")
    assert all(distance < NEAR_TIE for distance in gaps)
    assert len(different) <= 2
    assert [answer.n_prompt for answer in theirs] == [len(request.ids) for request in wanted]


def test_soft_prompts_agree_with_transformers_up_to_near_ties(
    engine: LiveEngine, users: tuple[list[Request], list[Request]]
) -> None:
    wanted = [*users[0], *requests(engine, 2, temperature=0.0)]  # in one batch with ordinary prompts
    ours = engine.complete(wanted)
    generator = TransformersGenerator(engine.profile)
    theirs = asyncio.run(by_transformers(generator, wanted))
    different = [i for i in range(N) if ours[i].ids != theirs[i].ids]
    gaps = [gap(generator._model, generator.encoder, wanted[i], ours[i], theirs[i]) for i in different]
    print(f"soft, greedy, vLLM and transformers: {N - len(different)} of {N} equal; logit gaps where not: {gaps}")
    assert all(distance < NEAR_TIE for distance in gaps)
    assert len(different) <= 2


def test_equal_texts_with_other_rows_are_other_prompts_to_the_prefix_cache(
    engine: LiveEngine, users: tuple[list[Request], list[Request]]
) -> None:
    one, other = users
    engine.forget_prefixes()
    cold_one = texts(engine, one)
    engine.forget_prefixes()
    cold_other = texts(engine, other)
    assert all(a != b for a, b in zip(cold_one, cold_other, strict=True))

    after_other = texts(engine, one)  # the cache holds the other user's prompts
    engine.forget_prefixes()
    again_one = texts(engine, one)
    after_one = texts(engine, other)
    assert after_other == again_one == cold_one
    assert after_one == cold_other


def test_soft_prompts_are_served_from_the_prefix_cache(
    engine: LiveEngine, users: tuple[list[Request], list[Request]]
) -> None:
    one, other = users[0][0], users[1][0]
    engine.forget_prefixes()
    cold, warm = engine.complete([one])[0], engine.complete([one])[0]
    shared = engine.complete([other])[0]
    first_soft = one.ids.index(engine.generator.encoder.slot_id)
    print(f"cached of {len(one.ids)}: again {warm.n_cached}, another user {shared.n_cached}; rows from {first_soft}")
    assert cold.n_cached == 0
    assert warm.n_cached > len(one.ids) // 2
    assert warm.ids == cold.ids
    assert 0 < shared.n_cached <= first_soft


def test_rows_change_a_drawn_text_and_a_seed_decides_it(
    engine: LiveEngine, users: tuple[list[Request], list[Request]]
) -> None:
    drawn = replace(GREEDY, temperature=0.8, top_p=0.95)
    one, other = ([replace(request, sampling=drawn, seed=3) for request in user[:3]] for user in users)
    first = texts(engine, one)
    assert first == texts(engine, one)
    assert all(a != b for a, b in zip(first, texts(engine, other), strict=True))


def test_rows_that_do_not_fit_are_refused_and_the_engine_lives_on(
    engine: LiveEngine, users: tuple[list[Request], list[Request]]
) -> None:
    one = users[0][0]
    assert one.rows is not None
    with pytest.raises(UserError, match="hidden size 576"):
        engine.complete([replace(one, rows=one.rows[:, :-1])])
    with pytest.raises(SampleFailure, match="6 slots, but the method's module gave 5 rows"):
        engine.complete([replace(one, rows=one.rows[:-1])])
    with pytest.raises(UserError, match="no finite numbers"):
        engine.complete([replace(one, rows=np.full_like(one.rows, np.nan))])
    assert engine.complete([one])[0].text
