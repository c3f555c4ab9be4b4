"""A leaderboard on a terminal: categories above their columns, half intervals below their values.

Laid out here and not by rich's Table, which takes seconds for hundreds of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.terminal import inert
from results.board import Leaderboard, Row
from results.formats import parts

if TYPE_CHECKING:
    from rich.text import Text

Cell = tuple[str, str]  # (text, style)
Line = list[Cell]

GAP = "  "
STYLES = {1: "bold", 2: "underline", 0: ""}


def terminal(board: Leaderboard, *, costs: bool = False) -> Text:
    from rich.cells import cell_len
    from rich.text import Text

    columns = [column.label for _ in board.categories for column in board.columns]
    head: Line = [(name, "") for name in ("Method", *columns, *parts.heads(costs=costs))]
    lines = [line for row in board.rows for line in _lines(board, row, costs=costs)]
    widths = [max(cell_len(cells[place][0]) for cells in (head, *lines)) for place in range(len(head))]
    per_group = len(board.columns)
    for place, category in enumerate(board.categories):
        last = (place + 1) * per_group
        spare = sum(widths[last - per_group + 1 : last + 1]) + len(GAP) * (per_group - 1) - cell_len(category)
        widths[last] += max(0, -spare)
    text = Text()
    text.append(inert(board.title) + "\n\n", "italic")
    text.append(_groups(board, widths) + "\n")
    rule = "─" * (sum(widths) + len(GAP) * (len(widths) - 1))
    for cells in (head, None, *lines):
        for place, (content, style) in enumerate(cells or [(rule, "dim")]):
            space = " " * (widths[place] - cell_len(content)) if cells else ""
            text.append((GAP if place else "") + (space if place else ""))
            text.append(content, style)
            text.append("" if place else space)
        text.append("\n")
    return text


def _groups(board: Leaderboard, widths: list[int]) -> str:
    """The line of categories, each from the left end of its columns."""
    from rich.cells import set_cell_size

    per_group = len(board.columns)
    parts_ = [" " * widths[0]]
    for place, category in enumerate(board.categories):
        mine = widths[1 + place * per_group : 1 + (place + 1) * per_group]
        parts_.append(set_cell_size(category, sum(mine) + len(GAP) * (per_group - 1)))
    return GAP.join(parts_).rstrip()


def _lines(board: Leaderboard, row: Row, *, costs: bool) -> list[Line]:
    """The row and, where it has intervals, the line of their halves."""
    values = parts.values(board, row)
    tail = parts.tail(row, costs=costs)
    style = "" if row.kind == "run" else "dim"
    label = inert(row.label.replace("\n", " "))
    cells = [(value.number + value.mark, STYLES[value.rank] or style) for value in values]
    lines = [[(label, style), *cells, *((text, style) for text in tail)]]
    if any(value.half for value in values):
        lines.append([("", ""), *((value.half, "dim") for value in values), *(("", "") for _ in tail)])
    return lines
