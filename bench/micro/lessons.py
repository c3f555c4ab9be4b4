"""What the micro model is taught: the suite's own prompts on worlds that no shipped world shares an item with.

Every stage's way of information is open by construction. The user's real text answers Non-Perso's, RAG's and DEP's
prompts; summaries and differences written from the key answer PAG's and DPL's stages before it. At the slots of trained
methods stand random embeddings or nothing: soft prompt embeddings are learnt by the methods, through the frozen model.

An answer shows the user's own habits: texts in which the item's fashion shows are no answers.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.data.corpus import Corpus, load
from bench.data.synthetic import world
from bench.seeds import derive
from bench.types import Item, Prompt, Review, Sample
from methods import dpl, nonperso, oracle, pag
from methods.dep import Dep
from methods.rag import Rag
from methods.soft import instructed

Habits = Mapping[str, str | None]

# kind of lesson -> its share
SHARES = {
    "nonperso": 8, "soft": 4, "rag": 40, "rag_soft": 10, "dep": 14, "oracle": 8,
    "profile": 4, "profiled": 5, "difference": 4, "summary": 3,
}  # fmt: skip
KS = (1, 2, 3, 4, 4)
ASPECTS = {
    "Writing Style": ("opening", "signoff", "catchphrase"),
    "Emotional Style": ("punctuation",),
    "Semantic Style": ("length",),
}


@dataclass(frozen=True)
class Lesson:
    """A prompt and its answer. With `rows`, the slots hold random embeddings; else they are left out."""

    kind: str
    prompt: Prompt
    answer: str
    rows: bool


@dataclass(frozen=True)
class Taught:
    """A world of lessons: its dataset, and the habits that each review's user has and that its text shows."""

    corpus: Corpus
    has: Mapping[str, Habits]
    shown: Mapping[str, Habits]
    written: Mapping[tuple[str, str], tuple[Review, ...]]  # (category, user) -> all reviews, newest first

    @classmethod
    def made(cls, knobs: world.Knobs) -> Taught:
        with TemporaryDirectory() as folder:
            world.write(Path(folder), knobs, name="lessons")
            corpus = load(folder)
            key = json.loads((Path(folder) / world.KEY).read_text("utf-8"))
        written: dict[tuple[str, str], tuple[Review, ...]] = {}
        for review in corpus.reviews():
            user = (review.category, review.user_id)
            written[user] = (*written.get(user, ()), review)
        return cls(corpus, key["has"], key["shown"], written)

    def own(self, review: Review) -> Habits:
        """The habits that the text shows and the user has; None for those that it does not show."""
        has, shown = self.has[review.review_id], self.shown[review.review_id]
        return {habit: value if shown.get(habit) == value else None for habit, value in has.items()}

    def is_answer(self, review: Review) -> bool:
        shown = self.shown[review.review_id]
        return all(self.has[review.review_id][habit] == value for habit, value in shown.items() if value != "plain")


def knobs(number: int, seed: int) -> world.Knobs:
    """A small world of lessons, with effects of its own."""
    rng = random.Random(derive(seed, "world", number))
    effects: dict[str, Any] = {name: rng.choice((0.0, 0.0, 0.3, 0.6)) for name in ("drift", "context", "fashion")}
    content = rng.choice((0.2, 0.5, 0.8))
    return world.Knobs(seed=derive(seed, number) % 2**40, users=40, items=60, content=content, training=True, **effects)


def endless(seed: int) -> Iterator[Lesson]:
    """Lessons from one seed, world after world."""
    number = 0
    while True:
        rng = random.Random(derive(seed, "lessons", number))
        taught = Taught.made(knobs(number, seed))
        targets = [(reviews, place) for reviews in taught.written.values() for place in range(len(reviews) - 2)]
        rng.shuffle(targets)
        for reviews, place in targets:
            if taught.is_answer(reviews[place]):
                yield lesson(rng, taught, reviews[place], reviews[place + 1 :])
        number += 1


