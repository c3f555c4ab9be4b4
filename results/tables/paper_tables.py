"""The paper's numbers, kept as data in results/tables/paper/, shown below our rows.

A row of the paper matches one of ours if method, retriever and changed options agree. A row of the same model is
preferred. Otherwise the model that the paper has is taken. Table 2 repeats table 6, and table 3 repeats table 7 (METEOR
only).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from bench.types import StageCost
from results.tables.leaderboard import Cell, Leaderboard, Row

ORDER = (1, 6, 7, 9, 8, 2, 3)  # a row that two tables print is quoted from the one that comes first here


@dataclass(frozen=True)
class PaperRow:
    table: int
    name: str
    group: str
    model: str
    method: str
    retriever: str | None
    options: frozenset[str]  # "dep.text=False"
    values: dict[Cell, float]


@cache
def tables() -> dict[int, dict[str, Any]]:
    """number -> the content of the table's file."""
    folder = resources.files("results") / "tables" / "paper"
    read = (tomllib.loads(file.read_text("utf-8")) for file in folder.iterdir() if file.name.endswith(".toml"))
    return {table["table"]: table for table in sorted(read, key=lambda table: int(table["table"]))}


@cache
def rows() -> tuple[PaperRow, ...]:
    """All rows of methods (table 4 has none), in the order of `ORDER`."""
    return tuple(_row(tables()[number], row) for number in ORDER for row in tables()[number]["rows"])


def _row(table: dict[str, Any], row: dict[str, Any]) -> PaperRow:
    values = {
        (category, key): number
        for category in table["categories"]
        for key, number in zip(table["columns"], row[category], strict=True)
    }
    options = frozenset(f"{key}={value}" for key, value in row.get("set", {}).items())
    return PaperRow(
        table["table"], row["name"], row["group"], row["model"], row["method"], row.get("retriever"), options, values
    )


def find(ours: Row, model: str) -> PaperRow | None:
    """The paper's row for this method, retriever and options."""
    options = frozenset(filter(None, ours.variant.split(", ")))
    same = [row for row in rows() if (row.method, row.retriever, row.options) == (ours.method, ours.retriever, options)]
    small = (row for row in same if "-7B-" in row.model)  # the only size for which the paper has every method
    return next((row for row in same if model.endswith(row.model)), next(small, same[0] if same else None))


def beside(board: Leaderboard) -> Leaderboard:
    """The board with the paper's numbers and the difference (ours minus the paper's) below each row that the paper has.

    Categories that the paper lacks stay empty. If it has none of them, only a note is added.
    """
    mine = set(board.cells())
    made: list[Row] = []
    quoted: list[PaperRow] = []
    for row in board.rows:
        made.append(row)
        printed = find(row, board.model)
        shared = {cell: value for cell, value in printed.values.items() if cell in mine} if printed else {}
        if printed and shared:
            quoted.append(printed)
            made += _quoted(row, printed, shared)
    if not quoted:
        return replace(board, notes=(*board.notes, "The paper has no number for these rows and categories."))
    note = (
        "Paper: Latent Inter-User Difference Modeling for LLM Personalization, tables "
        f"{', '.join(map(str, sorted({row.table for row in quoted})))}; {', '.join(_models(quoted))}, K = 8. "
        "Difference: ours minus the paper's."
    )
    return replace(board, rows=tuple(made), notes=(*board.notes, note))


def _quoted(ours: Row, printed: PaperRow, shared: dict[Cell, float]) -> list[Row]:
    bare = replace(
        ours,
        seeds=(),
        n=0,
        failed=0,
        kept=None,
        full=None,
        cost=StageCost(),
        wall_seconds=0.0,
        by_seed={},
        intervals={},
        significance={},
    )
    size = printed.model.split("-")[1]
    differences = {cell: ours.values[cell] - value for cell, value in shared.items() if cell in ours.values}
    return [
        replace(bare, label=f"  paper, table {printed.table}, {size}", values=shared, kind="paper"),
        replace(bare, label="  difference", values=differences, kind="difference"),
    ]


def _models(quoted: list[PaperRow]) -> list[str]:
    return list(dict.fromkeys(row.model for row in quoted))
