"""Which planted habits show in a text: a detector a habit, by the text and the world's phrases alone.

A world's key says which habits show in its own texts, so that the detectors are checked there (tests/data/synthetic).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Vocabulary = Mapping[str, tuple[str, ...]]

HABITS = ("length", "punctuation", "opening", "signoff", "catchphrase")
END = re.compile(r"[.!?]+(?=\s|$)|;(?=\s)")
# The fewest sentences, without opening and sign-off. Worlds write 3 in terse texts, 6 in medium and 9 in long ones.
MEDIUM, LONG = 5, 8


def shows(habit: str, value: str, text: str, vocabulary: Vocabulary) -> bool:
    """Whether this value of the habit shows. `vocabulary`: "opening", "signoff" and "loud" -> all there are."""
    if habit == "length":
        return length(text, vocabulary) == value
    if habit == "punctuation":
        return punctuation(text, vocabulary) == value
    return says(habit, value, text)


def says(habit: str, phrase: str, text: str) -> bool:
    """An opening begins the text, a sign-off ends it, a catchphrase stands before a statement. Case does not count."""
    plain, phrase = text.strip().casefold(), phrase.casefold()
    if habit == "opening":
        return plain.startswith(phrase)
    if habit == "signoff":
        return plain.rstrip(".!?; ").endswith(phrase)
    return re.search(rf"(?<!\w){re.escape(phrase)}, ", plain) is not None


def length(text: str, vocabulary: Vocabulary) -> str:
    """terse, medium or long, by the number of sentences."""
    sentences = [one for one in END.split(text) if one.strip()]
    framed = sum(any(says(habit, one, text) for one in vocabulary[habit]) for habit in ("opening", "signoff"))
    n = len(sentences) - framed
    return "long" if n >= LONG else "medium" if n >= MEDIUM else "terse"


def punctuation(text: str, vocabulary: Vocabulary) -> str:
    """The style of most sentences' ends, of the case, or of loud words; else "plain"."""
    marks = [one.group() for one in END.finditer(text)] or ["."]
    if text == text.lower():
        return "lower case"
    if ";" in marks:
        return "semicolons"
    if 2 * marks.count("!") >= len(marks):
        return "exclaiming"
    if 2 * marks.count("...") >= len(marks):
        return "trailing off"
    words = set(re.findall(r"\w+", text))
    return "shouting" if any(word.upper() in words for word in vocabulary["loud"]) else "plain"
