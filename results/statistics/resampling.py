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


# (index of the row, label of the group, column key) -> estimate
Estimates = dict[tuple[int, str, str], Estimate]


def estimate(rows: Sequence[Sequence[ScoreArrays]], groups: Mapping[str, Mask], keys: Sequence[str]) -> Estimates:
    """Every value of every row in every group of samples.

    `rows` holds the seeds of each row, `groups` label -> mask (n,). All scores must belong to the same samples in the
    same order. A value that one of the seeds lacks is left out.
    """
    found: Estimates = {}
    for label, mask in groups.items():
        if mask.any():
            for (place, key), made in _of_group(rows, mask, keys).items():
                found[place, label, key] = made
    return found


def _of_group(
    rows: Sequence[Sequence[ScoreArrays]], mask: Mask, keys: Sequence[str]
) -> dict[tuple[int, str], Estimate]:
    import numpy as np

    runs = [scores for row in rows for scores in row]
    seeds = np.repeat(np.arange(len(rows)), [len(row) for row in rows])  # row of each run
    sums = _sums(runs, mask)
    users = sums.shape[1]
    total = sums.sum(axis=1)
    # Single precision is twice as fast, and its seven digits are more than an interval needs.
    resampled: Any = np.matmul(_draws(users), sums.astype(np.float32))
    found: dict[tuple[int, str], Estimate] = {}
    for key, arrays in _columns(runs[0], (total, total[:, None] - sums, resampled)).items():
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


def _sums(runs: Sequence[ScoreArrays], mask: Mask) -> Array:
    """(statistics, users, runs): the sums over each user's samples. Matrix products work on the last two axes."""
    import numpy as np

    users, inverse = np.unique(runs[0].user[mask], return_inverse=True)
    order = np.flatnonzero(mask)[np.argsort(inverse, kind="stable")]
    starts = np.searchsorted(np.sort(inverse), np.arange(len(users)))
    sums = np.empty((runs[0].numbers.shape[1], len(users), len(runs)))
    for place, run in enumerate(runs):
        sums[:, :, place] = np.add.reduceat(run.numbers[order], starts, axis=0).T
    return sums


def _columns(run: ScoreArrays, sums: Sequence[Array]) -> dict[str, list[Array]]:
    """column -> its values from each of the arrays of sums, which are (statistics, ...)."""
    import numpy as np

    from bench.score import score_arrays

    found: dict[str, list[Array]] = {}
    for metric, places in run.places.items():
        made = [score_arrays.values(metric, np.moveaxis(one[places], 0, -1), run.keys[metric]) for one in sums]
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
