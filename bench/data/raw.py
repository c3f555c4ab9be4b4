"""Amazon Reviews 2023 as downloaded: what is read from a line, and what is said of a line that cannot be read.

The engine reads the lines (`bench.data.scan`). Those it cannot are looked at here, one by one: some hold half a
surrogate pair and can be mended, the others are broken.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.data.store import parse
from bench.errors import UserError

SHOWN = 10
ITEM_IDS = ("parent_asin", "asin")


@dataclass(slots=True)
class Broken:
    """Lines that are no review or item: counted, the first ten named. `strict` raises UserError at the first."""

    strict: bool = False
    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        if self.strict:
            raise UserError(f"{where}: {what}; correct the file, or build without --strict to leave such lines out")
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(f"{where}: {what}")


def collapse(text: str) -> str:
    """Runs of white space become one space. Half a surrogate pair, which no file can hold, becomes '?'."""
    return " ".join(text.split()).encode("utf-8", "replace").decode("utf-8")


def mend(line: bytes | str, ids: Iterable[tuple[str, ...]]) -> str:
    """The line as JSON that any reader takes, half surrogate pairs replaced.

    Each of `ids` names fields of which one must hold text. Raises ValueError saying what is wrong with the line.
    """
    values = parse(line)
    for names in ids:
        _id(values, *names)
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")


def _id(values: Mapping[str, Any], *names: str) -> str:
    for name in names:
        if isinstance(value := values.get(name), str) and (found := collapse(value)):
            return found
    raise ValueError(f"no {' or '.join(names)}")
