"""What all formats share: a value as text with its half interval and dagger, and the columns after the values."""

from __future__ import annotations

from dataclasses import dataclass

from results.tables.leaderboard import Cell, Leaderboard, Row

COSTS = ("requests", "from_store", "prompt_tokens", "cached_tokens", "new_tokens", "seconds")


@dataclass(frozen=True)
class Value:
    """One value as text."""

    number: str  # "-" where the row has no value
    half: str  # "±" and half the width of the interval, "" without an interval
    dagger: str
    rank: int  # 1 for the best, 2 for the second best, else 0


def value(board: Leaderboard, row: Row, cell: Cell) -> Value:
    digits = {column.key: column.digits for column in board.columns}[cell[1]]
    if cell not in row.values:
        return Value("-", "", "", 0)
    sign = "+" if row.kind == "difference" else ""
    ends = row.intervals.get(cell)
    half = f"±{(ends[1] - ends[0]) / 2:.{digits}f}" if ends else ""
    return Value(f"{row.values[cell]:{sign}.{digits}f}", half, row.significance.get(cell, ""), board.rank(row, cell))


def values(board: Leaderboard, row: Row) -> list[Value]:
    return [value(board, row, cell) for cell in board.cells()]


def heads(*, costs: bool) -> list[str]:
    """The heads of the columns after the values."""
    return ["n", "failed", *(cost_heads() if costs else [])]


def cost_heads() -> list[str]:
    return [name.replace("_", " ") for name in COSTS]


def tail(row: Row, *, costs: bool) -> list[str]:
    """The columns after the values, empty for the paper's rows."""
    if row.kind != "run":
        return [""] * len(heads(costs=costs))
    return [str(row.n), str(row.failed), *(f"{getattr(row.cost, name):,.0f}" for name in COSTS if costs)]
