"""The trainer's pass through the language model against the naive one: padded, full logits, gradient everywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.train.lm import Example, FrozenLM, grouped
from bench.types import Slot
from tests.generate.folders import SMOLLM, tiny_llama

SLOT_ID = 3
CPU = torch.device("cpu")

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory, require_assets: Callable[..., None]) -> FrozenLM:
    require_assets(SMOLLM)
    folder = tiny_llama(tmp_path_factory.mktemp("llama"))
    return FrozenLM(str(folder), dtype="float32", device=CPU, slot_id=SLOT_ID)


def example(n_before: int, n_slots: int, n_after: int, n_target: int, *, seed: int) -> Example:
    """Random ids above the special ones, and slots with a text token between each two."""
    generator = torch.Generator().manual_seed(seed)

    def text(n: int) -> list[int]:
        return torch.randint(100, 40_000, (n,), generator=generator).tolist()

    soft = [token for _ in range(n_slots) for token in (SLOT_ID, *text(1))]
    ids = (*text(n_before), *soft, *text(n_after))
    return Example(f"s{seed}", ids, tuple(text(n_target)), tuple(Slot("x") for _ in range(n_slots)))


def naive(lm: FrozenLM, examples: Sequence[Example], embeds: Sequence[Tensor], *, length: int = 64) -> Tensor:
    """One example at a time, padded on the left to a fixed length, with all logits and the loss by hand."""
    total = torch.zeros(())
    for one, own in zip(examples, embeds, strict=True):
        ids = torch.tensor(one.ids + one.target)
        embeds = lm.model.get_input_embeddings()(ids).clone()
        places = [i for i, token in enumerate(one.ids) if token == SLOT_ID]
        embeds = embeds.index_copy(0, torch.tensor(places, dtype=torch.long), own) if places else embeds
        padding = torch.zeros(length - len(ids), embeds.shape[1])
        mask = torch.tensor([0] * len(padding) + [1] * len(ids))
        logits = lm.model(inputs_embeds=torch.cat((padding, embeds))[None], attention_mask=mask[None]).logits[0]
        for offset, token in enumerate(one.target):
            at = len(padding) + len(one.ids) + offset - 1
            total = total - torch.log_softmax(logits[at], -1)[token]
    return total


def embeds_for(lm: FrozenLM, examples: Sequence[Example]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    width = lm.table.shape[1]
    return [torch.randn(len(e.slots), width, generator=generator).requires_grad_() for e in examples]


BATCHES: dict[str, list[tuple[int, int, int, int]]] = {
    "one": [(9, 3, 5, 6)],
    "slots open the prompt": [(0, 2, 8, 4)],
    "lengths and places differ": [(12, 2, 4, 9), (3, 4, 2, 3), (20, 1, 1, 1)],
    "one without slots": [(9, 0, 5, 6), (6, 2, 3, 7)],
    "slots end the prompt": [(9, 2, 0, 5), (4, 1, 0, 12)],
}


@pytest.mark.parametrize("name", BATCHES)
def test_loss_and_gradient_equal_the_naive_step(lm: FrozenLM, name: str) -> None:
    examples = [example(*shape, seed=number) for number, shape in enumerate(BATCHES[name])]
    ours, theirs = embeds_for(lm, examples), embeds_for(lm, examples)
    loss = lm.summed_loss(examples, ours)
    expected = naive(lm, examples, theirs)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    expected.backward()  # type: ignore[no-untyped-call]
    for mine, other, one in zip(ours, theirs, examples, strict=True):
        if one.slots:
            assert mine.grad is not None and other.grad is not None
            assert float(other.grad.abs().max()) > 1e-3
            torch.testing.assert_close(mine.grad, other.grad, rtol=1e-3, atol=1e-5)


def test_no_gradient_reaches_the_language_model(lm: FrozenLM) -> None:
    examples = [example(9, 3, 5, 6, seed=0)]
    lm.summed_loss(examples, embeds_for(lm, examples)).backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in lm.model.parameters())


def test_nothing_before_the_first_slot_is_kept_for_the_gradient(lm: FrozenLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """The language model is called twice: without gradient on the tokens before the first slot, then on the rest."""
    calls: list[tuple[int, bool]] = []
    forward = lm.model.forward

    def spy(**inputs: Any) -> Any:
        given = inputs.get("input_ids")
        given = inputs["inputs_embeds"] if given is None else given
        calls.append((given.shape[1], torch.is_grad_enabled()))
        return forward(**inputs)

    monkeypatch.setattr(lm.model, "forward", spy)
    one = example(9, 3, 5, 6, seed=0)
    lm.summed_loss([one], embeds_for(lm, [one]))
    assert calls == [(9, False), (one.fed - 9, True)]


def test_without_any_slot_there_is_a_loss_and_no_gradient(lm: FrozenLM) -> None:
    one = example(9, 0, 5, 6, seed=0)
    loss = lm.summed_loss([one], embeds_for(lm, [one]))
    assert not loss.requires_grad
    assert float(loss) == pytest.approx(float(naive(lm, [one], embeds_for(lm, [one])).detach()), rel=1e-5)


def test_the_space_describes_the_table(lm: FrozenLM) -> None:
    space = lm.space(5)
    table = lm.table
    assert (space.vector_size, space.hidden_size) == (5, 64)
    assert space.mean == pytest.approx(table.mean(0).numpy(), abs=1e-6)
    assert space.std == pytest.approx(table.std(0).numpy(), abs=1e-6)
    assert space.norm == pytest.approx(float((table**2).sum(1).sqrt().mean()), rel=1e-5)


def test_groups_hold_alike_lengths_and_everything_once() -> None:
    examples = [example(n, 0, 0, 2, seed=n) for n in (3, 30, 4, 29, 5, 100)]
    groups = grouped(examples, 64)
    assert sorted(i for group in groups for i in group) == list(range(6))
    assert groups == [[5], [1, 3], [4, 2, 0]]
    for group in groups:
        assert len(group) == 1 or len(group) * max(examples[i].fed for i in group) <= 64
    assert grouped(examples, 1) == [[5], [1], [3], [4], [2], [0]]
