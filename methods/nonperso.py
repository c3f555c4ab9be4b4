"""Non-Perso: writes the review from the item, the rating and the review title alone (paper, appendix B).

It is the floor of every table: the text that the language model writes without knowing the user.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.protocols import Context
from bench.types import Prompt, Review, Sample
from methods.blocks import given, item_block, item_named, joined, output_block, output_named


def prompt(sample: Sample, reviews: tuple[Review, ...] = ()) -> Prompt:
    system = f"{given(item_named(sample.item), (), output_named(sample))}, generate an item review for the user."
    return Prompt(system, joined(item_block(sample.item), output_block(sample)))


@dataclass(frozen=True)
class NonPerso:
    label = "Non-Perso"
    uses_retriever = False
    uses_embeddings = False

    async def write(self, sample: Sample, ctx: Context) -> str:
        return await ctx.generate(ctx.fit(prompt, sample), stage="review")
