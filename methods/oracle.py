"""Oracle: Non-Perso's prompt and the user's true habits in words. The ceiling of a planted world, and no method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.protocols import Context
from bench.types import Prompt, Review, Sample
from methods.blocks import fields, item_block, joined, output_block
from methods.rag import personalized

LABELS = {
    "length": "Length",
    "punctuation": "Punctuation",
    "opening": "Opening",
    "signoff": "Sign-off",
    "catchphrase": "Catchphrase",
}
NAMES = ("length", "punctuation")  # whose values are names; the others are phrases


def in_words(habits: Mapping[str, str | None]) -> str:
    """A sentence a habit, those of `LABELS` that are given: `Length: long. Opening: "here we go again".`"""
    return " ".join(f"{label}: {_value(name, habits[name])}." for name, label in LABELS.items() if name in habits)


def _value(name: str, value: str | None) -> str:
    return "none" if value is None else value if name in NAMES else f'"{value}"'


def prompt(sample: Sample, habits: Mapping[str, str | None]) -> Prompt:
    words = fields("", [("User's Writing Habits", in_words(habits))])
    system = personalized(sample, "the user's writing habits" if words else "")
    return Prompt(system, joined(item_block(sample.item), *words, output_block(sample)))


@dataclass(frozen=True)
class Oracle:
    label = "Oracle (ceiling)"
    uses_retriever = False
    uses_embeddings = False
    sees_truth = True

    async def write(self, sample: Sample, ctx: Context) -> str:
        habits = ctx.truth(sample).habits

        def build(sample: Sample, reviews: tuple[Review, ...]) -> Prompt:
            return prompt(sample, habits)

        return await ctx.generate(ctx.fit(build, sample), stage="review")
