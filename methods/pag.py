"""PAG: the model first summarizes the user's past reviews, then writes with both (Richardson et al., 2023).

Two stages on the same K reviews, as in the paper's appendix B:
  profile  past reviews -> a summary of the user
  review   past reviews + summary + target -> the text

Decisions (docs/methods/pag.md has the full list):
- Neither paper prints a prompt for reviews. Ours use the wording of DEP's prompt (appendix F) and ask for a marked
  answer.
- Richardson et al. summarize the whole history once, offline. Here the summary is of the K retrieved reviews, as
  appendix B says.
- The summary's prompt has the budget of intermediate stages. `profile_tokens` limits the answer, which the paper's
  budget of 2,048 tokens has to hold beside the past reviews: it drops reviews first, and shortens the summary last.
- Without a summary (no history, or an empty answer) the sample is written as RAG writes it. Without history that is
  Non-Perso's prompt.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from bench.errors import UserError
from bench.protocols import Context
from bench.types import Item, Prompt, Review, Sample
from methods.answers import strip_marker
from methods.blocks import fields, given, item_block, joined, output_block, past_reviews_block, past_reviews_named
from methods.rag import Rag, personalized

SUMMARIZE = (
    ", write a summary that profiles the user.\nThe summary should be formatted as follows:\n[Summary]: <summary>"
)
MARKED = "The review should be formatted as follows:\n[Review]: <review>"


def profile_prompt(past: Sample, reviews: tuple[Review, ...]) -> Prompt:
    return Prompt(given("", [past_reviews_named(reviews)]) + SUMMARIZE, past_reviews_block(reviews))


def without_target(sample: Sample) -> Sample:
    """The sample without its target, for prompts about the past alone.

    Such prompts cannot leak the target, and they are equal for all samples with the same history.
    """
    return replace(sample, item=Item(sample.category, "", ""), rating=0.0, title="", timestamp=None)


def history_key(sample: Sample, history: tuple[Review, ...]) -> str:
    """The request key of a text generated from these reviews in this order. Samples and cells share the text by it."""
    return json.dumps([sample.category, sample.user_id, *(review.review_id for review in history)])


def review_prompt(sample: Sample, reviews: tuple[Review, ...]) -> Prompt:
    """`reviews`: the profile as the text of a review, then the past reviews."""
    profile, *past = reviews
    summary = fields("", [("User's Profile Summary", profile.text)])
    told = "a summary that profiles the user" if summary else ""
    system = f"{personalized(sample, past_reviews_named(past), told)}\n{MARKED}"
    return Prompt(system, joined(item_block(sample.item), past_reviews_block(past), *summary, output_block(sample)))


async def review_with(profile: str, sample: Sample, ctx: Context, history: tuple[Review, ...]) -> str:
    """The last stage, shared with DPL. An empty profile gives RAG's text.

    The budget drops reviews before it shortens the profile, and keeps the first of them: the prompt promises some.
    """
    if not profile:
        return await Rag().write(sample, ctx)
    first = Review("", sample.user_id, Item(sample.category, "", ""), 0.0, "", profile)
    prompt = ctx.fit(review_prompt, sample, (first, *history), keep=2)
    return strip_marker(await ctx.generate(prompt, stage="review"), "Review")


def at_least_one(option: str, value: int | None) -> None:
    """Raises UserError for a limit of tokens that leaves none."""
    if value is not None and value < 1:
        raise UserError(f"{option}={value}: at least 1, or null for the profile's max_new_tokens")


@dataclass(frozen=True)
class Pag:
    """`profile_tokens`: the most tokens of the summary; None is the profile's `max_new_tokens`."""

    label = "PAG"
    uses_retriever = True
    uses_embeddings = False

    profile_tokens: int | None = None

    def __post_init__(self) -> None:
        at_least_one("pag.profile_tokens", self.profile_tokens)

    async def write(self, sample: Sample, ctx: Context) -> str:
        history = ctx.retrieve(sample)
        if not history:
            return await Rag().write(sample, ctx)
        prompt = ctx.fit(profile_prompt, without_target(sample), history, intermediate=True)
        key = history_key(sample, history)
        answer = await ctx.generate(prompt, stage="profile", key=key, max_new_tokens=self.profile_tokens)
        return await review_with(strip_marker(answer, "Summary"), sample, ctx, history)
