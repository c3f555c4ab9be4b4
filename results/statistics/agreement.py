"""How far columns agree on differences between rows: correlations about zero, with values of every resample.

Each difference counts both ways round, A - B and B - A, so that it does not matter which row comes first. Means are
then 0, and a correlation of columns c and d is  sum(x_c x_d) / sqrt(sum(x_c^2) sum(x_d^2))  over all differences, of

    differences   Pearson's r
    signed ranks  Spearman's rho: ranks among the differences of both ways round, less the middle rank
    signs         Kendall's tau-b

If all pairs of rows are taken, Pearson's r is that of the values less each user's mean over the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from results.statistics.inference import Array

DIGITS = 12  # of the largest difference: what differs by less is a tie
CHUNK = 1_000_000  # numbers that ranks are computed of at once


def pearson(differences: Array, counts: Array) -> Array:
    """(draws, columns, columns) from (users, pairs, columns) and how often each user is in each draw (draws, users).

    A difference that a column lacks (NaN) counts in no sum with that column. NaN where all differences are 0.
    """
    import numpy as np

    products, squares = (np.einsum("ku,ucd->kcd", counts, sums) for sums in _sums(_rounded(differences)))
    return _ratios(products, squares)


def spearman(differences: Array, counts: Array) -> Array:
    """`pearson` of the signed ranks, which each draw has of its own."""
    import numpy as np

    users, pairs, columns = differences.shape
    flat = _rounded(differences).reshape(users * pairs, columns)
    known = np.isfinite(flat)
    user = np.repeat(np.arange(users), pairs)
    size = max(1, CHUNK // max(1, len(flat)))
    parts = []
    for start in range(0, len(counts), size):
        weights = counts[start : start + size].T[user]
        ranks = [signed_ranks(one, weights) for one in flat.T]
        products, squares = np.empty((2, weights.shape[1], columns, columns))
        for c, own in enumerate(ranks):
            weighted = weights * own
            squares[:, c] = np.einsum("nk,nk->k", weighted, own)[:, None]
            for d, other in enumerate(ranks):
                if d >= c:
                    products[:, c, d] = products[:, d, c] = np.einsum("nk,nk->k", weighted, other)
                if not known[:, d].all():
                    squares[:, c, d] = np.einsum("nk,nk->k", weighted[known[:, d]], own[known[:, d]])
        parts.append(_ratios(products, squares))
    return np.concatenate(parts)


def signed_ranks(differences: Array, weights: Array) -> Array:
    """(n, draws): the rank of each difference among all, both ways round, less the middle rank; 0 where it is NaN.

    `weights` (n, draws) says how often each difference is in each draw. With L differences that are smaller in size
    and E that are equal, a positive difference has the rank L + E / 2 above the middle, a negative one as much below.
    """
    import numpy as np

    known = np.flatnonzero(np.isfinite(differences))
    sizes, group = np.unique(np.abs(differences[known]), return_inverse=True)
    order = np.argsort(group, kind="stable")
    made = np.zeros(weights.shape)
    if len(sizes):
        equal = np.add.reduceat(weights[known[order]], np.searchsorted(group[order], np.arange(len(sizes))), axis=0)
        ranks = np.cumsum(equal, axis=0) - equal / 2
        made[known] = ranks[group] * np.sign(differences[known])[:, None]
    return made


def kendall(values: Array) -> Array:
    """(..., columns, columns): tau-b between the orders that the columns give rows, from (..., rows, columns)."""
    import numpy as np

    first, second = pairs_of(values.shape[-2])
    return _ratios(*_sums(np.sign(values[..., first, :] - values[..., second, :])))


def pairs_of(rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and the second row of all pairs."""
    import numpy as np

    first, second = np.triu_indices(rows, 1)
    return first, second


def _rounded(differences: Array) -> Array:
    """Each column by its largest difference, which changes no correlation, and without the rounding of means."""
    import numpy as np

    largest = np.nanmax(np.abs(differences), axis=(0, 1), initial=0.0)
    made: Array = np.round(differences / np.where(largest > 0, largest, 1.0), DIGITS)
    return made


def _sums(x: Array) -> tuple[Array, Array]:
    """From (..., n, columns) over n: x_c x_d, and x_c^2 where d is known too; (..., columns, columns)."""
    import numpy as np

    known = np.isfinite(x)
    values = np.where(known, x, 0.0)
    turned = np.swapaxes(values, -1, -2)
    return turned @ values, turned**2 @ known.astype(np.float64)


def _ratios(products: Array, squares: Array) -> Array:
    import numpy as np

    with np.errstate(invalid="ignore", divide="ignore"):
        made: Array = products / np.sqrt(squares * np.swapaxes(squares, -1, -2))
    return made