def lesson(rng: random.Random, taught: Taught, target: Review, history: tuple[Review, ...]) -> Lesson:
    (kind,) = rng.choices(list(SHARES), list(SHARES.values()))
    rows = rng.random() < 0.5
    sample = Sample(
        target.review_id, "train", target.user_id, target.item, target.rating, target.title, target.timestamp, history
    )
    k = min(rng.choice(KS), len(history))
    # Mostly the newest reviews, as recency ranks them; else any, as other retrievers do.
    reviews = history[:k] if rng.random() < 0.6 else tuple(rng.sample(history, k))
    prompt, answer = MAKERS[kind](rng, taught, sample, reviews, target)
    return Lesson(kind, prompt, answer, rows)


Maker = Callable[[random.Random, Taught, Sample, tuple[Review, ...], Review], tuple[Prompt, str]]


def _dep(
    rng: random.Random, taught: Taught, sample: Sample, reviews: tuple[Review, ...], target: Review
) -> tuple[Prompt, str]:
    method = Dep(embeddings=rng.choice(("both", "both", "his", "diff")), guidance=rng.random() < 0.8)
    nothing: Any = dict.fromkeys(("his", "diff"), np.zeros(1, np.float32))
    return method._prompt(sample, reviews, {review.review_id: nothing for review in reviews}), target.text


def _profile(
    rng: random.Random, taught: Taught, sample: Sample, reviews: tuple[Review, ...], target: Review
) -> tuple[Prompt, str]:
    return pag.profile_prompt(pag.without_target(sample), reviews), f"[Summary]: {seen(taught, reviews)}"


def _profiled(
    rng: random.Random, taught: Taught, sample: Sample, reviews: tuple[Review, ...], target: Review
) -> tuple[Prompt, str]:
    habits = taught.has[target.review_id]
    words = oracle.in_words(habits) if rng.random() < 0.5 else seen(taught, reviews)
    first = Review("", sample.user_id, Item(sample.category, "", ""), 0.0, "", words)
    return pag.review_prompt(sample, (first, *reviews)), f"[Review]: {target.text}"


def _difference(
    rng: random.Random, taught: Taught, sample: Sample, reviews: tuple[Review, ...], target: Review
) -> tuple[Prompt, str]:
    own = reviews[0]
    peers = taught.corpus.peers(own)
    chosen = rng.sample(peers, min(rng.randint(1, 4), len(peers)))
    if not chosen:
        return _profile(rng, taught, sample, reviews, target)
    bare = (replace(one, item=replace(one.item, description="")) for one in chosen)
    return dpl.difference_prompt(pag.without_target(sample), (own, *bare)), difference(taught, own)


def _summary(
    rng: random.Random, taught: Taught, sample: Sample, reviews: tuple[Review, ...], target: Review
) -> tuple[Prompt, str]:
    differences = [replace(review, text=difference(taught, review)) for review in reviews]
    return dpl.summary_prompt(differences, reviews), f"[Summary]: {seen(taught, reviews)}"


MAKERS: dict[str, Maker] = {
    "nonperso": lambda rng, taught, sample, reviews, target: (nonperso.prompt(sample), target.text),
    "soft": lambda rng, taught, sample, reviews, target: (instructed(nonperso.prompt(sample)), target.text),
    "rag": lambda rng, taught, sample, reviews, target: (Rag().prompt(sample, reviews), target.text),
    "rag_soft": lambda rng, taught, sample, reviews, target: (instructed(Rag().prompt(sample, reviews)), target.text),
    "oracle": lambda rng, taught, sample, reviews, target: (
        oracle.prompt(sample, taught.has[target.review_id]),
        target.text,
    ),
    "dep": _dep,
    "profile": _profile,
    "profiled": _profiled,
    "difference": _difference,
    "summary": _summary,
}


def difference(taught: Taught, review: Review) -> str:
    """What is the user's own in this review, by the aspects that DPL compares."""
    own = taught.own(review)
    return "\n".join(
        f"[{aspect}]: {oracle.in_words({habit: own[habit] for habit in habits})}" for aspect, habits in ASPECTS.items()
    )


def seen(taught: Taught, reviews: tuple[Review, ...]) -> str:
    """The habits that these reviews tell, in words: of each the value that shows most often, or the first such."""
    habits: dict[str, str | None] = {}
    for habit in world.PLANTED:
        values = Counter(value for review in reviews if (value := taught.own(review)[habit]) is not None)
        habits[habit] = values.most_common(1)[0][0] if values else None
    return oracle.in_words(habits)
