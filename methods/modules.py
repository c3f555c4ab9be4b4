"""Parts that all modules share that turn slots into soft prompt embeddings.

Among the methods' files, only this one and the `*_module.py` import torch at their top, so that a method's prompts and
options load fast.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from bench.types import Slot


def linear(n_in: int, n_out: int) -> nn.Linear:
    """A layer with Xavier-uniform weights (paper, C.2.2) and a bias of 0."""
    layer = nn.Linear(n_in, n_out)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def projector(n_in: int, hidden: int) -> nn.Sequential:
    """(n, n_in) -> (n, hidden): two layers into the language model's input space (paper, C.2.1)."""
    return nn.Sequential(linear(n_in, hidden), nn.GELU(), linear(hidden, hidden))


def features_of(slots: Sequence[Slot], name: str, width: int, like: Tensor) -> Tensor:
    """(n, width): the one feature of each slot of this name, with `like`'s type and device; (0, width) for none."""
    found = [slot.features[0] for slot in slots if slot.name == name]
    features = np.stack(found) if found else np.empty((0, width), np.float32)
    return torch.as_tensor(features, dtype=like.dtype, device=like.device)


def in_order(slots: Sequence[Slot], by_name: Mapping[str, Tensor]) -> Tensor:
    """(n, hidden) in the slots' order: the i-th slot of a name gets the i-th embedding of that name.

    `by_name` holds (number of its slots, hidden) for a name, or (hidden,) where all its slots share one embedding.
    Without slots the result is (0, hidden) and still depends on `by_name`, so that a training step on such a batch
    works.
    """
    starts, end = {}, 0
    for name, embeds in by_name.items():
        starts[name], end = end, end + (1 if embeds.dim() == 1 else len(embeds))
    seen: Counter[str] = Counter()
    places = []
    for slot in slots:
        places.append(starts[slot.name] + seen[slot.name])
        seen[slot.name] += by_name[slot.name].dim() > 1
    table = torch.cat([embeds.unsqueeze(0) if embeds.dim() == 1 else embeds for embeds in by_name.values()])
    return table[torch.tensor(places, dtype=torch.long, device=table.device)]
