"""Times as raw files spell them, to milliseconds since 1970 in UTC.

A time without a zone is UTC. A number is in whichever unit puts it between 1990 and 2099: seconds, milliseconds,
microseconds and nanoseconds of these years do not overlap. What a single value cannot tell, the whole column decides:
whether 03/05/2019 is in March, and whether numbers like 2019 are years. No locale and no clock decides anything.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import isfinite
from typing import Any, Literal

FIRST, LAST = 631_152_000_000, 4_102_444_800_000  # 1990-01-01, 2100-01-01
# Unit -> what makes milliseconds of it: times, divided by.
UNITS: dict[str, tuple[int, int]] = {
    "milliseconds": (1, 1), "seconds": (1000, 1), "microseconds": (1, 1000), "nanoseconds": (1, 1_000_000),
}  # fmt: skip
Kind = Literal[
    "missing", "unreadable", "outside", "date", "slashed",
    "milliseconds", "seconds", "microseconds", "nanoseconds", "year",
]  # fmt: skip

_MISSING = {"", "nan", "nat", "none", "null", "na", "n/a", "<na>", "undefined"}
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_DOTNET = re.compile(r"/?Date\((-?\d+)(?:[+-]\d{4})?\)/?")
_CLOCK = re.compile(
    r"""(?: [T\s,]+ | : ) (\d{1,2}) : (\d{2}) (?: : (\d{2}) (?: [.,] (\d+) )? )? \s* ([AP]\.?M\.?)? \s*
        (Z | UTC | GMT | (?:UTC|GMT)? [+-] \d{2} (?: :? \d{2} )? )? $""",
    re.IGNORECASE | re.VERBOSE,
)
# Twitter and C's asctime put the year last: Wed Aug 27 13:08:45 +0000 2008.
_YEAR_LAST = re.compile(r"(?:[A-Za-z]{3} )?([A-Za-z]{3} \d{1,2}) (\d\d:\d\d:\d\d)(?: ([+-]\d{4}|UTC|GMT))? (\d{4})")
_WEEKDAY = re.compile(r"^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+", re.IGNORECASE)
_DATES = (
    re.compile(r"(?P<year>\d{4})(?P<sep>[-/.])(?P<month>\d{1,2})(?P=sep)(?P<day>\d{1,2})"),
    re.compile(r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"),
    re.compile(r"(?P<year>\d{4})[-/](?P<month>\d{1,2})"),
    re.compile(r"(?P<year>\d{4})"),
    re.compile(r"(?P<month>\d{1,2}) (?P<day>\d{1,2}), (?P<year>\d{4})"),  # reviewTime of Amazon 2014
    re.compile(
        r"(?P<day>\d{1,2})(?:st|nd|rd|th)?[\s/-]+(?P<name>[a-z]{3,9})\.?,?[\s/-]+(?P<year>\d{4})", re.IGNORECASE
    ),
    re.compile(r"(?P<name>[a-z]{3,9})\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<year>\d{4})", re.IGNORECASE),
    re.compile(r"(?P<name>[a-z]{3,9})\.?,?\s+(?P<year>\d{4})", re.IGNORECASE),
)
_SLASHED = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})")
_EN = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_MONTHS = {name[:length]: number for number, name in enumerate(_EN, 1) for length in range(3, len(name) + 1)}


@dataclass(frozen=True, slots=True)
class Read:
    """One value as far as it can be read alone. `ms` is None where it is no time.

    `other` is the time of a slashed date with the day first, where `ms` has the month first; None where only one is
    possible.
    """

    kind: Kind
    ms: int | None = None
    other: int | None = None


MISSING, UNREADABLE, OUTSIDE = Read("missing"), Read("unreadable"), Read("outside")


def read(value: Any) -> Read:
    """Reads any value of a JSON line, a table or a dump. Never raises."""
    try:
        return _read(value)
    except (ValueError, OverflowError, RecursionError, TypeError, ArithmeticError):
        return UNREADABLE


def _read(value: Any) -> Read:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return UNREADABLE
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, date):
        return _instant(datetime(value.year, value.month, value.day))
    if isinstance(value, dict):
        return _object(value)
    if isinstance(value, list):
        return _parts(value)
    if isinstance(value, bytes):
        return _text(value.decode("utf-8"))
    return _text(str(value))


def _within(ms: int, kind: Kind) -> Read:
    return Read(kind, ms) if FIRST <= ms < LAST else OUTSIDE


def _number(value: float) -> Read:
    if not isfinite(value):
        return MISSING if value != value else UNREADABLE
    if abs(value) >= 2**63:
        return OUTSIDE
    for unit, (times, by) in UNITS.items():
        ms = value * times // by if isinstance(value, int) else round(value * times / by)
        if FIRST <= ms < LAST:
            return Read(unit, ms)  # type: ignore[arg-type]
    if value == int(value):
        text = str(int(value))
        if len(text) == 4 and 1990 <= value < 2100:
            return Read("year", _ms(datetime(int(value), 1, 1)))
        if len(text) == 8 and 19900101 <= value < 21000101:
            return _date(text)
    return OUTSIDE


def _ms(moment: datetime) -> int:
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _instant(moment: datetime) -> Read:
    return _within(_ms(moment), "date")


def _object(value: dict[str, Any]) -> Read:
    """Extended JSON of MongoDB, and the seconds and nanoseconds of protobuf and Firestore."""
    for name in ("$date", "$numberLong", "$numberInt", "$numberDouble"):
        if len(value) == 1 and name in value:
            return _read(value[name])
    if set(value) == {"$timestamp"}:
        return _read(value["$timestamp"]["t"])
    names = {name.lstrip("_"): name for name in value}
    if "seconds" in names and set(names) <= {"seconds", "nanos", "nanoseconds"}:
        nanos = next((value[name] for key, name in names.items() if key != "seconds"), 0)
        return _within(int(value[names["seconds"]]) * 1000 + int(nanos) // 1_000_000, "seconds")
    return UNREADABLE


def _parts(values: list[Any]) -> Read:
    """[2019, 3, 5, 10, 0], as Java's serializers write it."""
    if 3 <= len(values) <= 7 and all(type(value) is int for value in values):
        *whole, nanos = values if len(values) == 7 else [*values, 0]
        return _instant(datetime(*whole) + timedelta(microseconds=nanos // 1000))
    return UNREADABLE


def _text(text: str) -> Read:
    text = unicodedata.normalize("NFKC", text).strip().strip("\"'").strip()
    if text.casefold() in _MISSING:
        return MISSING
    if len(text) > 100:
        return UNREADABLE
    if text[0] in "{[":
        return _read(json.loads(text))
    if found := _DOTNET.fullmatch(text):
        return _number(int(found[1]))
    if _NUMBER.fullmatch(text):
        return _number(int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text))
    return _date(re.sub(r"\[[^\]]*\]$", "", text))


def _date(text: str) -> Read:
    text = " ".join(text.split())
    if found := _YEAR_LAST.fullmatch(text):
        text = f"{found[1]} {found[4]} {found[2]} {found[3] or ''}".strip()
    text = _WEEKDAY.sub("", text)
    clock = _CLOCK.search(text)
    day = text[: clock.start()] if clock else text
    after = _clock(clock) if clock else timedelta(0)
    for pattern in _DATES:
        if found := pattern.fullmatch(day):
            return _instant(_moment(found.groupdict()) + after)
    if found := _SLASHED.fullmatch(day):
        return _slashed(int(found[1]), int(found[3]), int(found[4]), after)
    return _iso(text)


def _iso(text: str) -> Read:
    """What is left of ISO 8601: week dates, compact clocks."""
    return _instant(datetime.fromisoformat(text.upper()))


def _moment(found: dict[str, str]) -> datetime:
    name = found.get("name")
    month = _MONTHS.get(name.casefold()) if name else int(found.get("month") or 1)
    if month is None:
        raise ValueError(f"no month {name}")
    return datetime(int(found["year"]), month, int(found.get("day") or 1))


def _slashed(first: int, second: int, year: int, after: timedelta) -> Read:
    def at(month: int, day: int) -> int | None:
        return _ms(datetime(year, month, day) + after) if month <= 12 else None

    month_first, day_first = at(first, second), at(second, first)
    if month_first is None and day_first is None:
        return UNREADABLE
    if not FIRST <= (month_first or day_first or 0) < LAST:
        return OUTSIDE
    same = first == second
    return Read("date" if same else "slashed", month_first, None if same else day_first)


def _clock(found: re.Match[str]) -> timedelta:
    """What the clock and its zone add to the day's midnight in UTC. Raises ValueError for no time of day."""
    hour, minute, second, fraction, half, zone = found.groups()
    hours = int(hour)
    if half:
        if not 1 <= hours <= 12:
            raise ValueError("no hour of half a day")
        hours = hours % 12 + (12 if half[0] in "pP" else 0)
    if hours > 23 or int(minute) > 59 or int(second or 0) > 60:
        raise ValueError("no time of day")
    seconds = (hours * 60 + int(minute)) * 60 + int(second or 0)
    return timedelta(seconds=seconds, microseconds=int((fraction or "0")[:6].ljust(6, "0"))) - _offset(zone or "")


def _offset(zone: str) -> timedelta:
    digits = re.sub(r"[^\d+-]", "", zone)
    if not digits:
        return timedelta(0)
    minutes = int(digits[1:3]) * 60 + int(digits[3:5] or 0)
    return timedelta(minutes=-minutes if digits[0] == "-" else minutes)
