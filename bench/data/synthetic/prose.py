"""How a synthetic user writes: the planted habits, and the texts and titles that follow from them."""

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
# Numbers of aspects and of asides in a review of each length.
LENGTHS: dict[Length, tuple[int, int]] = {"terse": (2, 0), "medium": (3, 1), "long": (5, 2)}
STRICTNESS = (-1.0, -0.5, 0.0, 0.0, 0.5, 1.0)
# A habit shows in this share of a user's reviews, so that one review never shows them all.
STEADINESS = 0.85
LOUD = re.compile(r"\b(every|never|nobody|no|always|all|nothing)\b")
MAX_WORDS = 90

Phrases = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Habits:
    """The habits of one user. `strictness` is added to the rating; `aspects` are those that the user looks at first."""

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
    """What a user thinks of an item: its aspects in -1..1, the stars, and the words for the gaps in a phrase."""

    felt: Mapping[str, float]
    rating: float
    words: Mapping[str, str]

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
    """The verdict on an aspect from -1 to 1."""
    return "good" if felt > 0.25 else "bad" if felt < -0.25 else "mixed"


def rate(habits: Habits, felt: Mapping[str, float]) -> float:
    """1..5 stars: the mean of the aspects that the user looks at first, plus the user's strictness."""
    mean = sum(felt[aspect] for aspect in habits.aspects) / len(habits.aspects)
    return float(min(5, max(1, round(3.2 + 2.2 * mean + habits.strictness))))


@dataclass(frozen=True, slots=True)
class Written:
    """A text, and those of its writer's habits that show in it: habit -> value."""

    text: str
    shown: Mapping[str, str]


def compose_text(rng: random.Random, phrases: Phrases, habits: Habits, impression: Impression) -> Written:
    """A review of at most MAX_WORDS words. A longer one loses sentences from its middle."""
    said = [(habit, one.format_map(impression.words)) for habit, one in _sentences(rng, phrases, habits, impression)]
    while sum(len(sentence.split()) for _, sentence in said) > MAX_WORDS:
        said.pop(len(said) // 2)
    text, marked = _punctuate(rng, [sentence for _, sentence in said], habits.punctuation)
    values = {"opening": habits.opening, "signoff": habits.signoff, "catchphrase": habits.catchphrase}
    shown = {"length": habits.length, **{habit: value for habit, _ in said if habit and (value := values[habit])}}
    return Written(text, {**shown, "punctuation": habits.punctuation if marked else "plain"})


def compose_title(rng: random.Random, titles: Phrases, habits: Habits, impression: Impression) -> str:
    """A title that fits the rating, on the aspect that best explains it."""
    ranked = sorted(habits.aspects, key=lambda aspect: impression.felt[aspect])
    aspect = {"good": ranked[-1], "mixed": ranked[1], "bad": ranked[0]}[impression.verdict]
    title: str = rng.choice(titles[impression.verdict]).format_map({**impression.words, "aspect": aspect})
    return title.lower() if habits.punctuation == "lower case" else title


def _sentences(
    rng: random.Random, phrases: Phrases, habits: Habits, impression: Impression
) -> Iterator[tuple[str | None, str]]:
    """(the habit that a sentence shows, or None; the sentence with gaps)"""

    def shows(habit: str | None) -> TypeGuard[str]:
        return habit is not None and rng.random() < STEADINESS

    n_aspects, n_asides = LENGTHS[habits.length]
    others = [aspect for aspect in phrases["aspects"] if aspect not in habits.aspects]
    chosen = [*rng.sample(habits.aspects, 3), *rng.sample(others, len(others))][:n_aspects]
    remark = rng.randrange(n_aspects) if shows(habits.catchphrase) else None

    if shows(habits.opening):
        yield "opening", habits.opening
    yield None, rng.choice(phrases["contexts"])
    for place, aspect in enumerate(chosen):
        said = rng.choice(phrases["aspects"][aspect][level(impression.felt[aspect])])
        yield ("catchphrase", f"{habits.catchphrase}, {said}") if place == remark else (None, said)
    yield from ((None, filler) for filler in rng.sample(phrases["fillers"], n_asides))
    if habits.length != "terse":
        yield None, rng.choice(phrases["verdicts"][impression.verdict])
    if shows(habits.signoff):
        yield "signoff", habits.signoff


def _punctuate(rng: random.Random, sentences: Sequence[str], style: Punctuation) -> tuple[str, bool]:
    """(the text, whether the style shows in it: a loud one needs a word to shout, a mark most sentences)"""
    plain = list(sentences)
    if style == "shouting":
        sentences = [LOUD.sub(lambda word: word[0].upper(), sentence) for sentence in sentences]
    loud = plain != list(sentences)
    if style == "semicolons":
        sentences = ["; ".join(sentences[i : i + 2]) for i in range(0, len(sentences), 2)]
    mark = {"exclaiming": "!", "trailing off": "..."}.get(style, ".")
    marks = [mark if rng.random() < STEADINESS else "." for _ in sentences]
    text = " ".join(f"{s[0].upper()}{s[1:]}{m}" for s, m in zip(sentences, marks, strict=True))
    most = 2 * sum(one != "." for one in marks) >= len(marks)
    shows = {"exclaiming": most, "trailing off": most, "shouting": loud}.get(style, True)
    return text.lower() if style == "lower case" else text, shows
