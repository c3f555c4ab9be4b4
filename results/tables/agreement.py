"""`bench metrics`: how far metrics agree, and which of them see the user.

- Correlations: a user's value of a row is the metric's value over that user's samples; what is correlated are the
  differences of these between rows (results.statistics.agreement), pooled over users, pairs of rows and categories.
- Swap: each row less the same row with another user's history.
- Orders: the places of methods by each metric over all samples, and Kendall's tau between them.

Columns where less is better are turned round, so that agreement is positive. Intervals are of resampled users, by the
draws that all of a table's numbers share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.types import Column
from results.statistics import agreement as statistics
from results.statistics import inference, resampling
from results.statistics.resampling import Difference, Estimate, Estimates
from results.tables import scored, scored_rows
from results.tables.scored_rows import ScoredRows

if TYPE_CHECKING:
    from results.statistics.inference import Array
    from results.tables.finished_runs import FinishedRun

ALL = "all samples"
HISTORY = "history="  # the first part of a row's variant, where the history is not the user's own


@dataclass(frozen=True)
class Matrix:
    """(columns, columns) values and the (2, columns, columns) ends of their 95 % intervals."""

    values: Array
    ends: Array


@dataclass(frozen=True)
class Swap:
    """One column of a row and of the same row with another user's history. `errors`: the difference in its own SE."""

    row: str
    other: str
    column: Column
    own: Estimate
    swapped: Estimate
    difference: Difference
    errors: float
    p: float  # Holm-corrected over all swaps of the table


@dataclass(frozen=True)
class Agreement:
    """Of one table. `places` is (rows, columns of `ordered`): 1 for the best row of a column, NaN without a value."""

    title: str
    metrics: tuple[str, ...]  # of each column; columns of one metric stand together
    columns: tuple[Column, ...]
    left_out: tuple[str, ...]  # labels of columns in which no two rows differ
    of: str  # the pairs of rows, in words
    users: int
    lacking: tuple[str, ...]  # labels of columns without a value for some users
    pearson: Matrix
    spearman: Matrix
    swaps: tuple[Swap, ...]
    alone: tuple[str, ...]  # rows with another user's history whose own row is not here
    example: str  # a run whose history can be swapped; "" for none
    rows: tuple[str, ...]  # the labels of `places`
    places: Array
    kendall: Matrix | None  # of `ordered`; None below three rows and without any of these columns

    @property
    def ordered(self) -> list[int]:
        """The indices of the columns in which one end is better: the others give no order of rows."""
        return [place for place, column in enumerate(self.columns) if column.higher_is_better is not None]


def measure(given: Sequence[ScoredRows], *, baseline: str = "") -> Iterator[Agreement]:
    """Of each table that has the baseline, one by one. Raises UserError where none has it, before the first."""
    found = [(table, scored_rows.place(table, baseline) if baseline else None) for table in given]
    if baseline and all(place is None for _, place in found):
        raise scored_rows.no_row("baseline", baseline, given)
    return (of_table(table, place) for table, place in found if place is not None or not baseline)


def of_table(table: ScoredRows, baseline: int | None = None) -> Agreement:
    """Differences are of all pairs of rows, or of every row with the baseline."""
    import numpy as np

    board, scores = table.board, table.scores
    metrics, known = _clustered(table)
    everyone = np.ones_like(scores[0][0].user, bool)
    keys = [column.key for column in known]
    by_user = resampling.by_user(scores, everyone, keys)
    users = len(next(iter(by_user.values()))) if by_user else 0
    unknown = np.full((users, len(board.rows)), np.nan)
    values = np.stack([direction(column) * by_user.get(column.key, unknown) for column in known], axis=-1)
    differences = _differences(values, baseline)
    kept = [place for place in range(len(known)) if _varies(differences[..., place])]
    columns = tuple(known[place] for place in kept)
    found = resampling.estimate(scores, {ALL: everyone}, keys)
    rows = [place for place, row in enumerate(board.rows) if not row.variant.startswith(HISTORY)]
    labels = [row.label for row in board.rows]
    shown = _shown(found, rows, [column for column in columns if column.higher_is_better is not None])
    counts = np.concatenate([np.ones((1, users)), inference.counts(users)])
    return Agreement(
        title=board.title,
        metrics=tuple(metrics[place] for place in kept),
        columns=columns,
        left_out=tuple(column.label for column in known if column not in columns),
        of=f"all pairs of {len(labels)} rows" if baseline is None else f"every row and {labels[baseline]}",
        users=users,
        lacking=tuple(known[place].label for place in kept if not np.isfinite(values[..., place]).all()),
        pearson=_matrix(statistics.pearson(differences[..., kept], counts), users),
        spearman=_matrix(statistics.spearman(differences[..., kept], counts), users),
        swaps=_swaps(table, found, columns),
        alone=tuple(labels[other] for own, other in _swapped(table) if own is None),
        example=_example(table.runs),
        rows=tuple(labels[place] for place in rows),
        places=_places(shown[0]),
        kendall=_matrix(statistics.kendall(shown), users) if len(rows) > 2 and shown.shape[-1] else None,
    )


