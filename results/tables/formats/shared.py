"""What all formats share: a value as text with its half interval and dagger, and the columns after the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.types import StageCost
from results.tables.leaderboard import Cell, Leaderboard, Row

BEST = "Best in bold, second underlined."
STORED = 0.1  # the share of a row's answers from the store above which its seconds are no measure of its cost
FROM_STORE = (
    "Answers from the store cost no engine seconds here, so these rows' seconds are not to be compared: {rows}. "
    "Runs in a new --out measure them."
)
COSTS = ("requests", "from_store", "prompt_tokens", "cached_tokens", "new_tokens", "engine_seconds")


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


def begins_anchors(board: Leaderboard, row: Row) -> bool:
    """Whether it is the first anchor below other rows: formats set it apart."""
    anchors = [one for one in board.rows if one.kind == "anchor"]
    return bool(anchors) and row is anchors[0] and row is not board.rows[0]


def heads(board: Leaderboard, *, costs: bool) -> list[str]:
    """The heads of the columns after the values."""
    return [*(["kept"] if _has_kept(board) else []), "n", "failed", *([*cost_heads(), "wall seconds"] if costs else [])]


def _has_kept(board: Leaderboard) -> bool:
    return any(row.kept is not None for row in board.rows)


def notes(board: Leaderboard, *, costs: bool, styled: bool = True) -> list[str]:
    """The notes below a table; `styled`: whether the best values can be seen in it."""
    shown = [note for note in board.notes if styled or note != BEST]
    return [*shown, *(_from_store(board.rows) if costs else [])]


def _from_store(rows: Sequence[Row]) -> list[str]:
    """A note on the rows whose answers were not all generated for them."""
    shares = {row.label: row.cost.from_store / row.cost.requests for row in rows if row.cost and row.cost.requests}
    listed = ", ".join(f"{label} ({100 * share:.0f} % stored)" for label, share in shares.items() if share > STORED)
    return [FROM_STORE.format(rows=listed)] if listed else []


def cost_heads() -> list[str]:
    return [*(name.replace("_", " ") for name in COSTS), "truncated"]


def costs_of(cost: StageCost) -> list[str]:
    """The values below `cost_heads`."""
    return [*(f"{getattr(cost, name):,.0f}" for name in COSTS), truncated(cost)]


def truncated(cost: StageCost) -> str:
    """'65.0 %': the share of answers that ended at their limit of new tokens; "-" without any answer."""
    return "-" if cost.truncated is None else f"{100 * cost.truncated:.1f} %"


def kept(row: Row) -> str:
    """'3.0 (12 %)': past reviews in a prompt on average, and the share of samples that kept all; "-" without any."""
    return "-" if row.kept is None or row.full is None else f"{row.kept:.1f} ({100 * row.full:.0f} %)"


def tail(board: Leaderboard, row: Row, *, costs: bool) -> list[str]:
    """The columns after the values, empty for the paper's rows. Nobody wrote an anchor: only n is of it."""
    names = heads(board, costs=costs)
    if row.kind == "anchor":
        return [str(row.n) if name == "n" and row.n else "" for name in names]
    if row.kind != "run":
        return [""] * len(names)
    first = [kept(row)] if _has_kept(board) else []
    after = [*costs_of(row.cost), f"{row.wall_seconds:,.0f}"] if costs else []
    if row.imported:
        after = ["-"] * len(after)
    return [*first, str(row.n), str(row.failed), *after]
