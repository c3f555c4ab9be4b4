"""What modules that turn slots into rows have in common. The only files of methods that import torch at their top are
this one and the `*_module.py`, so that a method's prompts and options stay cheap to load.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from bench.types import Slot


def linear(n_in: int, n_out: int) -> nn.Linear:
    """Xavier-uniform weights (paper, C.2.2) and no bias to begin with."""
    layer = nn.Linear(n_in, n_out)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def projector(n_in: int, rows: int) -> nn.Sequential:
    """(n, n_in) -> (n, rows): into the language model's input space by two layers (paper, C.2.1)."""
    return nn.Sequential(linear(n_in, rows), nn.GELU(), linear(rows, rows))


def stacked(slots: Sequence[Slot], name: str, width: int, like: Tensor) -> Tensor:
    """(n, width): the one feature of each slot of this name, where and as `like` is. No slot gives (0, width)."""
    found = [slot.features[0] for slot in slots if slot.name == name]
    together = np.stack(found) if found else np.empty((0, width), np.float32)
    return torch.as_tensor(together, dtype=like.dtype, device=like.device)


def in_order(slots: Sequence[Slot], made: Mapping[str, Tensor]) -> Tensor:
    """(n, rows) as the slots stand: the i-th slot of a name gets row i of what was made for the name.

    A name's rows are (as many as it has slots, rows), or (rows,) where all its slots share one. No slot gives
    (0, rows), still a function of what was made, so that a batch without slots can be stepped on.
    """
    starts, end = {}, 0
    for name, rows in made.items():
        starts[name], end = end, end + (1 if rows.dim() == 1 else len(rows))
    seen: Counter[str] = Counter()
    places = []
    for slot in slots:
        places.append(starts[slot.name] + seen[slot.name])
        seen[slot.name] += made[slot.name].dim() > 1
    table = torch.cat([rows.unsqueeze(0) if rows.dim() == 1 else rows for rows in made.values()])
    return table[torch.tensor(places, dtype=torch.long, device=table.device)]
