"""Shares of wins and of agreement, over users: intervals that hold at 0 and 1, a test against one half, kappa, a slope.

A t-test has no variance where all users agree, as they may when few are asked for a choice. So:

- Interval: bootstrap over users (`inference`); where every user has the same share, Wilson's over the users.
- Test of one half: sign flips over users. Under the null, the two sides of a user are exchangeable, so that the sign of
  each user's sum is as likely as its opposite.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from results.statistics import inference

if TYPE_CHECKING:
    from results.statistics.inference import Array

FLIPS = 9_999  # signs that are drawn, where the users are too many to try them all
EXACT = 12  # users of whom all signs are tried
RIDGE = 1.0


@dataclass(frozen=True)
class Share:
    """A mean of scores from 0 to 1, with its 95 % interval over users. `p`: two-sided, that it is one half."""

    value: float
    low: float
    high: float
    p: float
    n: int
    users: int


def share(scores: Array, users: Array) -> Share | None:
    """Of (n,) scores from 0 to 1 of samples, with (n,) numbers of their users. None without a score."""
    import numpy as np

    if not len(scores):
        return None
    sums, counts = by_user(scores, users)
    value, n = float(scores.mean()), len(sums)
    drawn = inference.counts(n)
    low, high = inference.interval((drawn @ sums) / (drawn @ counts), n).tolist()
    if np.ptp(sums / counts) == 0:
        low, high = wilson(value, n)
    p = flipped(sums - counts / 2)
    return Share(value, max(low, 0.0), min(high, 1.0), p, len(scores), n)


def by_user(scores: Array, users: Array) -> tuple[Array, Array]:
    """(u,) sums of each user's scores, and (u,) their numbers."""
    import numpy as np

    _, inverse = np.unique(users, return_inverse=True)
    return np.bincount(inverse, weights=scores).astype(np.float64), np.bincount(inverse).astype(np.float64)


def wilson(value: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share `value` of n."""
    z = NormalDist().inv_cdf((1 + inference.COVERAGE) / 2)
    middle = (value + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * ((value * (1 - value) + z * z / (4 * n)) / n) ** 0.5
    return middle - half, middle + half


def flipped(sums: Array) -> float:
    """The p-value of (u,) sums of users that are 0 on average: the share of sign flips whose total is as large.

    All 2**u flips up to `EXACT` users, else `FLIPS` drawn ones and the one that was seen.
    """
    import numpy as np

    users = len(sums)
    if users <= EXACT:
        signs = 1.0 - 2.0 * ((np.arange(2**users)[:, None] >> np.arange(users)) & 1)
        return float((np.abs(signs @ sums) >= abs(sums.sum()) - 1e-9).mean())
    rng, larger = np.random.default_rng([0, users]), 1
    for start in range(0, FLIPS, 1000):
        signs = rng.integers(2, size=(min(1000, FLIPS - start), users)) * 2.0 - 1.0
        larger += int((np.abs(signs @ sums) >= abs(sums.sum()) - 1e-9).sum())
    return larger / (FLIPS + 1)


def kappa(first: Array, second: Array) -> float:
    """Cohen's kappa of (n,) choices in {-1, 0 (tie), 1} of two texts in two orders. NaN where chance explains all.

    Which text is called 1 is arbitrary, so each pair counts under both names: 1 and -1 are equally frequent.
    """
    import numpy as np

    seen = float((first == second).mean())
    ties = [float((one == 0).mean()) for one in (first, second)]
    chance = ties[0] * ties[1] + (1 - ties[0]) * (1 - ties[1]) / 2
    return (seen - chance) / (1 - chance) if chance < 1 else float(np.nan)


def logistic(x: Array, y: Array) -> Array:
    """(k,) coefficients of P(y) = 1 / (1 + exp(-x w)) for (n, k) x and (n,) y from 0 to 1, with a ridge of `RIDGE`.

    Minimises the log loss summed over n, plus RIDGE / 2 |w|^2: finite where a judge always decides alike.
    """
    import numpy as np

    w = np.zeros(x.shape[1])
    for _ in range(100):
        fitted = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        gradient = x.T @ (y - fitted) - RIDGE * w
        curvature = (x.T * (fitted * (1 - fitted))) @ x + RIDGE * np.eye(len(w))
        step = np.linalg.solve(curvature, gradient)
        w = w + step
        if np.abs(step).max() < 1e-10:
            break
    return w


@dataclass(frozen=True)
class Slope:
    """A coefficient with its 95 % interval, by the jackknife that leaves out one user at a time."""

    value: float
    low: float
    high: float


def slope(x: Array, y: Array, users: Array, column: int) -> Slope:
    """The coefficient of one column of x by `logistic`."""
    import numpy as np

    value = float(logistic(x, y)[column])
    names = np.unique(users)
    if len(names) < 2:
        return Slope(value, float("nan"), float("nan"))
    left = np.array([logistic(x[users != one], y[users != one])[column] for one in names])
    half = inference.quantile((1 + inference.COVERAGE) / 2, len(names) - 1) * float(inference.standard_error(left))
    return Slope(value, value - half, value + half)
