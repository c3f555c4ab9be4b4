"""Amazon Reviews 2023 as downloaded: reviews and item metadata, one JSON object a line, plain or gzipped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bench.data.rules import Rules
from bench.data.store import lines, parse
from bench.errors import UserError
from bench.types import Item

T = TypeVar("T")
Place = tuple[int, int]  # file, line
SHOWN = 10


@dataclass(frozen=True, slots=True)
class RawReview:
    """A review as found. What the source does not have is empty or None.

    `place` orders reviews of the same time: the file's own `source_order`, then where the line stands.
    """

    user_id: str
    item_id: str
    rating: float | None
    title: str
    text: str
    timestamp: int | None
    place: tuple[int, int, int]

    @property
    def recency(self) -> tuple[int, tuple[int, int, int]]:
        """Sorts newest first; reviews of the same time, or of none, stay in the order of their file."""
        return (-(self.timestamp or 0), self.place)


@dataclass(slots=True)
class Broken:
    """Lines that are no review or item: counted, the first ten named. `strict` raises UserError at the first."""

    strict: bool = False
    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        if self.strict:
            raise UserError(f"{where}: {what}; correct the file, or build without `strict` to leave such lines out")
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(f"{where}: {what}")


def read_reviews(paths: Sequence[Path], broken: Broken) -> Iterator[RawReview]:
    """Every review of these files, in order. Raises UserError for a file that is missing or cut short."""
    return _read(paths, broken, _review)


def read_items(paths: Sequence[Path], category: str, rules: Rules, broken: Broken) -> dict[str, Item]:
    """item id -> item of those that the rules admit; of several lines on an item the first admitted one counts."""
    items: dict[str, Item] = {}
    for values in _read(paths, broken, _identified):
        if (item := _item(values, category, rules)) is not None:
            items.setdefault(item.item_id, item)
    return items


def collapse(text: str) -> str:
    """Runs of white space become one space. Half a surrogate pair, which no file can hold, becomes '?'."""
    return " ".join(text.split()).encode("utf-8", "replace").decode("utf-8")


def _read(paths: Iterable[Path], broken: Broken, build: Callable[[Mapping[str, Any], Place], T]) -> Iterator[T]:
    for number, path in enumerate(paths):
        for line_number, line in lines(path):
            try:
                row = build(parse(line), (number, line_number))
            except ValueError as error:
                broken.add(f"{path.name} line {line_number}", str(error))
            else:
                yield row


def _identified(values: Mapping[str, Any], _: Place) -> Mapping[str, Any]:
    _id(values, "parent_asin", "asin")
    return values


def _id(values: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that has text in it. Raises ValueError where none has."""
    for name in names:
        if found := collapse(_text(values.get(name))):
            return found
    raise ValueError(f"no {' or '.join(names)}")


def _review(values: Mapping[str, Any], place: Place) -> RawReview:
    return RawReview(
        user_id=_id(values, "user_id"),
        item_id=_id(values, "parent_asin", "asin"),
        rating=_number(values.get("rating")),
        title=_text(values.get("title")),
        text=_text(values.get("text")),
        timestamp=_whole(values.get("timestamp")),
        place=(_whole(values.get("source_order")) or 0, *place),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _whole(value: object) -> int | None:
    return value if type(value) is int else None


def _item(values: Mapping[str, Any], category: str, rules: Rules) -> Item | None:
    description = _description(values.get("description"))
    if not rules.min_description <= len(description) <= rules.max_description:
        return None
    if not all(values.get(name) for name in rules.require):
        return None
    title = collapse(_text(values.get("title")))
    return Item(category, _id(values, "parent_asin", "asin"), title, collapse(description))


def _description(value: object) -> str:
    """The list joined with spaces, without the heading "Product Description" that opens some of them."""
    if isinstance(value, str):
        return value
    parts = [part for part in value if isinstance(part, str)] if isinstance(value, list) else []
    return " ".join(parts[1:] if parts[:1] == ["Product Description"] else parts)
