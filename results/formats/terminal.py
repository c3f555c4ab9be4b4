"""A leaderboard on a terminal, by rich: categories above their columns, intervals below their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from results.board import Leaderboard
from results.formats import parts

if TYPE_CHECKING:
    from rich.table import Table

STYLES = {1: "[bold]{}[/bold]", 2: "[underline]{}[/underline]", 0: "{}"}


def terminal(board: Leaderboard, *, costs: bool = False) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(board.title), box=box.SIMPLE, title_justify="left", pad_edge=False, padding=(0, 1))
    table.add_column("\nMethod", no_wrap=True)
    for category in board.categories:
        for number, column in enumerate(board.columns):
            head = category if number == 0 else ""
            table.add_column(f"{escape(head)}\n{column.label}", justify="right", no_wrap=True, overflow="fold")
    for head in parts.heads(costs=costs):
        table.add_column("\n" + head, justify="right")
    for row in board.rows:
        cells = [_cell(value) for value in parts.values(board, row)]
        style = "" if row.kind == "run" else "dim"
        table.add_row(escape(row.label), *cells, *parts.tail(row, costs=costs), style=style)
    return table


def _cell(value: parts.Value) -> str:
    number = STYLES[value.rank].format(value.number) + value.mark
    return f"{number}\n[dim]{value.half}[/dim]" if value.half else number
