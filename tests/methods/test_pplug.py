"""PPlug: attention and embeddings worked out by hand, their invariances, and the prompt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.errors import UserError
from bench.protocols import Space
from bench.registry import create
from bench.types import Prompt, Review, Slot
from methods.pplug import PPlug
from tests.methods.context import Context, past, sample, written

HISTORY = (past(1, "So dry."), past(2, "Much too long."), past(3, "Fine."))
SAMPLE = sample(*HISTORY)
QUERY = "Desk Lamp\nA lamp for desks.\n5.0\nBright!"
VECTORS = {"So dry.": (1, 0), "Much too long.": (0, 1), "Fine.": (1, 1), QUERY: (3, 4)}
LOG3 = float(np.log(3))


def pplug(**options: Any) -> PPlug:
    method: PPlug = create("method", "pplug", options)
    return method


def made(vectors: int, hidden: int, *, norm: float = 1.0, **options: Any) -> Any:
    torch.manual_seed(0)
    nothing = np.zeros(hidden, np.float32)
    return pplug(**options).module(Space(vectors, hidden, nothing, nothing, norm))


def user(history: Any, query: Any) -> Slot:
    return Slot("user", (np.array(history, np.float32), np.array(query, np.float32)))


def random_user(seed: int, reviews: int, vectors: int = 8) -> Slot:
    generator = np.random.default_rng(seed)
    return user(generator.normal(size=(reviews, vectors)), generator.normal(size=vectors))


class Square(nn.Module):
    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return vectors**2


# ---------------------------------------------------------------- embeddings


def test_attention_by_hand_projects_then_averages() -> None:
    """Scores ln 3 and 0 are weights 3/4 and 1/4, of the squares (4,0) and (0,4): (3,1).

    Averaging first would give (1.5, .5) and its square (2.25, .25).
    """
    module = made(2, 2)
    module.project_user = Square()
    embeds, losses = module([user([[2, 0], [0, 2]], [LOG3 / 2, 0])])
    assert embeds.tolist() == [pytest.approx([3, 1])]
    assert losses == module.loss_weights == {}


def test_temperature_divides_the_scores() -> None:
    module = made(2, 2, temperature=2.0)
    module.project_user = nn.Identity()
    embeds, _ = module([user([[1, 0], [0, 1]], [2 * LOG3, 0])])
    assert embeds.tolist() == [pytest.approx([0.75, 0.25])]


def test_unmasked_padding_takes_attention_by_option_only() -> None:
    """One review with score ln 3 beside three zeros with score 0 has 3/6 of the weight."""
    for options, expected in (({}, [1, 0]), ({"compat_unmasked_padding": True, "history_cap": 4}, [0.5, 0])):
        module = made(2, 2, **options)
        module.project_user = nn.Identity()
        embeds, _ = module([user([[1, 0]], [LOG3, 0])])
        assert embeds.tolist() == [pytest.approx(expected)]


def test_the_instruction_is_a_projected_vector_between_0_and_1() -> None:
    module = made(64, 8)
    assert module.instruction.min() >= 0 and 0.9 < module.instruction.max() < 1
    embeds, _ = module([Slot("instruction"), Slot("instruction")])
    expected = module.project_instruction(module.instruction)
    torch.testing.assert_close(embeds, torch.stack([expected, expected]))


@pytest.mark.parametrize("pad", [0.0, 7.0, float("nan")])
def test_padding_does_not_change_a_user_s_embedding(pad: float) -> None:
    module = made(8, 16)
    slot = random_user(1, 5)
    history, query = (torch.tensor(part).unsqueeze(0) for part in slot.features)
    padded = torch.cat([history, torch.full((1, 3, 8), pad)], dim=1)
    real = torch.tensor([[True] * 5 + [False] * 3])
    torch.testing.assert_close(module.attended(padded, query, real), module([slot])[0])


def test_users_with_other_histories_in_the_batch_change_nothing() -> None:
    module = made(8, 16)
    slots = [random_user(1, 5), Slot("instruction"), random_user(2, 1), random_user(3, 40)]
    together, _ = module(slots)
    for place, slot in enumerate(slots):
        torch.testing.assert_close(together[place], module([slot])[0][0])


def test_the_order_of_reviews_does_not_matter() -> None:
    module = made(8, 16)
    history, query = random_user(1, 12).features
    torch.testing.assert_close(module([user(history[::-1], query)])[0], module([user(history, query)])[0])


def test_embeddings_as_long_as_the_language_model_s_by_option() -> None:
    """The option measures on unit vectors, and the factors are saved with the weights."""
    module = made(32, 64, norm=3.0, match_embedding_norm=True)
    assert "scales" in module.state_dict()
    vectors = np.random.default_rng(0).normal(size=(200, 1, 32))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    embeds, _ = module([Slot("instruction"), *(user(vector, vector[0]) for vector in vectors)])
    lengths = embeds.norm(dim=1)
    assert lengths[0].item() == pytest.approx(3)
    assert lengths[1:].mean().item() == pytest.approx(3, rel=0.05)
    assert made(32, 64, norm=3.0).scales.tolist() == [1, 1]


def test_a_shared_projector_exists_once() -> None:
    module = made(4, 8, shared_projector=True)
    embeds, _ = module([Slot("instruction")])
    torch.testing.assert_close(embeds[0], module.project_user(module.instruction))
    assert not [name for name in module.state_dict() if name.startswith("project_instruction")]


# ---------------------------------------------------------------- prompt


def non_perso() -> Prompt:
    plain = Context()
    written(create("method", "nonperso"), plain, SAMPLE)
    return plain.asked[0].prompt


def user_features(found: Prompt) -> list[Any]:
    return [part.tolist() for slot in found.slots if slot.name == "user" for part in slot.features]


def test_two_embeddings_open_non_perso_s_prompt() -> None:
    ctx = Context(vectors=VECTORS)
    assert written(pplug(), ctx, SAMPLE) == "an answer to review"
    (asked,) = ctx.asked
    plain = non_perso()
    assert (asked.stage, asked.prompt.system) == ("review", plain.system)
    assert asked.prompt.parts == (Slot("instruction"), Slot("user"), plain.user)
    assert asked.prompt.text.startswith("<instruction><user>[Item Title]: Desk Lamp\n")
    assert user_features(asked.prompt) == [[[1, 0], [0, 1], [1, 1]], [3, 4]]


def test_texts_are_the_history_and_the_target_s_fields() -> None:
    """The type Sample has no review text, so the query cannot hold it."""
    ctx = Context(vectors=VECTORS)
    assert list(pplug().texts(SAMPLE, ctx)) == [QUERY, "So dry.", "Much too long.", "Fine."]
    pplug().prompt(SAMPLE, ctx)
    assert ctx.embedded == [QUERY, "So dry.", "Much too long.", "Fine."]


def test_without_history_there_is_the_instruction_alone() -> None:
    ctx = Context()
    new = replace(SAMPLE, history=())
    assert pplug().prompt(new, ctx).parts == (Slot("instruction"), non_perso().user)
    assert list(pplug().texts(new, ctx)) == ctx.embedded == []


def test_the_newest_reviews_of_a_long_history_count() -> None:
    method = pplug(history_cap=2)
    assert user_features(method.prompt(SAMPLE, Context(vectors=VECTORS)))[0] == [[1, 0], [0, 1]]
    assert list(method.texts(SAMPLE, Context())) == [QUERY, "So dry.", "Much too long."]
    long = sample(*(past(n, f"text {n}") for n in range(600)))
    assert list(pplug().texts(long, Context()))[-1] == "text 511"


def test_the_query_has_the_whole_description_even_if_the_prompt_is_shortened() -> None:
    long = replace(SAMPLE, item=replace(SAMPLE.item, description="words " * 200))
    vectors = {**VECTORS, QUERY.replace("A lamp for desks.", "words " * 200): (8, 8)}
    ctx = Context(vectors=vectors, budget=500)
    found = pplug().prompt(long, ctx)
    assert ctx.dropped[0].description_chars > 0
    assert user_features(found)[1] == [8, 8]


# ---------------------------------------------------------------- the original's training


def test_the_original_s_training() -> None:
    method = pplug(original=True)
    assert method.training == {"lr": 1e-4, "weight_decay": 1e-4, "warmup": 0.05, "epochs": 2}
    assert (method.varies, pplug().varies, pplug().training) == (True, False, {})
    assert made(32, 64, norm=3.0, original=True).scales.tolist() != [1, 1]


def kept(method: PPlug, reviews: int, variation: int) -> list[float]:
    """The places of the reviews that are left of this many."""
    history: tuple[Review, ...] = tuple(past(n, f"text {n}") for n in range(reviews))
    vectors = {QUERY: (0, 0), **{f"text {n}": (n, 0) for n in range(reviews)}}
    found = method.prompt(sample(*history), Context(vectors=vectors), variation=variation)
    return [vector[0] for vector in user_features(found)[0]]


def test_the_original_drops_some_of_the_history_by_the_variation() -> None:
    original, everything = pplug(original=True), list(range(20))
    drawn = [kept(original, 20, seed) for seed in range(1, 400)]
    assert all(places == sorted(places) for places in drawn)
    dropped = {20 - len(places) for places in drawn}
    assert dropped == {0, *range(1, 11)}  # 1 + int(20 U(0, .5))
    whole = sum(places == everything for places in drawn) / len(drawn)
    assert whole == pytest.approx(1 / 11, abs=0.04)
    assert {place for places in drawn for place in everything if place not in places} == set(everything)
    assert kept(original, 20, 5) == drawn[4]
    assert kept(original, 20, 0) == everything
    assert [kept(original, 2, seed) for seed in range(1, 50)] == [[0, 1]] * 49
    plain = pplug()
    assert {len(kept(plain, 20, seed)) for seed in range(1, 50)} == {20}


@pytest.mark.parametrize("options", [{"temperature": 0}, {"history_cap": 0}])
def test_invalid_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=f"pplug.{next(iter(options))}="):
        pplug(**options)
