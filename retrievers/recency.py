"""The user's newest reviews: the default retriever of the paper (appendix D.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.protocols import RetrievalContext
from bench.types import Review, Sample


@dataclass(frozen=True)
class Recency:
    """Newest first, ties in corpus order."""

    uses_embeddings = False

    def texts(self, samples: Sequence[Sample]) -> Iterable[str]:
        return ()

    def rank(self, sample: Sample, k: int, ctx: RetrievalContext) -> tuple[Review, ...]:
        return newest_first(sample.history)[:k]


def newest_first(history: tuple[Review, ...]) -> tuple[Review, ...]:
    """The history by descending timestamp, stable.

    If one timestamp is missing, the order of the corpus stays, which is newest first by construction: sorting the rest
    around the missing one would be a guess.
    """
    times = [review.timestamp for review in history if review.timestamp is not None]
    if len(times) < len(history):
        return history
    order = sorted(range(len(history)), key=times.__getitem__, reverse=True)
    return tuple(history[i] for i in order)