def _clustered(table: ScoredRows) -> tuple[list[str], list[Column]]:
    """The table's columns and their metrics, those of one metric together."""
    about = scored.together([row[0].summary for row in table.runs])["columns"]
    metric = {column["key"]: column["metric"] for column in about}
    order = list(dict.fromkeys(metric[column.key] for column in table.board.columns))
    columns = sorted(table.board.columns, key=lambda column: order.index(metric[column.key]))
    return [metric[column.key] for column in columns], columns


def direction(column: Column) -> float:
    """-1 where less is better."""
    return -1.0 if column.higher_is_better is False else 1.0


def _differences(values: Array, baseline: int | None) -> Array:
    """(users, pairs, columns) from (users, rows, columns)."""
    first, second = statistics.pairs_of(values.shape[1])
    if baseline is not None:
        chosen = (first == baseline) | (second == baseline)
        first, second = first[chosen], second[chosen]
    return values[:, first] - values[:, second]


def _varies(differences: Array) -> bool:
    import numpy as np

    return bool(np.nanmax(np.abs(differences), initial=0.0) > 1e-12)


def _matrix(resampled: Array, users: int) -> Matrix:
    """From (1 + draws, columns, columns), of which the first is the value itself."""
    return Matrix(resampled[0], inference.interval(resampled[1:], users))


# ---------------------------------------------------------------- swaps


def _swapped(table: ScoredRows) -> Iterator[tuple[int | None, int]]:
    """(the row with the user's own history, the same with another's), for each of the latter."""
    cells = [row[0].cell for row in table.runs]
    for place, cell in enumerate(cells):
        first, _, rest = cell[2].partition(", ")  # the row's variant
        if first.startswith(HISTORY):
            own = (*cell[:2], rest, *cell[3:])
            yield cells.index(own) if own in cells else None, place


def _swaps(table: ScoredRows, found: Estimates, columns: Sequence[Column]) -> tuple[Swap, ...]:
    tested = [
        (own, other, column, found[own, ALL, column.key], found[other, ALL, column.key])
        for own, other in _swapped(table)
        for column in columns
        if own is not None and (own, ALL, column.key) in found and (other, ALL, column.key) in found
    ]
    differences = [resampling.difference(mine, theirs) for *_, mine, theirs in tested]
    adjusted = inference.holm([one.p for one in differences])
    labels = [row.label for row in table.board.rows]
    return tuple(
        Swap(labels[own], labels[other], column, mine, theirs, made, _in_errors(mine, theirs), p)
        for (own, other, column, mine, theirs), made, p in zip(tested, differences, adjusted, strict=True)
    )


def _in_errors(own: Estimate, swapped: Estimate) -> float:
    error = float(inference.standard_error(own.left_out - swapped.left_out))
    return (own.value - swapped.value) / error if error > 0 else math.nan


def _example(rows: Sequence[Sequence[FinishedRun]]) -> str:
    """The first run of a method that reads a retriever's reviews: the user's own."""
    mine = [row[0] for row in rows if row[0].summary["retriever"] and not row[0].summary["variant"].startswith(HISTORY)]
    return mine[0].folder.path.name if mine else ""


# ---------------------------------------------------------------- orders


def _shown(found: Estimates, rows: Sequence[int], columns: Sequence[Column]) -> Array:
    """(1 + draws, rows, columns): values as the table shows them, by their digits, more is better; NaN for none."""
    import numpy as np

    made = np.full((1 + inference.DRAWS, len(rows), len(columns)), np.nan)
    for place, row in enumerate(rows):
        for number, column in enumerate(columns):
            if one := found.get((row, ALL, column.key)):
                both = np.concatenate([[one.value], one.resampled])
                made[:, place, number] = direction(column) * np.round(both, column.digits)
    return made


def _places(values: Array) -> Array:
    """(rows, columns): how many rows are better, plus 1. Rows that a table shows as equal share a place."""
    import numpy as np

    better = (values[None] > values[:, None]).sum(axis=1)
    return np.where(np.isfinite(values), better + 1.0, np.nan)
