"""A leaderboard as Markdown (GitHub's tables)."""

from __future__ import annotations

from results.board import Leaderboard
from results.formats import parts

STYLES = {1: "**{}**", 2: "<u>{}</u>", 0: "{}"}
# Nothing in a name is markup: no cell's end, no tag, no emphasis, and no link or picture, which would be fetched.
SPECIAL = {ord(letter): f"\\{letter}" for letter in "\\`*[]|~"}
SPECIAL |= {ord("&"): "&amp;", ord("<"): "&lt;", **dict.fromkeys(range(32), " ")}


def markdown(board: Leaderboard, *, costs: bool = False) -> str:
    labels = {column.key: column.label for column in board.columns}
    values = [f"{_text(category)} {_text(labels[key])}" for category, key in board.cells()]
    head = ["Method", *values, *parts.heads(costs=costs)]
    lines = [f"### {_text(board.title)}", "", _line(head), "|---" + "|---:" * (len(head) - 1) + "|"]
    for row in board.rows:
        cells = [_cell(value) for value in parts.values(board, row)]
        lines.append(_line([_text(row.label), *cells, *parts.tail(row, costs=costs)]))
    return "\n".join([*lines, "", *(f"- {_text(note)}" for note in board.notes), ""])


def _cell(value: parts.Value) -> str:
    half = f" {value.half}" if value.half else ""
    return STYLES[value.rank].format(value.number) + value.mark + half


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(value: str) -> str:
    return value.translate(SPECIAL)
