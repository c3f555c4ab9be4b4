"""What the formats share: a value as text with its half interval and mark, and the columns after the values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from results.tables.board import Cell, Leaderboard, Row

COSTS = ("requests", "from_store", "prompt_tokens", "cached_tokens", "new_tokens", "seconds")

Escape = Callable[[str], str]


@dataclass(frozen=True)
class Value:
    """One cell: the number, half the width of its interval ("" without one), its mark and its rank (1, 2, 0)."""

    number: str
    half: str
    mark: str
    rank: int


def value(board: Leaderboard, row: Row, cell: Cell) -> Value:
    digits = {column.key: column.digits for column in board.columns}[cell[1]]
    if cell not in row.values:
        return Value("-", "", "", 0)
    sign = "+" if row.kind == "difference" else ""
    ends = row.intervals.get(cell)
    half = f"±{(ends[1] - ends[0]) / 2:.{digits}f}" if ends else ""
    return Value(f"{row.values[cell]:{sign}.{digits}f}", half, row.marks.get(cell, ""), board.rank(row, cell))


def values(board: Leaderboard, row: Row) -> list[Value]:
    return [value(board, row, cell) for cell in board.cells()]


def heads(*, costs: bool) -> list[str]:
    """The columns after the values."""
    return ["n", "failed", *(name.replace("_", " ") for name in COSTS if costs)]


def tail(row: Row, *, costs: bool) -> list[str]:
    if row.kind != "run":
        return [""] * len(heads(costs=costs))
    return [str(row.n), str(row.failed), *(f"{getattr(row.cost, name):,.0f}" for name in COSTS if costs)]
