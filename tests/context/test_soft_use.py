from __future__ import annotations

import numpy as np
import pytest

from bench.context.soft_use import soft_use
from bench.types import Slot, SoftUse


def vectors(*lengths: float) -> np.ndarray:
    return np.array([[length, 0, 0] for length in lengths], np.float32)


def test_each_name_has_its_slots_vectors_and_mean_lengths() -> None:
    slots = (
        Slot("instruction"),
        Slot("user", (vectors(1, 3), vectors(5)[0])),
        Slot("user", (vectors(7),)),
    )
    embeds = np.array([[3, 4], [0, 1], [0, 3]], np.float32)
    assert soft_use(slots, embeds) == {
        "instruction": SoftUse(slots=1, vectors=0, features=0.0, embeds=5.0),
        "user": SoftUse(slots=2, vectors=4, features=4.0, embeds=2.0),
    }


@pytest.mark.parametrize("scale", [0, 2])
def test_embeddings_that_are_zeros_or_larger_show(scale: float) -> None:
    embeds = np.ones((1, 4), np.float32)
    assert soft_use((Slot("a"),), embeds * scale)["a"].embeds == scale * 2
