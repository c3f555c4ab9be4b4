"""Any of the user's reviews: the control that says what choosing is worth (appendix D.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.protocols import RetrievalContext
from bench.seeds import derive
from bench.types import Review, Sample


@dataclass(frozen=True)
class Random:
    """Without replacement; a function of (run seed, category, user, item) alone.

    Every review draws its own number and the smallest win, so a smaller k gives the first of a
    larger one: K-sweeps add reviews and never swap them.
    """

    uses_embeddings = False

    def texts(self, samples: Sequence[Sample]) -> Iterable[str]:
        return ()

    def rank(self, sample: Sample, k: int, ctx: RetrievalContext) -> tuple[Review, ...]:
        seed = derive(ctx.seed, "random", sample.category, sample.user_id, sample.item.item_id)
        return tuple(sorted(sample.history, key=lambda review: derive(seed, review.review_id))[:k])
