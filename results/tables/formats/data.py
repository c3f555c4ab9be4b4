"""Leaderboards for programs: CSV and JSON, full precision, ends of intervals, values by seed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench.record import runs
from results.tables.board import Leaderboard, Row
from results.tables.formats.parts import COSTS


def as_csv(*boards: Leaderboard) -> str:
    """A line a row; column names are `category/key`, then `category/key/low`, `/high` and `/mark`.

    Several tables are one: `table` names a row's, and what its table has no column for is empty.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = list(dict.fromkeys(cell for board in boards for cell in board.cells()))
    names = ["/".join(cell) + end for cell in columns for end in ("", "/low", "/high", "/mark")]
    writer.writerow(["table", "kind", "label", "method", "retriever", "k", "seeds", "n", "failed", *COSTS, *names])
    for board in boards:
        mine = set(board.cells())
        for row in board.rows:
            about = [board.title, row.kind, row.label, row.method, row.retriever or "", row.k]
            costs = [getattr(row.cost, name) for name in COSTS]
            cells: list[Any] = []
            for cell in columns:
                low, high = row.intervals.get(cell, ("", "")) if cell in mine else ("", "")
                cells += [row.values.get(cell, "") if cell in mine else "", low, high, row.marks.get(cell, "")]
            writer.writerow([*about, " ".join(map(str, row.seeds)), row.n, row.failed, *costs, *cells])
    return out.getvalue()


def as_json(boards: Sequence[Leaderboard]) -> str:
    return runs.dump([_board(board) for board in boards], indent=2) + "\n"


def _board(board: Leaderboard) -> dict[str, Any]:
    return {
        "title": board.title,
        "groups": list(board.categories),
        "columns": [asdict(column) for column in board.columns],
        "rows": [_row(board, row) for row in board.rows],
        "notes": list(board.notes),
    }


def _row(board: Leaderboard, row: Row) -> dict[str, Any]:
    about = {key: getattr(row, key) for key in ("kind", "label", "method", "retriever", "k", "variant", "n", "failed")}
    values: dict[str, dict[str, Any]] = {group: {} for group in board.categories}
    for group, key in board.cells():
        cell = (group, key)
        if cell in row.values:
            low, high = row.intervals.get(cell, (None, None))
            values[group][key] = {
                "value": row.values[cell],
                "low": low,
                "high": high,
                "mark": row.marks.get(cell, ""),
                "by_seed": list(row.by_seed.get(cell, ())),
            }
    return {**about, "seeds": list(row.seeds), "values": values, "cost": asdict(row.cost)}
