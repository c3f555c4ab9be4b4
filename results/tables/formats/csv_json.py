"""Leaderboards for programs, as CSV and JSON: full precision, ends of intervals, significance.

JSON also has the value of each seed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench.record import runs
from results.tables.formats.shared import COSTS, notes
from results.tables.leaderboard import Cell, Leaderboard, Row

ABOUT = ("kind", "label", "method", "retriever", "k", "variant", "settings", "kept", "full", "n", "failed")


def as_csv(*boards: Leaderboard) -> str:
    """One line for each row.

    A value's columns are `category/key`, `category/key/low`, `/high` and `/significance` (a dagger or nothing). Several
    tables become one: the column `table` holds the title, and columns that a row's table lacks are empty.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = list(dict.fromkeys(cell for board in boards for cell in board.cells()))
    names = ["/".join(cell) + end for cell in columns for end in ("", "/low", "/high", "/significance")]
    about = ("table", "kind", "label", "method", "retriever", "k", "seeds", "kept", "full", "n", "failed")
    writer.writerow([*about, *COSTS, "truncated", "wall_seconds", *names])
    for board in boards:
        own = set(board.cells())
        for row in board.rows:
            head = [board.title, row.kind, row.label, row.method, row.retriever or "", "" if row.imported else row.k]
            costs = ["" if row.imported else getattr(row.cost, name) for name in COSTS]
            wall = "" if row.imported else row.wall_seconds
            values = [text for cell in columns for text in (_csv_cell(row, cell) if cell in own else [""] * 4)]
            kept, full, truncated = ("" if one is None else one for one in (row.kept, row.full, row.cost.truncated))
            counts = [" ".join(map(str, row.seeds)), kept, full, row.n, row.failed]
            writer.writerow([*head, *counts, *costs, truncated, wall, *values])
    return out.getvalue()


def _csv_cell(row: Row, cell: Cell) -> list[Any]:
    low, high = row.intervals.get(cell, ("", ""))
    return [row.values.get(cell, ""), low, high, row.significance.get(cell, "")]


def as_json(boards: Sequence[Leaderboard]) -> str:
    return runs.dump([_board(board) for board in boards], indent=2) + "\n"


def _board(board: Leaderboard) -> dict[str, Any]:
    return {
        "title": board.title,
        "groups": list(board.categories),
        "columns": [asdict(column) for column in board.columns],
        "rows": [_row(board, row) for row in board.rows],
        "notes": notes(board, costs=True, styled=False),
    }


def _row(board: Leaderboard, row: Row) -> dict[str, Any]:
    about = {key: getattr(row, key) for key in ABOUT}
    values: dict[str, dict[str, Any]] = {group: {} for group in board.categories}
    for group, key in board.cells():
        cell = (group, key)
        low, high = row.intervals.get(cell, (None, None))
        values[group][key] = {
            "value": row.values.get(cell),  # null: not scored with it, or nothing could be scored
            "low": low,
            "high": high,
            "significance": row.significance.get(cell, ""),
            "by_seed": list(row.by_seed.get(cell, ())),
        }
    cost = {**asdict(row.cost), "truncated": row.cost.truncated, "wall_seconds": row.wall_seconds}
    if row.imported:  # null: not known
        about, cost = {**about, "k": None}, dict.fromkeys(cost)
    return {**about, "seeds": list(row.seeds), "values": values, "cost": cost}
