"""A context that records a method's requests, with a user, items and peers for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.generate.prompts.budget import fit
from bench.protocols import Method, PromptBuilder
from bench.types import Dropped, Item, Prompt, Review, Sample

if TYPE_CHECKING:
    from bench.protocols import Vectors

LAMP = Item("Home", "lamp", "Desk Lamp", "A lamp for desks.")


def thing(number: int) -> Item:
    return Item("Home", f"i{number}", f"Thing {number}", f"About thing {number}.")


def past(number: int, text: str, *, rating: float = 4.0) -> Review:
    return Review(f"r{number}", "u", thing(number), rating, f"Title {number}", text, 1000 - number)


def peer(number: int, user: str, text: str, *, rating: float = 3.0, when: int | None = 500) -> Review:
    """Another user's review of thing `number`."""
    return Review(f"{user}/r{number}", user, thing(number), rating, f"{user}'s title", text, when)


def sample(*history: Review) -> Sample:
    return Sample("s", "test", "u", LAMP, 5.0, "Bright!", 2000, history)


@dataclass(frozen=True)
class Asked:
    """One request: everything that decides its answer and its seed."""

    stage: str
    key: str
    prompt: Prompt
    max_new_tokens: int | None


@dataclass
class Context:
    """Retrieves these reviews, has these peers by item id and these reviews by user, and counts characters as tokens.

    `answers` maps a stage to what the model says there; `gate` holds the requests of these stages back.
    """

    retrieved: tuple[Review, ...] = ()
    known: Mapping[str, tuple[Review, ...]] = field(default_factory=dict)
    vectors: Mapping[str, Sequence[float]] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    budget: int = 100_000
    stage_budget: int | None = None  # of intermediate stages; None: budget
    count: Callable[[str], int] = len
    gate: Mapping[str, asyncio.Event] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    embedded: list[str] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)  # by every `fit`, in order
    notes: dict[str, Any] = field(default_factory=dict)
    written: Mapping[str, tuple[Review, ...]] = field(default_factory=dict)

    def retrieve(self, sample: Sample) -> tuple[Review, ...]:
        return self.retrieved

    def peers(self, review: Review, *, before: int | None = None) -> tuple[Review, ...]:
        found = self.known.get(review.item.item_id, ())
        return tuple(p for p in found if before is None or (p.timestamp is not None and p.timestamp < before))

    def reviews_of(self, category: str, user_id: str, *, before: int | None = None) -> tuple[Review, ...]:
        found = self.written.get(user_id, ())
        return tuple(r for r in found if before is None or (r.timestamp is not None and r.timestamp < before))

    def note(self, name: str, value: Any) -> None:
        self.notes[name] = value

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.embedded.extend(texts)
        return np.array([self.vectors[text] for text in texts], np.float32)

    def fit(
        self,
        build: PromptBuilder,
        sample: Sample,
        reviews: tuple[Review, ...] = (),
        *,
        keep: int = 1,
        intermediate: bool = False,
    ) -> Prompt:
        budget = self.stage_budget or self.budget if intermediate else self.budget
        prompt, dropped = fit(build, sample, reviews, count=self._size, budget=budget, keep=keep)
        self.dropped.append(dropped)
        return prompt

    def _size(self, prompt: Prompt, *, limit: int = 0) -> int:
        return self.count(f"{prompt.system}\n{prompt.text}")

    async def generate(self, prompt: Prompt, *, stage: str, key: str = "", max_new_tokens: int | None = None) -> str:
        assert self._size(prompt) <= (self.budget if stage == "review" else self.stage_budget or self.budget)
        self.asked.append(Asked(stage, key, prompt, max_new_tokens))
        await asyncio.sleep(0)
        if stage in self.gate:
            await self.gate[stage].wait()
        return self.answers.get(stage, f"an answer to {stage}").strip()

    def of(self, stage: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.stage == stage]

    @property
    def stages(self) -> list[str]:
        return [asked.stage for asked in self.asked]


def written(method: Method, ctx: Context, target: Sample) -> str:
    return asyncio.run(method.write(target, ctx))
