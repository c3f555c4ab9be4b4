"""How much of what a planted world planted a row carries: (row - floor) / (ceiling - floor) of metric `habits`.

The floor is Non-Perso, the ceiling `oracle`; without both in a table there is no such column.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bench.types import Column
from results.statistics import inference, resampling
from results.statistics.resampling import Estimate, Estimates
from results.tables.leaderboard import Cell, Leaderboard

if TYPE_CHECKING:
    from results.statistics.inference import Array

OF, FLOOR, CEILING = "habits", "nonperso", "oracle"
TINY = 1e-9
COLUMN = Column("recovered", "REC.", digits=2, higher_is_better=True)
NOTE = (
    "REC.: the share of planted habits that a row carries, (HAB. - Non-Perso's) / (oracle's - Non-Perso's); 0 is the "
    "floor, 1 the ceiling. The oracle is told the habits and is no method."
)


def with_column(board: Leaderboard, found: Estimates) -> tuple[Leaderboard, Estimates]:
    """The board with the column, where it has floor and ceiling, and the estimates with its values.

    Intervals are of the ratio, resampled by the same draws of users. A group in which the ceiling is not certainly
    above the floor (95 % interval of the difference) has none: there is nothing to recover.
    """
    keys = [column.key for column in board.columns]
    floor, ceiling = (_only(board, method) for method in (FLOOR, CEILING))
    if OF not in keys or floor is None or ceiling is None:
        return board, found
    made: Estimates = {}
    for (place, label, key), one in found.items():
        if key == OF and (floor, label, key) in found and (ceiling, label, key) in found:
            low, high = found[floor, label, key], found[ceiling, label, key]
            if resampling.difference(high, low).low > 0:
                made[place, label, COLUMN.key] = share(one, low, high)
    values: list[dict[Cell, float]] = [dict(row.values) for row in board.rows]
    for (place, label, key), one in made.items():
        values[place][label, key] = one.value
    rows = [replace(row, values=own) for row, own in zip(board.rows, values, strict=True)]
    after = keys.index(OF) + 1
    columns = (*board.columns[:after], COLUMN, *board.columns[after:])
    return replace(board, rows=tuple(rows), columns=columns, notes=(*board.notes, NOTE)), {**found, **made}


def _only(board: Leaderboard, method: str) -> int | None:
    """The one row of this method with its own history."""
    places = [place for place, row in enumerate(board.rows) if row.method == method and not row.variant]
    return places[0] if len(places) == 1 else None


def share(one: Estimate, floor: Estimate, ceiling: Estimate) -> Estimate:
    """(one - floor) / (ceiling - floor), of the same samples. The ceiling must be certainly off the floor."""
    resampled = (one.resampled - floor.resampled) / _room(ceiling.resampled - floor.resampled)
    left_out = (one.left_out - floor.left_out) / _room(ceiling.left_out - floor.left_out)
    low, high = inference.interval(resampled, one.users)
    value = (one.value - floor.value) / (ceiling.value - floor.value)
    return Estimate(value, float(low), float(high), one.n, left_out, resampled)


def _room(differences: Array) -> Array:
    """Without zeros, which a few draws of users may give."""
    return np.where(np.abs(differences) < TINY, TINY, differences)
