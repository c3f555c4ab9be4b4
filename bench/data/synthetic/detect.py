"""Which planted habits show in a text: a detector a habit, by the text alone.

A world's key says which habits show in its own texts, so that the detectors can be checked there (`agreement`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any

from bench.data.synthetic.bundled import PHRASES
from bench.data.synthetic.prose import LOUD

END = re.compile(r"[.!?]+(?=\s|$)|;(?=\s)")
# Sentences of a text without opening and sign-off, from the shortest of each length on (terse 3, medium 6, long 9).
MEDIUM, LONG = 5, 8


def shows(habit: str, value: str, text: str) -> bool:
    """Whether this value of the habit shows in the text."""
    return found(text).get(habit) == value if habit in ("length", "punctuation") else _says(habit, value, text)


def found(text: str) -> dict[str, str]:
    """The length and the punctuation of a text."""
    return {"length": _length(text), "punctuation": _punctuation(text)}


def _says(habit: str, phrase: str, text: str) -> bool:
    plain, phrase = text.strip().casefold(), phrase.casefold()
    if habit == "opening":
        return plain.startswith(phrase)
    if habit == "signoff":
        return plain.rstrip(".!?; ").endswith(phrase)
    return re.search(rf"(?<!\w){re.escape(phrase)}, ", plain) is not None


def _length(text: str) -> str:
    sentences = [one for one in END.split(text) if one.strip()]
    framed = (("opening", _pool("openings")), ("signoff", _pool("signoffs")))
    n = len(sentences) - sum(any(_says(habit, one, text) for one in pool) for habit, pool in framed)
    return "long" if n >= LONG else "medium" if n >= MEDIUM else "terse"


def _punctuation(text: str) -> str:
    marks = [one.group() for one in END.finditer(text)] or ["."]
    if text == text.lower():
        return "lower case"
    if ";" in marks:
        return "semicolons"
    if 2 * marks.count("!") >= len(marks):
        return "exclaiming"
    if 2 * marks.count("...") >= len(marks):
        return "trailing off"
    return "shouting" if any(word.upper() in re.findall(r"\w+", text) for word in _loud()) else "plain"


@cache
def _loud() -> tuple[str, ...]:
    return tuple(re.findall(r"[a-z]+", LOUD.pattern.replace(r"\b", "")))


@cache
def _pool(name: str) -> tuple[str, ...]:
    return tuple(tomllib.loads(PHRASES.read_text())["habits"][name])


def agreement(texts: Mapping[str, str], shown: Mapping[str, Mapping[str, str]]) -> dict[str, float]:
    """habit -> the share of texts in which detector and key agree on whether the key's value (or none) shows."""
    habits = ("length", "punctuation", "opening", "signoff", "catchphrase")
    agree: dict[str, int] = dict.fromkeys(habits, 0)
    for name, text in texts.items():
        for habit in habits:
            agree[habit] += _seen(habit, text) == shown[name].get(habit)
    return {habit: n / len(texts) for habit, n in agree.items()}


def _seen(habit: str, text: str) -> Any:
    if habit in ("length", "punctuation"):
        return found(text)[habit]
    return next((one for one in _pool(f"{habit}s") if _says(habit, one, text)), None)
