"""Raw lines that the database cannot read: mended where they have half a surrogate pair, else counted as broken.

The database reads the other lines in blocks (`bench.data.build.scan`); these few are parsed one by one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.data.folder.jsonl import parse
from bench.errors import UserError

SHOWN = 10
ITEM_IDS = ("parent_asin", "asin")


@dataclass(slots=True)
class Broken:
    """Lines that are no review or item: their number, and the first ten. With `strict` the first raises UserError."""

    strict: bool = False
    count: int = 0
    first: list[str] = field(default_factory=list)
    reasons: dict[tuple[str, str], _Reason] = field(default_factory=dict)

    def add(self, where: str, what: str, *, table: str = "", line: bytes | str = "") -> None:
        if self.strict:
            raise UserError(f"{where}: {what}; correct the file, or build without --strict to leave such lines out")
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(f"{where}: {what}")
        kind = re.split(r" \(|: | in position ", what)[0]
        self.reasons.setdefault((table, kind), _Reason(where, _content(line))).count += 1

    def most(self, table: str) -> str:
        """The most frequent reason among the lines of a table, with the first such line and what it holds; or ""."""
        of_table = {kind: reason for (of, kind), reason in self.reasons.items() if of == table}
        if not of_table:
            return ""
        kind, found = max(of_table.items(), key=lambda one: one[1].count)
        return f"{found.count} lines: {kind}, first {found.where}: {found.holds}"


@dataclass(slots=True)
class _Reason:
    """Why lines are broken: where the first one is, what it holds, and how many there are."""

    where: str
    holds: str
    count: int = 0


def _content(line: bytes | str) -> str:
    """As much of a line as a user needs to know what is wrong with all lines like it."""
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
    if text.lstrip().startswith("["):
        return "an array; write one JSON object a line"
    try:
        return f"its fields are {', '.join(list(parse(text))[:12]) or 'none'}"
    except ValueError:
        return repr(text.strip()[:60])


def collapse(text: str) -> str:
    """Runs of white space become one space. Half a surrogate pair, which no file can hold, becomes '?'."""
    return " ".join(text.split()).encode("utf-8", "replace").decode("utf-8")


def mend(line: bytes | str, ids: Iterable[tuple[str, ...]]) -> str:
    """The line as JSON that any reader takes, half surrogate pairs replaced.

    For each tuple of `ids`, one of these fields must hold text. Raises ValueError saying what is wrong with the line.
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
