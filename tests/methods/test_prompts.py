"""The full prompts of Non-Perso and RAG, also with a small budget and an empty history."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from bench.generate.prompts.budget import fit
from bench.protocols import Method, PromptBuilder
from bench.registry import create
from bench.types import Item, Prompt, Review, Sample

if TYPE_CHECKING:
    from bench.protocols import Vectors

LAMP = Item("Home", "lamp", "Desk Lamp", "A lamp for desks.")


def past(number: int, text: str, *, rating: float = 4.0) -> Review:
    item = Item("Home", f"i{number}", f"Thing {number}", f"About thing {number}.")
    return Review(f"r{number}", "u", item, rating, f"Title {number}", text, 1000 - number)


# Newest first, as a corpus has it.
HISTORY = (past(1, "The newest."), past(2, "In between.", rating=2.5), past(3, "The oldest."))
SAMPLE = Sample("s", "test", "u", LAMP, 5.0, "Bright!", 2000, HISTORY)

NON_PERSO = Prompt(
    system=(
        "Given the title and description of an item, and the output review rating and review title, "
        "generate an item review for the user."
    ),
    user="""\
[Item Title]: Desk Lamp
[Item Description]: A lamp for desks.
[Output Review Rating]: 5.0
[Output Review Title]: Bright!""",
)
RAG_SYSTEM = (
    "Given the title and description of an item, along with the user's past reviews (including item title, item "
    "description, review rating, review title, review text), and the output review rating and review title, "
    "generate a personalized item review for the user."
)
RAG_3_1 = Prompt(
    system=RAG_SYSTEM,
    user="""\
[Item Title]: Desk Lamp
[Item Description]: A lamp for desks.
[User's Past Reviews]:
- [Review 1]:
  - [Item Title]: Thing 3
  - [Item Description]: About thing 3.
  - [Review Rating]: 4.0
  - [Review Title]: Title 3
  - [Review Text]: The oldest.
- [Review 2]:
  - [Item Title]: Thing 1
  - [Item Description]: About thing 1.
  - [Review Rating]: 4.0
  - [Review Title]: Title 1
  - [Review Text]: The newest.
[Output Review Rating]: 5.0
[Output Review Title]: Bright!""",
)


@dataclass
class Context:
    """Gives these reviews for every sample, keeps the prompts and counts words as tokens."""

    retrieved: tuple[Review, ...] = ()
    budget: int = 10_000
    asked: list[tuple[str, Prompt]] = field(default_factory=list)

    def retrieve(self, sample: Sample) -> tuple[Review, ...]:
        return self.retrieved

    def peers(self, review: Review, *, before: int | None = None) -> tuple[Review, ...]:
        raise AssertionError("neither method compares users")

    def embed(self, texts: Sequence[str]) -> Vectors:
        raise AssertionError("neither method embeds")

    def fit(
        self,
        build: PromptBuilder,
        sample: Sample,
        reviews: tuple[Review, ...] = (),
        *,
        keep: int = 1,
        intermediate: bool = False,
    ) -> Prompt:
        def words(prompt: Prompt, *, limit: int) -> int:
            return len(f"{prompt.system} {prompt.user}".split())

        return fit(build, sample, reviews, count=words, budget=self.budget, keep=keep)[0]

    async def generate(self, prompt: Prompt, *, stage: str, key: str = "", max_new_tokens: int | None = None) -> str:
        self.asked.append((stage, prompt))
        return f"answer {len(self.asked)}"


def written(method: Method, ctx: Context, sample: Sample = SAMPLE) -> Prompt:
    """The one prompt of a method with one stage."""
    assert asyncio.run(method.write(sample, ctx)) == "answer 1"
    ((stage, prompt),) = ctx.asked
    assert stage == "review"
    return prompt


def test_non_perso() -> None:
    assert written(create("method", "nonperso"), Context(HISTORY)) == NON_PERSO


def test_rag_best_first() -> None:
    assert written(create("method", "rag"), Context((HISTORY[2], HISTORY[0]))) == RAG_3_1


def test_rag_chronological_puts_the_oldest_first_whatever_the_rank() -> None:
    method = create("method", "rag", {"order": "chronological"})
    assert written(method, Context((HISTORY[0], HISTORY[2]))) == RAG_3_1
    assert written(method, Context((HISTORY[2], HISTORY[0]))) == RAG_3_1


@pytest.mark.parametrize("order", ["rank", "chronological"])
def test_rag_with_nothing_retrieved_is_non_perso(order: str) -> None:
    assert written(create("method", "rag", {"order": order}), Context()) == NON_PERSO


@pytest.mark.parametrize("order", ["rank", "chronological"])
def test_a_review_that_the_budget_shortens_stays_in_the_prompt(order: str) -> None:
    long = replace(HISTORY[1], text=" ".join(f"word{n}" for n in range(100)))
    sample = replace(SAMPLE, history=(HISTORY[0], long, HISTORY[2]))
    short = written(create("method", "rag", {"order": order}), Context((long,), budget=100), sample)
    assert "- [Review 1]:\n  - [Item Title]: Thing 2\n  - [Review Rating]: 2.5\n" in short.user  # no empty label
    assert "  - [Review Text]: word0 word1 word2 " in short.user
    assert len(f"{short.system} {short.user}".split()) == 100
    assert short.user.endswith("[Output Review Rating]: 5.0\n[Output Review Title]: Bright!")


def test_the_budget_drops_the_lowest_rank_not_the_oldest() -> None:
    rag = create("method", "rag", {"order": "chronological"})
    ranked = (HISTORY[1], HISTORY[2], HISTORY[0])
    whole = len(f"{RAG_3_1.system} {RAG_3_1.user}".split())  # two reviews of equal length fit
    user = written(rag, Context(ranked, budget=whole), SAMPLE).user
    assert user.index("The oldest.") < user.index("In between.")
    assert "The newest." not in user


def test_labels_and_needs() -> None:
    assert [(m.label, m.uses_retriever) for m in (create("method", "nonperso"), create("method", "rag"))] == [
        ("Non-Perso", False),
        ("RAG", True),
    ]
