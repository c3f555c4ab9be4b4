"""A leaderboard on a terminal: categories above their columns, half intervals below their values.

If the table is wider than the terminal, each category becomes a block of its own, and the last block holds n, failed
and costs. The layout is made here because rich's Table takes seconds for hundreds of rows.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from bench.console.terminal import inert
from results.tables.formats import shared
from results.tables.leaderboard import Cell, Leaderboard, Row

if TYPE_CHECKING:
    from rich.text import Text

Shown = tuple[str, str]  # (text, style)
Line = list[Shown]
T = TypeVar("T")

GAP = "  "
LABEL = 24  # letters that a label may always take; a longer one is broken into lines if there is no room
RULE: Line = []  # stands for a line over the whole width
STYLES = {1: "bold", 2: "underline", 0: ""}


def terminal(board: Leaderboard, *, costs: bool = False, width: int | None = None) -> Text:
    """`width`: the terminal's, in columns; None: lines may have any length."""
    from rich.text import Text

    heads = range(len(shared.heads(board, costs=costs)))
    text = Text()
    text.append(inert(board.title) + "\n\n", "italic")
    whole = _block(board, board.cells(), heads, costs=costs)
    if width is None or _width(whole) <= width:
        return text + whole
    blocks: list[Text] = []
    for _, cells in groupby(board.cells(), key=lambda cell: cell[0]):
        blocks += _fitting(list(cells), lambda some: _block(board, some, [], costs=costs, width=width), width)
    blocks += _fitting(heads, lambda some: _block(board, [], some, costs=costs, width=width), width)
    return text + Text("\n").join(blocks)


def _width(block: Text) -> int:
    from rich.cells import cell_len

    return max(cell_len(line) for line in block.plain.splitlines())


def _fitting(columns: Sequence[T], draw: Callable[[Sequence[T]], Text], width: int) -> Iterator[Text]:
    """Blocks of as many columns as fit into the width, at least one column each."""
    size = len(columns)
    while columns:
        block = draw(columns[:size])
        if size > 1 and _width(block) > width:
            size -= 1
            continue
        yield block
        columns, size = columns[size:], len(columns) - size


def _block(
    board: Leaderboard, cells: Sequence[Cell], tail: Sequence[int], *, costs: bool, width: int | None = None
) -> Text:
    """All rows with some value columns and some of the columns after the values (`tail`: their indices)."""
    labels = {column.key: column.label for column in board.columns}
    heads = shared.heads(board, costs=costs)
    head: Line = [(name, "") for name in ("Method", *(labels[key] for _, key in cells), *(heads[n] for n in tail))]
    rows = [_lines(board, row, cells, tail, costs=costs) for row in board.rows]
    groups = [(name, len(list(same))) for name, same in groupby(category for category, _ in cells)]
    widths = _widths([head, *(line for lines in rows for line in lines)], groups)
    if width is not None:
        room = max(min(LABEL, width // 2), width - sum(widths[1:]) - len(GAP) * (len(widths) - 1))
        rows = [_with_label_in(room, lines) for lines in rows]
        widths[0] = min(widths[0], room)
    body: list[Line] = []
    for row, lines in zip(board.rows, rows, strict=True):
        body += [RULE, *lines] if shared.begins_anchors(board, row) else lines
    return _drawn([head], body, groups, widths)


def _widths(lines: Sequence[Line], groups: Sequence[tuple[str, int]]) -> list[int]:
    """The width of each column. The last column of a category is widened if the category's name needs it."""
    from rich.cells import cell_len

    widths = [max(cell_len(line[place][0]) for line in lines) for place in range(len(lines[0]))]
    last = 0
    for name, size in groups:
        last += size
        spare = sum(widths[last - size + 1 : last + 1]) + len(GAP) * (size - 1) - cell_len(name)
        widths[last] += max(0, -spare)
    return widths


def _drawn(head: list[Line], body: list[Line], groups: Sequence[tuple[str, int]], widths: list[int]) -> Text:
    """The lines below each other, labels to the left, all else to the right."""
    from rich.cells import cell_len
    from rich.text import Text

    text = Text()
    if groups:
        text.append(_groups(groups, widths) + "\n")
    for line in (*head, RULE, *body):
        if line is RULE:
            text.append("─" * (sum(widths) + len(GAP) * (len(widths) - 1)), "dim")
        for place, (content, style) in enumerate(line):
            space = " " * (widths[place] - cell_len(content))
            text.append(GAP + space if place else "")
            text.append(content, style)
            text.append("" if place else space)
        text.append("\n")
    return text


def _groups(groups: Sequence[tuple[str, int]], widths: list[int]) -> str:
    """The line of category names, each at the left end of its columns."""
    from rich.cells import set_cell_size

    names = [" " * widths[0]]
    first = 1
    for name, size in groups:
        mine = widths[first : first + size]
        names.append(set_cell_size(name, sum(mine) + len(GAP) * (size - 1)))
        first += size
    return GAP.join(names).rstrip()


def _lines(board: Leaderboard, row: Row, cells: Sequence[Cell], tail: Sequence[int], *, costs: bool) -> list[Line]:
    """The line of the row and, if it has intervals, the line of their halves."""
    values = [shared.value(board, row, cell) for cell in cells]
    after = shared.tail(board, row, costs=costs)
    style = "" if row.kind == "run" else "dim"
    label = inert(row.label.replace("\n", " "))
    shown = [(value.number + value.dagger, STYLES[value.rank] or style) for value in values]
    lines = [[(label, style), *shown, *((after[place], style) for place in tail)]]
    if any(value.half for value in values):
        lines.append([("", ""), *((value.half, "dim") for value in values), *(("", "") for _ in tail)])
    return lines


def _with_label_in(room: int, lines: list[Line]) -> list[Line]:
    """The row's lines. A label that is longer than `room` is broken over several lines."""
    label, style = lines[0][0]
    if len(label) <= room:
        return lines
    start = " " * (len(label) - len(label.lstrip()))
    pieces = textwrap.wrap(label, room, initial_indent=start, subsequent_indent=f"{start}  ")
    empty: Line = [("", "") for _ in lines[0]]
    padded = [*lines, *[empty] * (len(pieces) - len(lines))]
    return [[(pieces[place] if place < len(pieces) else "", style), *line[1:]] for place, line in enumerate(padded)]
