"""RAG: the prompt holds K retrieved reviews of the user (Salemi et al., 2024; paper, appendix B).

The paper prints no RAG prompt. Ours is DEP's (appendix F) without the embedding lines and the note. A user without
history gets Non-Perso's prompt, so K = 0 equals Non-Perso. docs/methods/rag.md lists every decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.protocols import Context
from bench.types import Prompt, Review, Sample
from methods.blocks import (
    given,
    item_block,
    item_named,
    joined,
    output_block,
    output_named,
    past_reviews_block,
    past_reviews_named,
)
from methods.nonperso import prompt as nonperso_prompt


def personalized(sample: Sample, *user: str) -> str:
    """The system prompt of all methods that know `user`, what the prompt shows of the user."""
    shown = given(item_named(sample.item), user, output_named(sample))
    return f"{shown}, generate a personalized item review for the user."


@dataclass(frozen=True)
class Rag:
    """`order` of the K reviews in the prompt: "rank" is best first, "chronological" is oldest first."""

    label = "RAG"
    uses_retriever = True
    uses_embeddings = False

    order: Literal["rank", "chronological"] = "rank"

    def prompt(self, sample: Sample, reviews: tuple[Review, ...]) -> Prompt:
        if not reviews:
            return nonperso_prompt(sample)
        if self.order == "chronological":
            # By id, because the budget may pass shortened copies, which equal no review of the history.
            age = {review.review_id: place for place, review in enumerate(sample.history)}
            reviews = tuple(sorted(reviews, key=lambda review: age[review.review_id], reverse=True))
        system = personalized(sample, past_reviews_named(reviews))
        return Prompt(system, joined(item_block(sample.item), past_reviews_block(reviews), output_block(sample)))

    async def write(self, sample: Sample, ctx: Context) -> str:
        history = ctx.retrieve(sample)
        return await ctx.generate(ctx.fit(self.prompt, sample, history), stage="review")
