"""The controls: another method's prompt behind one embedding that is equal for all users."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.protocols import Space
from bench.registry import create
from bench.types import Review, Slot
from tests.methods.context import Context, past, sample, written

HISTORY = (past(1, "So dry."), past(2, "Much too long."))
SAMPLE = sample(*HISTORY)


@pytest.mark.parametrize(("method", "plain"), [("soft", "nonperso"), ("rag_soft", "rag")])
@pytest.mark.parametrize("retrieved", [(), HISTORY[:1], HISTORY])
def test_one_embedding_opens_the_prompt_of_a_method_without_training(
    method: str, plain: str, retrieved: tuple[Review, ...]
) -> None:
    prompts = []
    for name in (method, plain):
        ctx = Context(retrieved)
        written(create("method", name), ctx, SAMPLE)
        (asked,) = ctx.asked
        assert asked.stage == "review"
        assert ctx.embedded == []
        prompts.append(asked.prompt)
    assert prompts[0].system == prompts[1].system
    assert prompts[0].parts == (Slot("instruction"), prompts[1].user)


@pytest.mark.parametrize("name", ["soft", "rag_soft"])
def test_the_embedding_is_a_projected_trained_vector(name: str) -> None:
    torch.manual_seed(0)
    nothing = np.zeros(8, np.float32)
    module = create("method", name).module(Space(64, 8, nothing, nothing, 1.0))
    assert module.instruction.min() >= 0 and 0.9 < module.instruction.max() < 1
    embeds, losses = module([Slot("instruction")] * 3)
    torch.testing.assert_close(embeds, module.project_instruction(module.instruction).expand(3, 8))
    assert losses == module.loss_weights == {}


def test_the_budget_drops_reviews_behind_the_embedding() -> None:
    whole = Context(HISTORY)
    written(create("method", "rag_soft"), whole, SAMPLE)
    found = whole.asked[0].prompt
    ctx = Context(HISTORY, budget=len(f"{found.system}\n{found.text}") - 1)
    written(create("method", "rag_soft"), ctx, SAMPLE)
    assert ctx.dropped[0].reviews == 1
    assert "Much too long." not in ctx.asked[0].prompt.text
