"""A leaderboard as data: rows, columns, values with intervals and significance, and the notes below the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from bench.types import Column, StageCost

Cell = tuple[str, str]  # a cell of a row: (label of the column group, column key)


@dataclass(frozen=True)
class Row:
    """One line: a method with its retriever and K over `seeds`, real texts as an anchor, a row of the paper, or the
    difference from that row.
    """

    label: str
    method: str
    retriever: str | None
    k: int
    seeds: tuple[int, ...]
    n: int  # samples, whatever the number of seeds
    failed: int  # over all seeds, as costs are
    values: dict[Cell, float]
    cost: StageCost  # over all stages and seeds
    wall_seconds: float = 0.0  # over all seeds
    variant: str = ""
    line: str = ""  # the label without K
    changes: str = ""  # settings that were given by hand, as part of the label
    settings: dict[str, Any] = field(default_factory=dict)  # of training and encoders
    kept: float | None = None  # past reviews in the prompts that wrote the texts: mean over samples, then seeds
    full: float | None = None  # share of samples whose prompt has all reviews that were retrieved
    by_seed: dict[Cell, tuple[float, ...]] = field(default_factory=dict)
    intervals: dict[Cell, tuple[float, float]] = field(default_factory=dict)
    significance: dict[Cell, str] = field(default_factory=dict)  # the daggers
    imported: bool = False  # texts made elsewhere: K, costs and times are not known, and 0 here
    kind: Literal["run", "anchor", "paper", "difference"] = "run"
    missing: int = 0  # samples for which an anchor has no text: they count in none of its values

    @property
    def written(self) -> int:
        """Texts of all seeds: what costs are divided by for one sample."""
        return max(1, self.n * len(self.seeds))


@dataclass(frozen=True)
class Leaderboard:
    """A table with its title and notes."""

    title: str
    categories: tuple[str, ...]  # column groups: categories, or the slices of one category
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    model: str = ""
    settings: dict[str, Any] = field(default_factory=dict)  # run_settings.of one of its runs
    distinction: str = ""  # how it differs from other tables of the same data and model; part of the title

    def cells(self) -> list[Cell]:
        """The value columns, left to right."""
        return [(category, column.key) for category in self.categories for column in self.columns]

    def rank(self, row: Row, cell: Cell) -> int:
        """1 for the best of a column, 2 for the second best, 0 for the others.

        Values are compared by the digits shown, and ties share a rank. Only runs are ranked. A column without a
        direction, or whose rows are all equal, has no best.
        """
        return self._ranks.get((id(row), cell), 0)

    @cached_property
    def _ranks(self) -> dict[tuple[int, Cell], int]:
        ranks: dict[tuple[int, Cell], int] = {}
        for cell in self.cells():
            column = next(column for column in self.columns if column.key == cell[1])
            if column.higher_is_better is None:
                continue
            runs = [row for row in self.rows if row.kind == "run" and cell in row.values]
            shown = {id(row): round(row.values[cell], column.digits) for row in runs}
            best = sorted(set(shown.values()), reverse=column.higher_is_better)[:2]
            if len(best) == 2:
                ranks |= {(row, cell): best.index(value) + 1 for row, value in shown.items() if value in best}
        return ranks
