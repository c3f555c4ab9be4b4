"""Soft prompt embeddings in the place of token ids: the checks and tensors that all engines share.

Each takes the place of one id's input embedding. Its position is that of a slot: the encoder's `slot_id` among the ids,
which no text is encoded to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.errors import SampleFailure, UserError
from bench.types import Request

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


def positions(request: Request, *, slot_id: int, width: int) -> NDArray[np.intp]:
    """(n,) positions of the request's soft prompt embeddings. `width` is the model's hidden size.

    Raises UserError for embeddings that this model can never take, SampleFailure if there are more or fewer than slots.
    """
    embeds = request.embeds
    if embeds is None:
        return np.zeros(0, dtype=np.intp)
    if embeds.ndim != 2 or embeds.shape[1] != width:
        raise UserError(
            f"soft prompt embeddings of shape {embeds.shape} do not fit a model of hidden size {width}; "
            "train the method for this model"
        )
    if not np.isfinite(embeds).all():
        raise UserError("soft prompt embeddings are not all finite numbers; train the method again, at a lower rate")
    found = np.flatnonzero(np.asarray(request.ids, dtype=np.int64) == slot_id)
    if len(found) != len(embeds):
        raise SampleFailure(f"the prompt has {len(found)} slots, but the method's module gave {len(embeds)} embeddings")
    return found


def tensor(embeds: NDArray[np.float32]) -> torch.Tensor:
    """A copy, because torch takes no array with negative strides and warns about read-only ones."""
    import torch

    return torch.from_numpy(np.array(embeds, dtype=np.float32, order="C"))


def prompt_embeds(request: Request, *, slot_id: int, width: int, dtype: torch.dtype) -> tuple[torch.Tensor, list[bool]]:
    """(prompt_embeds (n_ids, width), whether each position is an id). The values at ids are never read.

    An engine's prefix cache knows a block of the prompt by the bytes of this tensor, and may take a slot for id 0. So
    the values at ids are -0.0, and embeddings never hold -0.0, not even one of zeros. Then equal bytes mean equal
    positions.
    """
    import torch

    found = positions(request, slot_id=slot_id, width=width)
    whole = torch.full((len(request.ids), width), -0.0, dtype=dtype)
    if request.embeds is not None:
        whole[torch.from_numpy(found)] = tensor(request.embeds).to(dtype) + 0.0  # -0.0 + 0.0 is 0.0
    is_id = np.ones(len(request.ids), dtype=bool)
    is_id[found] = False
    return whole, is_id.tolist()
