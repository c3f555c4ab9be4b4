"""The times of one source as a whole: what single values cannot tell, and what is odd about them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bench.data.times import UNITS, Read, read

TIES = 0.05  # from this share on, equal times of a user's reviews are worth a note
SAME_TIME = "have the time of another review by the same user: their order is that of the file"
AMBIGUOUS = "dates that may be day or month first"


@dataclass(slots=True)
class Times:
    """Counts of how the values are spelled, with an example of each. All values are added before one is asked for."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    future: int = 0
    numbers_outside: int = 0

    @classmethod
    def of(cls, values: Iterable[Any]) -> Times:
        found = cls()
        for value in values:
            found.add(value)
        return found

    def add(self, value: Any, n: int = 1) -> None:
        one = read(value)
        self.count(self._kind(one), n, example=value)
        self.numbers_outside += n if one.kind == "outside" and _whole(value) is not None else 0
        self.future += n if (one.ms or 0) > time.time() * 1000 else 0

    def count(self, kind: str, n: int, *, example: Any = "") -> None:
        """Adds `n` values that somebody else has read."""
        self.counts[kind] += n
        self.examples.setdefault(kind, str(example)[:40])

    @staticmethod
    def _kind(one: Read) -> str:
        if one.kind != "slashed":
            return one.kind
        return "day first" if one.ms is None else "month first" if one.other is None else "slashed"

    # ---------------------------------------------------------------- decisions

    @property
    def only_order(self) -> bool:
        """Whether all are numbers of no unit, like 1, 2, 3: no dates, but an order that is kept."""
        readable = [*UNITS, "date", "day first", "month first", *(["year"] if self._years else [])]
        return bool(self.numbers_outside or self.counts["year"]) and not any(self.counts[kind] for kind in readable)

    @property
    def _years(self) -> bool:
        """Whether numbers like 2019 are years: not among numbers that are no time."""
        dated = any(self.counts[kind] for kind in (*UNITS, "date"))
        return dated or not self.numbers_outside

    @property
    def _day_first(self) -> bool | None:
        """How dates like 03/05/2019 are read: as others of the column must be. None where these disagree or lack."""
        day, month = bool(self.counts["day first"]), bool(self.counts["month first"])
        return None if day == month else day

    def ms(self, value: Any) -> int | None:
        """Milliseconds since 1970, or None for a value that is no time."""
        one = read(value)
        if self.only_order:
            return _whole(value)
        if one.kind == "year" and not self._years:
            return None
        if one.kind == "slashed" and one.ms is not None and one.other is not None:
            return None if self._day_first is None else one.other if self._day_first else one.ms
        return one.ms if one.ms is not None else one.other

    # ---------------------------------------------------------------- notes

    def odd(self, what: str) -> list[str]:
        """What may be an error of the source. `what`: whose times these are."""
        if self.only_order:
            return [
                f"no time of {what} is between 1990 and 2099 in any unit: their numbers order them, and are no dates"
            ]
        units = [f"{self.counts[unit]} in {unit}" for unit in UNITS if self.counts[unit]]
        notes = (
            [f"times of {what} in several units, each read in its own: {', '.join(units)}"] if len(units) > 1 else []
        )
        without = f"these {what} count as without a time"
        if n := self.counts["unreadable"]:
            notes.append(f"{n} times cannot be read, like {self.examples['unreadable']!r}: {without}")
        if n := self.counts["outside"] + (0 if self._years else self.counts["year"]):
            notes.append(f"{n} times are not between 1990 and 2099, like {self.examples['outside']!r}: {without}")
        if (n := self.counts["slashed"]) and self._day_first is None:
            notes.append(f"{n} {AMBIGUOUS}, like {self.examples['slashed']!r}: {without}")
        if self.future:
            notes.append(f"{self.future} times of {what} are in the future")
        return notes

    def plain(self, what: str) -> list[str]:
        """How times were read that are not in milliseconds."""
        units = [unit for unit in UNITS if self.counts[unit]]
        notes = [f"times of {what} are in {units[0]}"] if len(units) == 1 and units != ["milliseconds"] else []
        if (n := self.counts["slashed"]) and self._day_first is not None:
            notes.append(
                f"{n} {AMBIGUOUS} are read {'day' if self._day_first else 'month'} first, as the others must be"
            )
        if self.counts["year"] and self._years:
            notes.append(f"{self.counts['year']} times are years alone: January the 1st")
        return notes


def _whole(value: Any) -> int | None:
    """The number as an integer that a table can hold; None for what is no number."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
        return int(value if isinstance(value, int) else number) if abs(number) < 2**62 else None
    except (TypeError, ValueError, OverflowError):
        return None
