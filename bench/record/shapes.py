"""What a JSON value must look like, and what of one does not: `stages.review: found 5, expected an object`.

Files that the suite wrote may have been edited, merged or cut since. They are checked once, where they are read
(`bench.record.runs`), so that what reads them further need not ask whether a key is there. Text may hold halves of
surrogate pairs, which pydantic does not take.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Shape(Protocol):
    def mistake(self, value: Any, at: str = "") -> str | None:
        """The first thing that is wrong, in one line; None: nothing. `at` is the value's place in the file."""
        ...


@dataclass(frozen=True)
class Is:
    """A value by itself."""

    expected: str
    fits: Callable[[Any], bool]

    def mistake(self, value: Any, at: str = "") -> str | None:
        return None if self.fits(value) else said(value, self.expected, at)


@dataclass(frozen=True)
class Maybe:
    """That, or null."""

    shape: Shape

    def mistake(self, value: Any, at: str = "") -> str | None:
        return None if value is None else self.shape.mistake(value, at)


@dataclass(frozen=True)
class Every:
    """A list of these; `length` where it must have one."""

    shape: Shape
    length: int | None = None

    def mistake(self, value: Any, at: str = "") -> str | None:
        if not isinstance(value, list) or (self.length is not None and len(value) != self.length):
            return said(value, "a list" if self.length is None else f"a list of {self.length}", at)
        for place, one in enumerate(value):
            if wrong := self.shape.mistake(one, f"{at}[{place}]"):
                return wrong
        return None


@dataclass(frozen=True)
class Each:
    """An object whose values are these, whatever their names."""

    shape: Shape

    def mistake(self, value: Any, at: str = "") -> str | None:
        if not isinstance(value, dict):
            return said(value, "an object", at)
        for key, one in value.items():
            if wrong := self.shape.mistake(one, f"{at}.{key}" if at else key):
                return wrong
        return None


@dataclass(frozen=True)
class Has:
    """An object with these keys. `may` have a shape where they are there; `rest` is that of keys without one here."""

    must: Mapping[str, Shape]
    may: Mapping[str, Shape] = field(default_factory=dict)
    rest: Shape | None = None
    only: bool = False  # no other key

    def mistake(self, value: Any, at: str = "") -> str | None:
        if not isinstance(value, dict):
            return said(value, "an object", at)
        before = f"{at}." if at else ""
        for key in self.must:
            if key not in value:
                return f"{before}{key}: found nothing, expected a value"
        for key, one in value.items():
            shape = self.must.get(key) or self.may.get(key) or self.rest
            if shape is None:
                if self.only:
                    return f"{before}{key}: found {one!r:.60}, expected no such key"
            elif wrong := shape.mistake(one, f"{before}{key}"):
                return wrong
        return None


def said(value: Any, expected: str, at: str) -> str:
    return f"{at or 'the value'}: found {value!r:.60}, expected {expected}"


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2.0**63  # nor NaN


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


ANYTHING = Is("anything", lambda value: True)
TEXT = Is("text", lambda value: isinstance(value, str))
FLAG = Is("true or false", lambda value: isinstance(value, bool))
NUMBER = Is("a number", _number)
WHOLE = Is("a whole number from 0", _whole)
NUMBERS = Each(NUMBER)
COUNTS = Each(WHOLE)
TEXTS = Each(TEXT)
OBJECT = Each(ANYTHING)
