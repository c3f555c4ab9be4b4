"""What a number of users can show: the smallest true difference that a test finds, and the users that one needs.

The test is that of tables: t over paired differences, users - 1 degrees of freedom, the jackknife's standard error
(`results.statistics.inference`). With a true difference d and a standard error s, its t has a noncentral t
distribution with noncentrality d / s (Cohen 1988, "Statistical Power Analysis", chapter 2). A difference is found where
the test is significant with the true sign.

Nothing here looks at an observed difference. Power at that is a function of its p-value and adds nothing (Hoenig &
Heisey 2001, "The Abuse of Power").
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from results.statistics import inference
from results.statistics.inference import LEVEL

if TYPE_CHECKING:
    from results.statistics.inference import Array

POWER = 0.8
MOST_USERS = 10**9  # more are never needed by a difference that anybody looks for
EQUAL = 1e-12  # of the rows' own variance: differences that vary less are rounding


def errors(left_out: Array) -> Array:
    """The (rows, rows) standard errors of all differences, from values (users, rows) without one user each.

    0 where two rows have the same difference for every user. Equal to `inference.standard_error` of each difference.
    """
    import numpy as np

    users = len(left_out)
    centred = left_out - left_out.mean(axis=0)
    products = centred.T @ centred
    own = np.diag(products)
    sums = own[:, None] + own
    squares = sums - 2 * products
    made: Array = np.sqrt(np.where(squares > EQUAL * sums, squares, 0.0) * ((users - 1) / users))
    return made


def in_errors(users: int, *, level: float = LEVEL) -> float:
    """The smallest difference that is found with `POWER`, in standard errors. About 2.8 for many users; NaN below 2."""
    if users < 2:
        return math.nan
    from scipy.special import nctdtrinc

    df = users - 1
    return float(nctdtrinc(df, 1 - POWER, inference.quantile(1 - level / 2, df)))


def smallest(error: float, users: int, *, level: float = LEVEL) -> float:
    """The smallest true difference that `users` users find, where a difference has this standard error over them."""
    return error * in_errors(users, level=level)


def users_needed(difference: float, error: float, users: int, *, level: float = LEVEL) -> int | None:
    """The fewest users that find this difference, where a difference has this standard error over `users` users.

    The error over n users is taken for error * sqrt(users / n): independent users, spread as these. None where no
    number of at most `MOST_USERS` suffices, as for a difference of 0.
    """
    spread = error * math.sqrt(users)

    def suffice(n: int) -> bool:
        return smallest(spread / math.sqrt(n), n, level=level) <= difference

    high = 2
    while not suffice(high):
        high *= 2
        if high > MOST_USERS:
            return None
    low = high // 2  # does not suffice, or is 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffice(middle) else (middle, high)
    return high
