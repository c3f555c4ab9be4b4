"""Judges of known bias, as functions from a pairwise prompt to an answer; and a world with real reviews to judge."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.data.corpus import Corpus, load
from bench.data.synthetic import world
from bench.types import Prompt

Answer = Callable[[str], str]

TEXTS = re.compile(r"\[Text A\]:\n(.*)\n\n\[Text B\]:\n(.*)\n\nMore like this user", re.DOTALL)


def texts(user: str) -> tuple[str, str]:
    """The two texts of a prompt's user message, in the order in which they stand there."""
    found = TEXTS.search(user)
    assert found is not None
    return found[1], found[2]


def first(user: str) -> str:
    return "A"


def longer(user: str) -> str:
    one, other = (len(text.split()) for text in texts(user))
    return "tie" if one == other else "A" if one > other else "B"


def random(user: str) -> str:
    return "AB"[hashlib.sha256(user.encode()).digest()[0] % 2]


def rubbish(user: str) -> str:
    return "A, because it is more like B."


def perfect(corpus: Corpus) -> Answer:
    """Knows who wrote every real text. Of texts that nobody wrote, it prefers none."""
    writers: dict[str, set[str]] = {}
    for review in corpus.reviews():
        writers.setdefault(review.text.strip(), set()).add(review.user_id)

    def answer(user: str) -> str:
        history = re.findall(r"^- .*?, rated [\d.]+: (.*)$", user.partition("\n\n[Product]")[0], re.MULTILINE)
        owners = set.intersection(*(writers[text.strip()] for text in history if text.strip() in writers))
        own = [bool(owners & writers.get(text.strip(), set())) for text in texts(user)]
        return "tie" if own[0] == own[1] else "A" if own[0] else "B"

    return answer


@dataclass
class Stub:
    """A respondent that answers by a function, and counts."""

    answers: Answer
    room: int = 10**6  # characters of a prompt that it can read
    asked: list[Prompt] = field(default_factory=list)
    name: str = "a stub on nothing 1"

    def fits(self, prompt: Prompt) -> bool:
        return len(prompt.system) + len(prompt.text) <= self.room

    def answer(self, prompts: Sequence[Prompt], *, max_new_tokens: int) -> list[str | None]:
        self.asked += prompts
        return [self.answers(prompt.text) for prompt in prompts]


def planted(folder: Path) -> Corpus:
    """2 categories of 60 users whose habits differ."""
    world.write(folder, world.Knobs(users=60, items=20, categories=2), name="w")
    return load(str(folder))
