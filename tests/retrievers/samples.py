"""Small histories and contexts for the retriever tests."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from bench.types import Item, Review, Sample

if TYPE_CHECKING:
    from bench.protocols import Vectors

WORDS = ["book", "Book", "plot", "good", "slow", "the", "a", "of", "songs", "film", "5", "dvd"]


@dataclass
class Context:
    """A retrieval context that records what was asked of it."""

    seed: int = 0
    encode: Callable[[str], Sequence[float]] | None = None
    asked: list[str] = field(default_factory=list)

    def embed(self, texts: Sequence[str]) -> Vectors:
        assert self.encode is not None, "this retriever must not embed"
        self.asked.extend(texts)
        return np.array([self.encode(text) for text in texts], np.float32)


def item(number: int = 0, *, title: str = "An item", description: str = "") -> Item:
    return Item(category="Books", item_id=f"i{number}", title=title, description=description)


def review(number: int, *, title: str = "", description: str = "", text: str = "", when: int | None = 0) -> Review:
    return Review(f"r{number}", "u", item(number, description=description), 5.0, title, text, when)


def sample(*history: Review, title: str = "", description: str = "", user: str = "u", number: int = 999) -> Sample:
    return Sample("s", "test", user, item(number, description=description), 4.0, title, 10**6, history)


def random_sample(seed: int, *, n: int | None = None) -> Sample:
    """Up to 12 reviews, drawn from 12 words; short ones, equal ones and equal timestamps are common."""
    draw = random.Random(seed)

    def words(most: int) -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(0, most)))

    size = draw.randint(1, 12) if n is None else n
    history = [
        review(i, title=words(3), description=words(8), text=words(9), when=draw.randint(0, 5)) for i in range(size)
    ]
    return sample(*history, title=words(4), description=words(6))


def ids(reviews: Sequence[Review]) -> list[str]:
    return [review.review_id for review in reviews]


def timeless(target: Sample) -> Sample:
    return replace(target, history=tuple(replace(review, timestamp=None) for review in target.history))
