"""How a synthetic user writes: habits that are planted, and the text and title they lead to."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

Punctuation = Literal["plain", "exclaiming", "trailing off", "lower case", "shouting", "semicolons"]
Length = Literal["terse", "medium", "long"]
Level = Literal["good", "mixed", "bad"]

PUNCTUATION: tuple[Punctuation, ...] = ("plain", "exclaiming", "trailing off", "lower case", "shouting", "semicolons")
# Aspects and asides that a review of this length speaks of.
LENGTHS: dict[Length, tuple[int, int]] = {"terse": (2, 0), "medium": (3, 1), "long": (5, 2)}
STRICTNESS = (-1.0, -0.5, 0.0, 0.0, 0.5, 1.0)
# A habit shows in this share of a user's reviews, so that one review never tells all.
STEADINESS = 0.85
LOUD = re.compile(r"\b(every|never|nobody|no|always|all|nothing)\b")
MAX_WORDS = 90

Phrases = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Habits:
    """What is planted in one user. `strictness` is added to the rating; `aspects` are what this user looks at first."""

    length: Length
    punctuation: Punctuation
    opening: str | None
    signoff: str | None
    catchphrase: str | None
    adverb: str
    companion: str
    strictness: float
    aspects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Impression:
    """What an item was to a user: its aspects in -1..1, the stars given, and the words that fill a phrase's slots."""

    felt: Mapping[str, float]
    rating: float
    slots: Mapping[str, str]

    @property
    def verdict(self) -> Level:
        return "good" if self.rating >= 4 else "bad" if self.rating <= 2 else "mixed"


def draw_habits(rng: random.Random, pool: Phrases, aspects: Sequence[str]) -> Habits:
    """One user's habits; one in five has no opening, sign-off or catchphrase."""

    def sometimes(choices: Sequence[str]) -> str | None:
        return rng.choice(choices) if rng.random() < 0.8 else None

    return Habits(
        length=rng.choice(list(LENGTHS)),
        punctuation=rng.choice(PUNCTUATION),
        opening=sometimes(pool["openings"]),
        signoff=sometimes(pool["signoffs"]),
        catchphrase=sometimes(pool["catchphrases"]),
        adverb=rng.choice(pool["adverbs"]),
        companion=rng.choice(pool["companions"]),
        strictness=rng.choice(STRICTNESS),
        aspects=tuple(rng.sample(list(aspects), 3)),
    )


def level(felt: float) -> Level:
    """What is said of an aspect felt to be in -1..1."""
    return "good" if felt > 0.25 else "bad" if felt < -0.25 else "mixed"


def rate(habits: Habits, felt: Mapping[str, float]) -> float:
    """1..5 stars: what the user looks at first decides, moved by how strict the user is."""
    mean = sum(felt[aspect] for aspect in habits.aspects) / len(habits.aspects)
    return float(min(5, max(1, round(3.2 + 2.2 * mean + habits.strictness))))


def compose_text(rng: random.Random, phrases: Phrases, habits: Habits, impression: Impression) -> str:
    """A review of at most MAX_WORDS words; what stands in its middle falls away first."""
    sentences = [sentence.format_map(impression.slots) for sentence in _sentences(rng, phrases, habits, impression)]
    while sum(len(sentence.split()) for sentence in sentences) > MAX_WORDS:
        sentences.pop(len(sentences) // 2)
    return _punctuate(rng, sentences, habits.punctuation)


def compose_title(rng: random.Random, titles: Phrases, habits: Habits, impression: Impression) -> str:
    """A title that fits the rating, on the aspect that speaks loudest for it."""
    ranked = sorted(habits.aspects, key=lambda aspect: impression.felt[aspect])
    aspect = {"good": ranked[-1], "mixed": ranked[1], "bad": ranked[0]}[impression.verdict]
    title: str = rng.choice(titles[impression.verdict]).format_map({**impression.slots, "aspect": aspect})
    return title.lower() if habits.punctuation == "lower case" else title


def _sentences(rng: random.Random, phrases: Phrases, habits: Habits, impression: Impression) -> Iterator[str]:
    def shows(habit: str | None) -> TypeGuard[str]:
        return habit is not None and rng.random() < STEADINESS

    n_aspects, n_asides = LENGTHS[habits.length]
    others = [aspect for aspect in phrases["aspects"] if aspect not in habits.aspects]
    spoken_of = [*rng.sample(habits.aspects, 3), *rng.sample(others, len(others))][:n_aspects]
    remark = rng.randrange(n_aspects) if shows(habits.catchphrase) else None

    if shows(habits.opening):
        yield habits.opening
    yield rng.choice(phrases["contexts"])
    for place, aspect in enumerate(spoken_of):
        said = rng.choice(phrases["aspects"][aspect][level(impression.felt[aspect])])
        yield f"{habits.catchphrase}, {said}" if place == remark else said
    yield from rng.sample(phrases["fillers"], n_asides)
    if habits.length != "terse":
        yield rng.choice(phrases["verdicts"][impression.verdict])
    if shows(habits.signoff):
        yield habits.signoff


def _punctuate(rng: random.Random, sentences: Sequence[str], style: Punctuation) -> str:
    if style == "shouting":
        sentences = [LOUD.sub(lambda word: word[0].upper(), sentence) for sentence in sentences]
    if style == "semicolons":
        sentences = ["; ".join(sentences[i : i + 2]) for i in range(0, len(sentences), 2)]
    mark = {"exclaiming": "!", "trailing off": "..."}.get(style, ".")
    marks = [mark if rng.random() < STEADINESS else "." for _ in sentences]
    text = " ".join(f"{s[0].upper()}{s[1:]}{m}" for s, m in zip(sentences, marks, strict=True))
    return text.lower() if style == "lower case" else text
