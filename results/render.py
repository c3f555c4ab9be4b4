"""A leaderboard as a terminal table, Markdown or CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from results.leaderboard import Cell, Leaderboard, Row

if TYPE_CHECKING:
    from rich.table import Table


COSTS = ("requests", "from_store", "prompt_tokens", "cached_tokens", "new_tokens", "seconds")


def _number(board: Leaderboard, row: Row, cell: Cell) -> str:
    digits = {column.key: column.digits for column in board.columns}[cell[1]]
    return f"{row.values[cell]:.{digits}f}" if cell in row.values else "-"


def _styled(board: Leaderboard, row: Row, styles: dict[int, tuple[str, str]]) -> list[str]:
    """A row's cells; the best and second best of a column between the marks of `styles`."""
    cells = []
    for cell in board.cells():
        before, after = styles.get(board.rank(row, cell), ("", ""))
        cells.append(f"{before}{_number(board, row, cell)}{after}")
    return cells


def _heads(*, costs: bool) -> list[str]:
    """The columns after the values."""
    return ["n", "failed", *(name.replace("_", " ") for name in COSTS if costs)]


def _tail(row: Row, *, costs: bool) -> list[str]:
    return [str(row.n), str(row.failed), *(f"{getattr(row.cost, name):,.0f}" for name in COSTS if costs)]


def terminal(board: Leaderboard, *, costs: bool = False) -> Table:
    """For rich: categories stand above the first of their columns."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(board.title), box=box.SIMPLE, title_justify="left", pad_edge=False, padding=(0, 1))
    table.add_column("\nMethod", no_wrap=True)
    for category in board.categories:
        for number, column in enumerate(board.columns):
            head = category if number == 0 else ""
            table.add_column(f"{escape(head)}\n{column.label}", justify="right", no_wrap=True, overflow="fold")
    for head in _heads(costs=costs):
        table.add_column("\n" + head, justify="right")
    styles = {1: ("[bold]", "[/bold]"), 2: ("[underline]", "[/underline]")}
    for row in board.rows:
        table.add_row(escape(row.label), *_styled(board, row, styles), *_tail(row, costs=costs))
    return table


def markdown(board: Leaderboard, *, costs: bool = False) -> str:
    def text(value: str) -> str:
        return value.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")

    def line(cells: list[str]) -> str:
        return f"| {' | '.join(cells)} |"

    labels = {column.key: column.label for column in board.columns}
    head = ["Method", *(f"{text(category)} {labels[key]}" for category, key in board.cells()), *_heads(costs=costs)]
    styles = {1: ("**", "**"), 2: ("<u>", "</u>")}
    lines = [f"### {text(board.title)}", "", line(head), "|---" + "|---:" * (len(head) - 1) + "|"]
    for row in board.rows:
        lines.append(line([text(row.label), *_styled(board, row, styles), *_tail(row, costs=costs)]))
    return "\n".join([*lines, "", *(f"- {text(note)}" for note in board.notes), ""])


def as_csv(board: Leaderboard) -> str:
    """Full precision, a line a row; column names are `category/key`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = ["/".join(cell) for cell in board.cells()]
    writer.writerow(["table", "label", "method", "retriever", "k", "seeds", "n", "failed", *COSTS, *names])
    for row in board.rows:
        about = [board.title, row.label, row.method, row.retriever or "", row.k, " ".join(map(str, row.seeds))]
        costs = [getattr(row.cost, name) for name in COSTS]
        writer.writerow([*about, row.n, row.failed, *costs, *(row.values.get(cell, "") for cell in board.cells())])
    return out.getvalue()
