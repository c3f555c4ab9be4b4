"""What a prompt's soft prompt embeddings are made from and how large they are, for the sample's row.

A soft prompt cannot be read. These few numbers show one that is empty, untrained or made from the wrong vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.types import Slot, SoftUse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DIGITS = 5


def soft_use(slots: Sequence[Slot], embeds: NDArray[np.float32]) -> dict[str, SoftUse]:
    """(n,) slots and their (n, hidden size) embeddings -> name of slots -> what they are made from, in order."""
    lengths = _lengths([embeds])
    found: dict[str, list[int]] = {}
    for place, slot in enumerate(slots):
        found.setdefault(slot.name, []).append(place)
    return {name: _of([slots[place] for place in places], lengths[places]) for name, places in found.items()}


def _of(slots: Sequence[Slot], lengths: NDArray[np.float64]) -> SoftUse:
    features = _lengths([part for slot in slots for part in slot.features])
    size = round(float(features.mean()), DIGITS) if len(features) else 0.0
    return SoftUse(len(slots), len(features), size, round(float(lengths.mean()), DIGITS))


def _lengths(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """(all vectors,) L2 norms of (n, d) and (d,) arrays."""
    import numpy as np

    each = [np.linalg.norm(np.atleast_2d(part).astype(np.float64), axis=1) for part in parts]
    return np.concatenate(each) if each else np.zeros(0)
