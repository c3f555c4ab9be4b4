"""Where a value stands between a floor and a ceiling: (value - floor) / (ceiling - floor), with its interval."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from results.statistics import inference, resampling
from results.statistics.resampling import Estimate, Estimates

if TYPE_CHECKING:
    from results.statistics.inference import Array

TINY = 1e-9


def share(one: Estimate, floor: Estimate, ceiling: Estimate) -> Estimate | None:
    """0 at the floor and 1 at the ceiling; the interval is of the ratio, by the same draws of users.

    None where the ceiling is not certainly above the floor (95 % interval of the difference): nothing lies between.
    """
    return ratio(one, floor, ceiling) if resampling.difference(ceiling, floor).low > 0 else None


def ratio(one: Estimate, floor: Estimate, ceiling: Estimate) -> Estimate:
    """The share, where the ceiling is certainly off the floor; below it where less is better."""
    resampled = (one.resampled - floor.resampled) / _room(ceiling.resampled - floor.resampled)
    left_out = (one.left_out - floor.left_out) / _room(ceiling.left_out - floor.left_out)
    low, high = inference.interval(resampled, one.users)
    value = (one.value - floor.value) / (ceiling.value - floor.value)
    return Estimate(value, float(low), float(high), one.n, left_out, resampled)


def of_rows(found: Estimates, keys: Collection[str], *, floor: int, ceiling: int) -> Estimates:
    """The shares of every row in these columns, where floor and ceiling (places of rows) have the value and room."""
    made: Estimates = {}
    for (place, label, key), one in found.items():
        ends = [found.get((end, label, key)) for end in (floor, ceiling)]
        if key in keys and ends[0] and ends[1] and (between := share(one, ends[0], ends[1])):
            made[place, label, key] = between
    return made


def _room(differences: Array) -> Array:
    """Without zeros, which a few draws of users may give."""
    return np.where(np.abs(differences) < TINY, TINY, differences)
