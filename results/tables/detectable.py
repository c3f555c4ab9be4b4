"""How far the differences of a table's rows vary over users, and so what its users can show (results.statistics.power).

Which pairs of rows count: every row with the baseline; one pair; without either all pairs. Where there are several, the
typical one has the median of the pairs' standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from bench.types import Column
from results.statistics import power
from results.statistics.inference import LEVEL
from results.statistics.resampling import Estimates
from results.tables.leaderboard import Cell, Leaderboard

Pair = tuple[int, int]  # the indices of two rows
NOTE = (
    "At these users, the smallest true difference of two rows that shows at {power:.0f} % ({level:.0f} % two-sided, "
    "before Holm{pairs}): {listed}. `bench power` has more."
)


@dataclass(frozen=True)
class Spread:
    """The standard errors of the differences of some pairs of rows in one cell, in ascending order, none of them 0."""

    users: int
    errors: tuple[float, ...]
    equal: int = 0  # pairs whose difference is the same for every user, left out

    @property
    def typical(self) -> float:
        return median(self.errors)

    def smallest(self, level: float = LEVEL) -> float:
        """The smallest true difference of the typical pair that shows with the power of `power.POWER`."""
        return power.smallest(self.typical, self.users, level=level)

    def range(self) -> tuple[float, float]:
        """`smallest` of the pairs that vary least and most."""
        first, last = (power.smallest(error, self.users) for error in (self.errors[0], self.errors[-1]))
        return first, last

    def needed(self, difference: float, level: float = LEVEL) -> int | None:
        return power.users_needed(difference, self.typical, self.users, level=level)


def spreads(
    found: Estimates, cells: Iterable[Cell], *, baseline: int | None = None, pair: Pair | None = None
) -> dict[Cell, Spread]:
    """The spread of each cell that two rows have. Without any user to compare with there is none."""
    made: dict[Cell, Spread] = {}
    for cell in cells:
        places = [place for place, *of in found if tuple(of) == cell]
        if spread := _spread(found, cell, _pairs(places, baseline, pair)):
            made[cell] = spread
    return made


def _pairs(places: Sequence[int], baseline: int | None, pair: Pair | None) -> list[Pair]:
    every = list(combinations(places, 2))
    if pair is not None:
        return [one for one in every if set(one) == set(pair)]
    return [one for one in every if baseline is None or baseline in one]


def _spread(found: Estimates, cell: Cell, pairs: Sequence[Pair]) -> Spread | None:
    import numpy as np

    if not pairs:
        return None
    rows = sorted({place for pair in pairs for place in pair})
    estimates = [found[place, *cell] for place in rows]
    if estimates[0].users < 2:
        return None
    made = power.errors(np.stack([one.left_out for one in estimates], axis=1))
    errors = np.sort(made[tuple(np.searchsorted(rows, pairs).T)])
    differing = errors[errors > 0].tolist()
    return Spread(estimates[0].users, tuple(differing), len(errors) - len(differing))


def note(board: Leaderboard, found: Estimates, baseline: int | None) -> str:
    """One line for below the table, of its main columns; "" where no two rows can be compared over users."""
    columns = [column for column in board.columns if column.main] or list(board.columns)
    cells = [(category, column.key) for column in columns for category in board.categories]
    made = {cell: one for cell, one in spreads(found, cells, baseline=baseline).items() if one.errors}
    listed = list(filter(None, (_of_column(column, made) for column in columns)))
    if not listed:
        return ""
    several = max(len(one.errors) for one in made.values()) > 1
    pairs = "all pairs" if baseline is None else f"the rows against {board.rows[baseline].label}"
    said = f"; median of {pairs}" if several else ""
    return NOTE.format(power=100 * power.POWER, level=100 * LEVEL, pairs=said, listed=", ".join(listed))


def _of_column(column: Column, made: Mapping[Cell, Spread]) -> str:
    """'R-1 0.012', or 'R-1 0.012 to 0.015' over the categories."""
    values = sorted(spread.smallest() for (_, key), spread in made.items() if key == column.key)
    ends = list(dict.fromkeys(two_digits(value) for value in (*values[:1], *values[-1:])))
    return f"{column.label} {' to '.join(ends)}" if ends else ""


def two_digits(value: float) -> str:
    """A positive number with at least two digits that count: 0.0123 is 0.012, 123.4 is 123."""
    if not value > 0:
        return "0"
    return f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}"
