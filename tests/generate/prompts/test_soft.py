"""Rows at their places, by numbers: no model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.errors import BenchError, SampleFailure, UserError
from bench.generate.prompts import soft
from bench.types import Request, Sampling

SLOT, WIDTH = 7, 4
IDS = (3, SLOT, 5, SLOT, SLOT, 0)


def request(embeds: Any, ids: tuple[int, ...] = IDS) -> Request:
    return Request(ids, Sampling(), 0, embeds=None if embeds is None else np.asarray(embeds, dtype=np.float32))


def spread(one: Request, dtype: str = "float32") -> Any:
    import torch

    return soft.prompt_embeds(one, slot_id=SLOT, width=WIDTH, dtype=getattr(torch, dtype))


def test_embeddings_stand_at_their_slots_in_order() -> None:
    embeds = np.arange(12).reshape(3, 4) + 1
    whole, is_id = spread(request(embeds))
    assert is_id == [True, False, True, False, False, True]
    assert whole[[1, 3, 4]].tolist() == embeds.tolist()
    assert not whole[[0, 2, 5]].any()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_no_embedding_has_the_bytes_of_an_id(dtype: str) -> None:
    """vLLM's prefix cache sees id 0 at soft positions and no mask: the bytes alone must tell them apart."""
    import torch

    whole, is_id = spread(request([[0.0] * 4, [-0.0] * 4, [-1e-44] * 4]), dtype)
    assert whole.dtype == getattr(torch, dtype)
    numbers = whole.view(torch.int32 if dtype == "float32" else torch.int16)
    same = [bool((numbers[i] == numbers[0]).all()) for i in range(len(IDS))]
    assert same == is_id


def test_without_rows_all_are_ids() -> None:
    whole, is_id = spread(request(None))
    assert is_id == [True] * len(IDS)
    assert whole.shape == (len(IDS), WIDTH)


@pytest.mark.parametrize(
    ("embeds", "kind", "says"),
    [
        (np.ones((2, 4)), SampleFailure, "3 slots, but the method's module gave 2 embeddings"),
        (np.ones((4, 4)), SampleFailure, "3 slots, but the method's module gave 4 embeddings"),
        (np.ones((0, 4)), SampleFailure, "gave 0 embeddings"),
        (np.ones((3, 5)), UserError, r"shape \(3, 5\) do not fit a model of hidden size 4; train"),
        (np.ones(12), UserError, "do not fit"),
        (np.full((3, 4), np.inf), UserError, "not all finite"),
    ],
)
def test_embeddings_that_do_not_fit_are_refused(embeds: Any, kind: type[BenchError], says: str) -> None:
    with pytest.raises(kind, match=says) as error:
        soft.positions(request(embeds), slot_id=SLOT, width=WIDTH)
    assert "\n" not in str(error.value)


def test_rows_of_any_layout_are_taken() -> None:
    embeds = np.arange(12, dtype=np.float32).reshape(3, 4)
    fixed = embeds.copy()
    fixed.flags.writeable = False
    for each in (np.asfortranarray(embeds), embeds[::-1][::-1], fixed, np.repeat(embeds, 2, axis=1)[:, ::2]):
        assert soft.tensor(each).tolist() == embeds.tolist()
    assert soft.tensor(embeds[::-1]).tolist() == embeds[::-1].tolist()


def test_slots_without_text_and_text_without_slots() -> None:
    assert soft.positions(request(np.ones((2, 4)), (SLOT, SLOT)), slot_id=SLOT, width=WIDTH).tolist() == [0, 1]
    assert soft.positions(request(np.ones((0, 4)), (1, 2)), slot_id=SLOT, width=WIDTH).tolist() == []
