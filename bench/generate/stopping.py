"""Stop strings of a profile: an answer ends before the first one. Engines stop there, and the text is cut here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def cut(text: str, stop: Sequence[str]) -> str:
    """The text before the first stop string in it."""
    ends = [place for place in map(text.find, stop) if place >= 0]
    return text[: min(ends)] if ends else text


class StopStrings:
    """Stopping criterion of transformers: a row is done once its answer holds a stop string.

    `lengths` has the number of ids of each such row. Only the answer is looked at, as vLLM does, and of it only the
    end, where a new token can have completed one.
    """

    def __init__(self, stop: Sequence[str], n_prompt: int, decode: Callable[[tuple[int, ...]], str]) -> None:
        self.lengths: dict[int, int] = {}
        self._stop, self._n_prompt, self._decode = stop, n_prompt, decode
        self._tail = max((len(one.encode()) for one in stop), default=0) + 8  # a token has a byte at least

    def __call__(self, input_ids: Any, scores: Any, **more: Any) -> Any:
        import torch

        length = input_ids.shape[1] - self._n_prompt
        for row, ids in enumerate(input_ids[:, self._n_prompt :][:, -self._tail :].tolist()):
            if row not in self.lengths and any(one in self._decode(tuple(ids)) for one in self._stop):
                self.lengths[row] = length
        done = [row in self.lengths for row in range(len(input_ids))]
        return torch.tensor(done, device=input_ids.device)
