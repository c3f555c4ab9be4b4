"""PAG: the model first summarizes the user's past reviews, then writes with both (Richardson et al., 2023).

Two stages on the same K reviews, as in the paper's appendix B:
  profile  past reviews -> a summary of the user
  review   past reviews + summary + target -> the text

Decisions (docs/methods/pag.md has the full list):
- Neither paper prints a prompt for reviews. Ours use the wording of DEP's prompt (appendix F) and ask for a marked
  answer.
- Richardson et al. summarize the whole history once, offline. Here the summary is of the K retrieved reviews, as
  appendix B says.
- A summary has at most 512 tokens, so that the summary and a review fit the input budget.
- Without a summary (no history, or an empty answer) the sample is written as RAG writes it. Without history that is
  Non-Perso's prompt.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from bench.protocols import Context
from bench.types import Item, Prompt, Review, Sample
from methods.answers import strip_marker
from methods.blocks import item_block, output_block, past_reviews_block
from methods.rag import Rag

PROFILE_TOKENS = 512

PROFILE_SYSTEM = (
    "Given the user's past reviews (including item title, item description, review rating, review title, review text), "
    "write a summary that profiles the user.\n"
    "The summary should be formatted as follows:\n"
    "[Summary]: <summary>"
)
REVIEW_SYSTEM = (
    "Given the title and description of an item, along with the user's past reviews (including item title, item "
    "description, review rating, review title, review text), a summary that profiles the user, and the output review "
    "rating and review title, generate a personalized item review for the user.\n"
    "The review should be formatted as follows:\n"
    "[Review]: <review>"
)


def profile_prompt(past: Sample, reviews: tuple[Review, ...]) -> Prompt:
    return Prompt(PROFILE_SYSTEM, past_reviews_block(reviews))


def without_target(sample: Sample) -> Sample:
    """The sample without its target, for prompts about the past alone.

    Such prompts cannot leak the target, and they are equal for all samples with the same history.
    """
    return replace(sample, item=Item(sample.category, "", ""), rating=0.0, title="", timestamp=None)


def history_key(sample: Sample, history: tuple[Review, ...]) -> str:
    """The request key of a text generated from these reviews in this order. Samples and cells share the text by it."""
    return json.dumps([sample.category, sample.user_id, *(review.review_id for review in history)])


async def review_with(profile: str, sample: Sample, ctx: Context, history: tuple[Review, ...]) -> str:
    """The last stage, shared with DPL. The budget drops reviews, not the profile. An empty profile gives RAG's text."""
    if not profile:
        return await Rag().write(sample, ctx)

    def prompt(sample: Sample, reviews: tuple[Review, ...]) -> Prompt:
        about_user = f"{past_reviews_block(reviews)}\n[User's Profile Summary]: {profile}"
        return Prompt(REVIEW_SYSTEM, f"{item_block(sample.item)}\n{about_user}\n{output_block(sample)}")

    return strip_marker(await ctx.generate(ctx.fit(prompt, sample, history), stage="review"), "Review")


@dataclass(frozen=True)
class Pag:
    label = "PAG"
    uses_retriever = True
    uses_embeddings = False

    async def write(self, sample: Sample, ctx: Context) -> str:
        history = ctx.retrieve(sample)
        if not history:
            return await Rag().write(sample, ctx)
        prompt = ctx.fit(profile_prompt, without_target(sample), history)
        key = history_key(sample, history)
        answer = await ctx.generate(prompt, stage="profile", key=key, max_new_tokens=PROFILE_TOKENS)
        return await review_with(strip_marker(answer, "Summary"), sample, ctx, history)
