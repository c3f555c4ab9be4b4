"""Random reviews of the user: the control that shows what a retriever's choice is worth (appendix D.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.protocols import RetrievalContext
from bench.seeds import derive
from bench.types import Review, Sample


@dataclass(frozen=True)
class Random:
    """Without replacement; the result depends on (run seed, category, user, item) alone.

    Every review draws its own number and the smallest come first, so that a smaller k gives the first reviews of a
    larger one: a sweep over K adds reviews and never exchanges them.
    """

    uses_embeddings = False

    def texts(self, samples: Sequence[Sample]) -> Iterable[str]:
        return ()

    def rank(self, sample: Sample, k: int, ctx: RetrievalContext) -> tuple[Review, ...]:
        seed = derive(ctx.seed, "random", sample.category, sample.user_id, sample.item.item_id)
        return tuple(sorted(sample.history, key=lambda review: derive(seed, review.review_id))[:k])
