"""A leaderboard as a terminal table, Markdown or CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from results.leaderboard import Cell, Leaderboard, Row

if TYPE_CHECKING:
    from rich.table import Table


def _number(board: Leaderboard, row: Row, cell: Cell) -> str:
    digits = {column.key: column.digits for column in board.columns}[cell[1]]
    return f"{row.values[cell]:.{digits}f}" if cell in row.values else "-"


def _styled(board: Leaderboard, styles: dict[int, tuple[str, str]]) -> list[list[str]]:
    """Rows of cells; the best and second best of a column between the marks of `styles`."""
    ranks = {cell: board.rank(cell) for cell in board.cells()}
    lines = []
    for row in board.rows:
        line = []
        for cell in board.cells():
            before, after = styles.get(ranks[cell].get(row.values.get(cell, float("nan")), 0), ("", ""))
            line.append(f"{before}{_number(board, row, cell)}{after}")
        lines.append(line)
    return lines


def terminal(board: Leaderboard) -> Table:
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
    table.add_column("\nn", justify="right")
    table.add_column("\nfailed", justify="right")
    values = _styled(board, {1: ("[bold]", "[/bold]"), 2: ("[underline]", "[/underline]")})
    for row, line in zip(board.rows, values, strict=True):
        table.add_row(escape(row.label), *line, str(row.n), str(row.failed))
    return table


def markdown(board: Leaderboard) -> str:
    def text(value: str) -> str:
        return value.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")

    labels = {column.key: column.label for column in board.columns}
    head = ["Method", *(f"{text(category)} {labels[key]}" for category, key in board.cells()), "n", "failed"]
    values = _styled(board, {1: ("**", "**"), 2: ("<u>", "</u>")})
    lines = [f"### {text(board.title)}", "", f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for row, line in zip(board.rows, values, strict=True):
        lines.append(f"| {' | '.join([text(row.label), *line, str(row.n), str(row.failed)])} |")
    return "\n".join([*lines, "", *(f"- {text(note)}" for note in board.notes), ""])


def as_csv(board: Leaderboard) -> str:
    """Full precision, a line a row; column names are `category/key`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = ["/".join(cell) for cell in board.cells()]
    writer.writerow(["table", "label", "method", "retriever", "k", "seeds", "n", "failed", *names])
    for row in board.rows:
        seeds = " ".join(map(str, row.seeds))
        values = [row.values.get(cell, "") for cell in board.cells()]
        writer.writerow(
            [board.title, row.label, row.method, row.retriever or "", row.k, seeds, row.n, row.failed, *values]
        )
    return out.getvalue()
