"""A step that runs out of memory is done again in smaller passes, and ends in the same weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.config import TrainConfig
from bench.errors import BenchError
from bench.train.lm import Example, FrozenLM
from bench.train.optimizer import create
from bench.train.ranks import Ranks
from bench.train.trainer import Trainer
from tests.generate.folders import SMOLLM, tiny_llama
from tests.train.test_lm import CPU, SLOT_ID, example

pytestmark = pytest.mark.models

EXAMPLES = [example(5 + n, 2, 3, 4 + n % 3, seed=n) for n in range(8)]


class Scarce:
    """The language model on a card that holds passes of `most` tokens, or of four times as many where it recomputes."""

    def __init__(self, lm: FrozenLM, most: int) -> None:
        self.lm, self.most, self.passes = lm, most, 0

    @property
    def recomputes(self) -> bool:
        return self.lm.recomputes

    def recompute(self) -> None:
        self.lm.recompute()

    def summed_loss(self, examples: Sequence[Example], embeds: Sequence[Tensor]) -> Tensor:
        self.passes += 1
        size = max(one.fed for one in examples) * len(examples)
        loss = self.lm.summed_loss(examples, embeds)
        if size > self.most * (4 if self.recomputes else 1):
            if loss.requires_grad:  # a part of the gradient is there already when the memory ends
                loss.backward()
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss


class Rows(nn.Module):
    """A row for each slot of the batch, all trained."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.loss_weights = {"size": 0.5}
        self.row = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, slots: Sequence[Any]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.row.repeat(len(slots), 1), {"size": self.row.square().mean()}


@pytest.fixture
def lm(tmp_path: Any, require_assets: Callable[..., None]) -> FrozenLM:
    require_assets(SMOLLM)
    return FrozenLM(str(tiny_llama(tmp_path)), dtype="float32", device=CPU, slot_id=SLOT_ID)


def trained(lm: Any, width: int, said: list[str], micro_tokens: int = 4096) -> Tensor:
    module, ranks = Rows(width), Ranks(0, 1, CPU)
    config = TrainConfig(epochs=2, batch=4, lr=0.05, micro_tokens=micro_tokens)
    trainer = Trainer(lm, module, create(module, config, ranks), config, ranks, seed=3, say=said.append)
    trainer.train(lambda epoch: EXAMPLES, len(EXAMPLES))
    return module.row.detach()


def test_passes_become_smaller_until_they_fit_and_the_weights_are_the_same(lm: FrozenLM) -> None:
    said: list[str] = []
    plain = trained(lm, 64, said)
    assert said == []
    scarce = Scarce(lm, most=45)
    assert torch.allclose(trained(scarce, 64, said), plain, atol=1e-6)
    assert said == [
        f"out of memory: passes of at most {n} tokens from here on; results stay the same" for n in (64, 32)
    ]
    assert not lm.recomputes


def test_then_activations_are_computed_again(lm: FrozenLM) -> None:
    said: list[str] = []
    plain = trained(lm, 64, said)
    assert torch.allclose(trained(Scarce(lm, most=10), 64, said), plain, atol=1e-6)
    assert [line.partition(":")[0] for line in said][-1] == "out of memory at one sample a pass"
    assert lm.recomputes
    layers = [one for one in lm.model.modules() if getattr(one, "gradient_checkpointing", False)]
    assert layers
    assert all(layer.training for layer in layers)
    assert not any(one.training for one in lm.model.modules() if isinstance(one, nn.Dropout))


def test_attention_that_is_planned_for_every_shape_is_left_out(tmp_path: Any) -> None:
    torch.backends.cuda.enable_cudnn_sdp(True)
    FrozenLM(str(tiny_llama(tmp_path)), dtype="float32", device=CPU, slot_id=SLOT_ID)
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def test_what_fits_in_no_way_is_one_line(lm: FrozenLM) -> None:
    with pytest.raises(BenchError, match=r"out of memory at one sample of \d+ tokens; lower --set input_budget"):
        trained(Scarce(lm, most=2), 64, [])


def test_recomputed_layers_give_the_same_loss_and_gradient(lm: FrozenLM) -> None:
    from tests.train.test_lm import embeds_for

    def at_once() -> tuple[Tensor, Tensor]:
        embeds = [one.detach().requires_grad_() for one in embeds_for(lm, EXAMPLES[:3])]
        loss = lm.summed_loss(EXAMPLES[:3], embeds)
        loss.backward()
        return loss.detach(), torch.cat([one.grad for one in embeds if one.grad is not None])

    before = at_once()
    lm.recompute()
    calls = 0
    (*_, layer) = (one for one in lm.model.modules() if getattr(one, "gradient_checkpointing", False))
    original = type(layer).forward

    def counted(self: Any, *args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        return original(self, *args, **more)

    type(layer).forward = counted
    try:
        after = at_once()
    finally:
        type(layer).forward = original
    assert torch.allclose(before[0], after[0], rtol=1e-5)
    assert torch.allclose(before[1], after[1], atol=1e-5)
    assert calls == 2 * 2  # two layers, forward and again in the backward pass


def test_all_ranks_do_again_what_one_could_not(lm: FrozenLM) -> None:
    """This rank has room; the other says that it has none, once."""
    answers = iter([True] + [False] * 99)

    class Two(Ranks):
        def any(self, answer: bool) -> bool:
            return next(answers)

    module, ranks, said = Rows(64), Two(0, 1, CPU), []
    config = TrainConfig(epochs=1, batch=8, lr=0.05)
    trainer = Trainer(lm, module, create(module, config, ranks), config, ranks, seed=3, say=said.append)
    trainer.train(lambda epoch: EXAMPLES, len(EXAMPLES))
    assert len(said) == 1
    assert trainer.micro_tokens < 4096
