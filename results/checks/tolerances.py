"""How far a value may move before it counts as moved, from its spread over seeds.

A baseline holds means over S seeds; a later run with one seed differs from a mean by noise of s sqrt(1 + 1/S), where s
is the standard deviation over seeds. The tolerance is so many of these that all values of the file together give a
false alarm in at most `FALSE_ALARMS` of all runs (Bonferroni, Student's t).

S is small, so the standard deviations of one column are pooled over the rows of the file, in units of the column, or,
for what a run did, relative to the value; a row with more noise than most keeps its own. A value that is the same with
every seed may move by `SAME` of itself: another machine may round a vector, and so a ranking, otherwise.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean, variance

from results.checks.measured import RUN
from results.statistics.inference import quantile

FALSE_ALARMS = 0.01
SAME = 0.002
LEAST_SEEDS = 3

Name = tuple[str, str, str]  # row, group, key


def of(seeds: Mapping[Name, Sequence[float]]) -> dict[Name, tuple[float, float]]:
    """name -> (mean, tolerance) of values with at least `LEAST_SEEDS` seeds each."""
    pooled: dict[tuple[str, str], list[tuple[float, int]]] = defaultdict(list)
    own: dict[Name, float] = {}
    for name, found in seeds.items():
        own[name] = math.sqrt(variance(found)) / _unit(name, found)
        if own[name] > 0:
            pooled[name[1:]].append((own[name], len(found) - 1))
    made = {}
    for name, found in seeds.items():
        spreads = pooled.get(name[1:], []) if own[name] > 0 else []
        freedom = sum(df for _, df in spreads)
        shared = math.sqrt(sum(spread**2 * df for spread, df in spreads) / freedom) if freedom else 0.0
        noise = max(own[name], shared) * math.sqrt(1 + 1 / len(found))
        times = quantile(1 - FALSE_ALARMS / (2 * len(seeds)), freedom) if freedom else 0.0
        made[name] = fmean(found), max(times * noise * _unit(name, found), SAME * abs(fmean(found)))
    return made


def _unit(name: Name, found: Sequence[float]) -> float:
    return (abs(fmean(found)) or 1.0) if name[1] == RUN else 1.0
