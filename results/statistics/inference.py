"""The uncertainty of a number: intervals by bootstrap over users, paired tests over users, Holm's correction.

Users are drawn, not samples, because the samples of one user are alike. Everything works on sums over a user's
samples. A metric computes its value from such sums (a mean, or corpus BLEU from n-gram counts), so that a resample
costs one matrix product.

- Interval: expanded percentiles (Hesterberg 2015, "What Teachers Should Know About the Bootstrap", section 5):
  percentiles at the level that makes the interval of a mean as wide as that of Student's t. Plain percentiles are too
  narrow for few users.
- Test: t = difference / standard error with users - 1 degrees of freedom; the standard error is the delete-one-user
  jackknife's (MacKinnon, Nielsen & Webb 2023 call it CV3), which works for means and for corpus BLEU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DRAWS = 1000
COVERAGE = 0.95
LACKING = 0.01  # share of draws without a value up to which there is an interval
LEVEL = 0.05


def counts(users: int, *, draws: int = DRAWS, seed: int = 0) -> Array:
    """(draws, users): how often each user is in each resample. Each line sums to `users`."""
    import numpy as np

    drawn = np.random.default_rng([seed, users]).integers(users, size=(draws, users))
    places = drawn + users * np.arange(draws)[:, None]
    return np.bincount(places.ravel(), minlength=draws * users).reshape(draws, users).astype(np.float64)


def interval(resampled: Array, users: int) -> Array:
    """The (2, ...) ends of 95 % intervals, from values (draws, ...) resampled over `users`.

    NaN below 2 users, and where more than LACKING of the draws have no value: both ends or none.
    """
    import numpy as np

    if users < 2:
        return np.full((2, *resampled.shape[1:]), np.nan)
    known = np.isfinite(resampled)
    if not known.all():
        return _of_known(np.where(known, resampled, np.nan), known.mean(axis=0), users)
    wide = quantile((1 + COVERAGE) / 2, users - 1) * math.sqrt(users / (users - 1))
    tail = NormalDist().cdf(-wide)
    ordered = np.sort(resampled, axis=0)  # one sort; quantiles of a sorted array are a weighted pair of its rows
    return np.stack([_at(ordered, tail), _at(ordered, 1 - tail)])


def _of_known(resampled: Array, share: Array, users: int) -> Array:
    """`interval` where some draws have no value (NaN), of the draws that have one. `share` of the draws have."""
    import numpy as np

    flat = resampled.reshape(len(resampled), -1)
    ends = np.full((2, flat.shape[1]), np.nan)
    for place in np.flatnonzero(share.reshape(-1) >= 1 - LACKING):
        column = flat[:, place]
        ends[:, place] = interval(column[np.isfinite(column)], users)
    return ends.reshape(2, *resampled.shape[1:])


def _at(ordered: Array, share: float) -> Any:
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def standard_error(left_out: Array) -> Array:
    """The (...) jackknife standard errors, from values (users, ...) without one user each. NaN below 2 users."""
    import numpy as np

    users = len(left_out)
    if users < 2:
        return np.full(left_out.shape[1:], np.nan)
    result: Array = np.sqrt((users - 1) * left_out.var(axis=0))
    return result


def p_value(difference: float, error: float, users: int) -> float:
    """The two-sided p-value of no difference. 1 if the difference is 0, NaN below 2 users."""
    if users < 2 or math.isnan(difference) or math.isnan(error):
        return math.nan
    # If all users have the same difference, the error is only rounding.
    if abs(difference) < 1e-12:
        return 1.0
    return _two_sided(difference / error if error > 1e-12 * abs(difference) else math.inf, users - 1)


# `scipy.stats.t` calls these two functions of `scipy.special`, which is imported four times as fast.


def _two_sided(t: float, df: int) -> float:
    """P(|T| >= |t|) of Student's t with `df` degrees of freedom."""
    from scipy.special import stdtr

    return float(2 * stdtr(df, -abs(t)))


def quantile(share: float, df: float) -> float:
    """The t with P(T <= t) = share."""
    from scipy.special import stdtrit

    return float(stdtrit(df, share))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given. NaN stays NaN and does not count as a comparison.

    If all those of at most 0.05 are called significant, at most 5 % of tables hold a false one.
    """
    tested = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * p))
        adjusted[place] = highest
    return adjusted
