"""Rows in the place of token ids: what every engine checks and builds alike.

A row stands for what the model's input embedding gives for one id. Where the soft positions are is read off the ids:
they hold the encoder's `slot_id`, and no text does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.errors import SampleFailure, UserError
from bench.types import Request

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


def places(request: Request, *, slot_id: int, width: int) -> NDArray[np.intp]:
    """(n,) positions of the request's rows. `width` is the model's hidden size.

    Raises UserError for rows that no sample of this model could have, SampleFailure where ids and rows do not match.
    """
    rows = request.rows
    if rows is None:
        return np.zeros(0, dtype=np.intp)
    if rows.ndim != 2 or rows.shape[1] != width:
        raise UserError(
            f"soft rows of shape {rows.shape} do not fit a model of hidden size {width}; "
            "train the method for this model"
        )
    if not np.isfinite(rows).all():
        raise UserError("soft rows hold values that are no finite numbers; train the method again, at a lower rate")
    found = np.flatnonzero(np.asarray(request.ids, dtype=np.int64) == slot_id)
    if len(found) != len(rows):
        raise SampleFailure(f"the prompt has {len(found)} slots, but the method's module gave {len(rows)} rows")
    return found


def tensor(rows: NDArray[np.float32]) -> torch.Tensor:
    """A copy: torch takes no array with negative strides, and warns of one that is read-only."""
    import torch

    return torch.from_numpy(np.array(rows, dtype=np.float32, order="C"))


def spread(request: Request, *, slot_id: int, width: int, dtype: torch.dtype) -> tuple[torch.Tensor, list[bool]]:
    """((n_ids, width) with each row at its place, which positions are ids). What stands at ids is never read.

    An engine's prefix cache knows a block of such a prompt by the bytes of this tensor, and may take a soft position
    for id 0. So ids get -0.0 and rows never do, not even a row of zeros: equal bytes are equal places.
    """
    import torch

    found = places(request, slot_id=slot_id, width=width)
    whole = torch.full((len(request.ids), width), -0.0, dtype=dtype)
    if request.rows is not None:
        whole[torch.from_numpy(found)] = tensor(request.rows).to(dtype) + 0.0  # -0.0 + 0.0 is 0.0
    is_id = np.ones(len(request.ids), dtype=bool)
    is_id[found] = False
    return whole, is_id.tolist()
