"""How much of what a planted world planted a row carries: (row - floor) / (ceiling - floor) of metric `habits`.

The floor is Non-Perso, the ceiling `oracle`; without both in a table there is no such column.
"""

from __future__ import annotations

from dataclasses import replace

from bench.types import Column
from results.statistics import shares
from results.statistics.resampling import Estimates
from results.tables.leaderboard import Cell, Leaderboard

OF, FLOOR, CEILING = "habits", "nonperso", "oracle"
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
    floor, ceiling = (only_row(board, method) for method in (FLOOR, CEILING))
    if OF not in keys or floor is None or ceiling is None:
        return board, found
    between = shares.of_rows(found, [OF], floor=floor, ceiling=ceiling)
    made = {(place, label, COLUMN.key): one for (place, label, _), one in between.items()}
    values: list[dict[Cell, float]] = [dict(row.values) for row in board.rows]
    for (place, label, key), one in made.items():
        values[place][label, key] = one.value
    rows = [replace(row, values=own) for row, own in zip(board.rows, values, strict=True)]
    after = keys.index(OF) + 1
    columns = (*board.columns[:after], COLUMN, *board.columns[after:])
    return replace(board, rows=tuple(rows), columns=columns, notes=(*board.notes, NOTE)), {**found, **made}


def only_row(board: Leaderboard, method: str) -> int | None:
    """The place of the one row of this method with its own history and default options; None for none or several."""
    places = [place for place, row in enumerate(board.rows) if row.method == method and not row.variant]
    return places[0] if len(places) == 1 else None
