"""A leaderboard as Markdown (GitHub's tables)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from results.tables.formats import shared
from results.tables.leaderboard import Leaderboard

# An underscore inside a word is no emphasis: without a backslash the source is easier to read.
SPECIAL = re.compile(r"[\\`*\[\]|~]|(?<!\w)_|_(?!\w)|#$")
CONTROL = dict.fromkeys((*range(32), 127), " ")
ENTITY = re.compile(r"&(?=#?\w+;)")
STYLES = {1: "**{}**", 2: "<u>{}</u>", 0: "{}"}


def markdown(board: Leaderboard, *, costs: bool = False) -> str:
    labels = {column.key: column.label for column in board.columns}
    values = [text(f"{category} {labels[key]}") for category, key in board.cells()]
    head = ["Method", *values, *shared.heads(board, costs=costs)]
    rows = [
        [text(row.label), *map(_cell, shared.values(board, row)), *shared.tail(board, row, costs=costs)]
        for row in board.rows
    ]
    return table(board.title, head, rows, shared.notes(board, costs=costs))


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str]) -> str:
    """`rows` are Markdown. Title and notes are plain text and are escaped here."""
    rule = "|---" + "|---:" * (len(head) - 1) + "|"
    lines = [f"### {text(title)}", "", _line(head), rule, *map(_line, rows), ""]
    return "\n".join([*lines, *(f"- {text(note)}" for note in notes), ""])


def _cell(value: shared.Value) -> str:
    half = f" {value.half}" if value.half else ""
    return STYLES[value.rank].format(value.number) + value.dagger + half


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def text(value: str) -> str:
    """Plain text as Markdown: no name can end a cell, or become a tag, a link, or a picture that would be fetched."""
    escaped = SPECIAL.sub(r"\\\g<0>", " ".join(value.translate(CONTROL).split()))
    return ENTITY.sub("&amp;", escaped).replace("<", "&lt;")
