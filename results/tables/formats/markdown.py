"""A leaderboard as Markdown (GitHub's tables)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from results.tables.board import Leaderboard
from results.tables.formats import parts

# Underscores inside a word are no emphasis, and columns are easier to read without backslashes.
SPECIAL = re.compile(r"[\\`*\[\]|~]|(?<!\w)_|_(?!\w)|#$")
CONTROL = dict.fromkeys((*range(32), 127), " ")
ENTITY = re.compile(r"&(?=#?\w+;)")
STYLES = {1: "**{}**", 2: "<u>{}</u>", 0: "{}"}


def markdown(board: Leaderboard, *, costs: bool = False) -> str:
    labels = {column.key: column.label for column in board.columns}
    values = [text(f"{category} {labels[key]}") for category, key in board.cells()]
    head = ["Method", *values, *parts.heads(costs=costs)]
    rows = [
        [text(row.label), *map(_cell, parts.values(board, row)), *parts.tail(row, costs=costs)] for row in board.rows
    ]
    return table(board.title, head, rows, board.notes)


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str]) -> str:
    """Cells are Markdown already; the first column names the rows."""
    rule = "|---" + "|---:" * (len(head) - 1) + "|"
    lines = [f"### {text(title)}", "", _line(head), rule, *map(_line, rows), ""]
    return "\n".join([*lines, *(f"- {text(note)}" for note in notes), ""])


def _cell(value: parts.Value) -> str:
    half = f" {value.half}" if value.half else ""
    return STYLES[value.rank].format(value.number) + value.mark + half


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def text(value: str) -> str:
    """As it is, whatever it holds: no name ends a cell, is a tag, or a link or picture, which would be fetched."""
    escaped = SPECIAL.sub(r"\\\g<0>", " ".join(value.translate(CONTROL).split()))
    return ENTITY.sub("&amp;", escaped).replace("<", "&lt;")
