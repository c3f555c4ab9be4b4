"""Stop strings of a profile: an answer ends before the first one. Engines stop there, and the text is cut here."""

from __future__ import annotations

from collections.abc import Sequence


def cut(text: str, stop: Sequence[str]) -> str:
    """The text before the first stop string in it."""
    ends = [place for place in map(text.find, stop) if place >= 0]
    return text[: min(ends)] if ends else text
