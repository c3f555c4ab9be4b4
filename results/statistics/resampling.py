"""Estimates for the rows of a table: every value with its interval, ready for paired comparison.

All rows are resampled by the same draws of users, so that the difference of two rows is resampled by subtraction.
A row with several seeds is the mean over its seeds, in every resample too. Intervals therefore cover the choice of
users and the noise of sampling texts, but not the choice of a training seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from results.statistics import inference

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.score.score_arrays import ScoreArrays
    from results.statistics.inference import Array

    Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """One value of a table. `left_out`: (users,) values without one user each. `resampled`: (draws,) values."""

    value: float
    low: float
    high: float
    n: int
    left_out: Array
    resampled: Array

    @property
    def users(self) -> int:
        return len(self.left_out)


@dataclass(frozen=True)
class Difference:
    """a - b over the same users, with its 95 % interval. `p`: of a two-sided test that there is no difference."""

    value: float
    low: float
    high: float
    p: float


# The metrics of some runs, in order: (name, how many statistics it has, its columns that are plain means)
Layout = tuple[tuple[str, int, tuple[str, ...]], ...]

# (index of the row, label of the group, column key) -> estimate
Estimates = dict[tuple[int, str, str], Estimate]


def estimate(rows: Sequence[Sequence[ScoreArrays]], groups: Mapping[str, Mask], keys: Sequence[str]) -> Estimates:
    """Every value of every row in every group of samples.

    `rows` holds the seeds of each row, `groups` label -> mask (n,). All scores must belong to the same samples in the
    same order; they may be of different metrics. A value that one of the seeds lacks is left out.
    """
    found: Estimates = {}
    for label, mask in groups.items():
        if mask.any():
            for (place, key), made in _of_group(rows, mask, keys).items():
                found[place, label, key] = made
    return found


def by_user(rows: Sequence[Sequence[ScoreArrays]], mask: Mask, keys: Sequence[str]) -> dict[str, Array]:
    """column -> (users, rows): the value of each user's samples, mean over a row's seeds; NaN where there is none."""
    import numpy as np

    found: dict[str, Array] = {}
    for layout, places in _by_layout(rows).items():
        seeds = np.repeat(np.arange(len(places)), [len(rows[place]) for place in places])
        sums = _sums([scores for place in places for scores in rows[place]], layout, mask)
        for key, (values,) in _columns(layout, (sums,)).items():
            if key in keys:
                own = found.setdefault(key, np.full((len(values), len(rows)), np.nan))
                own[:, places] = _over_seeds(values, seeds, len(places))
    return found


def _of_group(
    rows: Sequence[Sequence[ScoreArrays]], mask: Mask, keys: Sequence[str]
) -> dict[tuple[int, str], Estimate]:
    found: dict[tuple[int, str], Estimate] = {}
    for layout, places in _by_layout(rows).items():
        for (place, key), one in _of_rows([rows[place] for place in places], layout, mask, keys).items():
            found[places[place], key] = one
    return found


def _by_layout(rows: Sequence[Sequence[ScoreArrays]]) -> dict[Layout, list[int]]:
    """The metrics that all seeds of a row have -> the rows that have these."""
    found: dict[Layout, list[int]] = {}
    for place, seeds in enumerate(rows):
        each = [
            {name: (name, part.stop - part.start, run.keys[name]) for name, part in run.places.items()} for run in seeds
        ]
        common = tuple(one for name, one in each[0].items() if all(other.get(name) == one for other in each))
        found.setdefault(common, []).append(place)
    return found


def _of_rows(
    rows: Sequence[Sequence[ScoreArrays]], layout: Layout, mask: Mask, keys: Sequence[str]
) -> dict[tuple[int, str], Estimate]:
    import numpy as np

    runs = [scores for row in rows for scores in row]
    seeds = np.repeat(np.arange(len(rows)), [len(row) for row in rows])  # row of each run
    sums = _sums(runs, layout, mask)
    users = sums.shape[1]
    total = sums.sum(axis=1)
    # Single precision is twice as fast, and its seven digits are more than an interval needs.
    resampled: Any = np.matmul(_draws(users), sums.astype(np.float32))
    found: dict[tuple[int, str], Estimate] = {}
    for key, arrays in _columns(layout, (total, total[:, None] - sums, resampled)).items():
        if key not in keys:
            continue
        value, left_out, again = (_over_seeds(array, seeds, len(rows)) for array in arrays)
        low, high = inference.interval(again, users)
        for place in np.flatnonzero(np.isfinite(value)).tolist():
            found[place, key] = Estimate(
                value=float(value[place]),
                low=float(low[place]),
                high=float(high[place]),
                n=int(mask.sum()),
                left_out=left_out[:, place],
                resampled=again[:, place],
            )
    return found


def _sums(runs: Sequence[ScoreArrays], layout: Layout, mask: Mask) -> Array:
    """(statistics, users, runs): the sums over each user's samples. Matrix products work on the last two axes."""
    import numpy as np

    users, inverse = np.unique(runs[0].user[mask], return_inverse=True)
    order = np.flatnonzero(mask)[np.argsort(inverse, kind="stable")]
    starts = np.searchsorted(np.sort(inverse), np.arange(len(users)))
    sums = np.empty((sum(width for _, width, _ in layout), len(users), len(runs)))
    for place, run in enumerate(runs):
        sums[:, :, place] = np.add.reduceat(_numbers(run, layout)[order], starts, axis=0).T
    return sums


def _numbers(run: ScoreArrays, layout: Layout) -> Array:
    """(n, c): the statistics of these metrics; a copy only where the run has others."""
    import numpy as np

    names = [name for name, _, _ in layout]
    if names == list(run.places):
        return run.numbers
    return np.concatenate([run.statistics(name) for name in names] or [run.numbers[:, :0]], axis=1)


def _columns(layout: Layout, sums: Sequence[Array]) -> dict[str, list[Array]]:
    """column -> its values from each of the arrays of sums, which are (statistics, ...)."""
    import numpy as np

    from bench.score import score_arrays

    found: dict[str, list[Array]] = {}
    start = 0
    for metric, width, keys in layout:
        part = slice(start, start := start + width)
        made = [score_arrays.values(metric, np.moveaxis(one[part], 0, -1), keys) for one in sums]
        found.update({key: [values[key] for values in made] for key in made[0]})
    return found


def _over_seeds(values: Array, rows: NDArray[np.int64], count: int) -> Array:
    """(..., runs) to (..., rows): the mean over the runs of each row. `rows` is the row of each run, in order."""
    import numpy as np

    if len(rows) == count:
        return values
    starts = np.searchsorted(rows, np.arange(count))
    sums: Array = np.add.reduceat(values, starts, axis=-1)
    return sums / np.bincount(rows)


@lru_cache(maxsize=32)
def _draws(users: int) -> NDArray[np.float32]:
    import numpy as np

    return inference.counts(users).astype(np.float32)


def p_value(a: Estimate, b: Estimate) -> float:
    """The p-value of no difference, paired over users. Both must belong to the same samples."""
    error = float(inference.standard_error(a.left_out - b.left_out))
    return inference.p_value(a.value - b.value, error, a.users)


def difference(a: Estimate, b: Estimate) -> Difference:
    """a - b, paired over users. Both must belong to the same samples."""
    low, high = inference.interval(a.resampled - b.resampled, a.users)
    return Difference(a.value - b.value, float(low), float(high), p_value(a, b))
