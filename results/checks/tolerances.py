"""How far a value may move before it counts as moved, from its spread over seeds.

A baseline holds means over S seeds; a later run with one seed differs from a mean by noise of s sqrt(1 + 1/S), where s
is the standard deviation of one run's value. The tolerance is so many of these that all values of the file together
give a false alarm in at most `FALSE_ALARMS` of all runs (Bonferroni, Student's t). Where s comes from:

- Texts of different samples are drawn apart. So the variance of a mean over n samples is the mean of their variances
  over seeds, over n: known from n (S - 1) degrees of freedom, for every value by itself.
- A training has a seed too, which moves all samples of a run together. So values of trained methods have the variance
  of their means over seeds, as a multiple of the above that their rows share, where it is more.
- Losses and scores of whole corpora are no means over samples. They have the variance over seeds, of their own or
  pooled over the rows of their column (relative to the value, but for logarithms), whichever is more. Rows that share a
  training count once.

A value that is the same with every seed may move by `SAME` of itself: another machine may round a vector, and so a
ranking, otherwise.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from results.checks.measured import TRAIN, Measured, relative
from results.statistics.inference import quantile

FALSE_ALARMS = 0.01
SAME = 0.002
LEAST_SEEDS = 3

Name = tuple[str, str, str]  # row, group, key


@dataclass(frozen=True)
class Noise:
    """The variance of one run's value, and the degrees of freedom from which it is known."""

    variance: float
    freedom: int


def of(seeds: Mapping[Name, Sequence[Measured]]) -> dict[Name, tuple[float, float]]:
    """name -> (mean, tolerance) of values with at least `LEAST_SEEDS` seeds each."""
    made = {}
    for name, noise in _noises(seeds).items():
        found = [one.value for one in seeds[name]]
        times = quantile(1 - FALSE_ALARMS / (2 * len(seeds)), noise.freedom) if noise.variance else 0.0
        room = times * math.sqrt(noise.variance * (1 + 1 / len(found)))
        made[name] = fmean(found), max(room, SAME * abs(fmean(found)))
    return made


def _noises(seeds: Mapping[Name, Sequence[Measured]]) -> dict[Name, Noise]:
    of_texts = {name: made for name, found in seeds.items() if (made := of_samples(found))}
    of_seeds = {
        name: Noise(variance(one.value for one in found), len(found) - 1)
        for name, found in seeds.items()
        if name not in of_texts
    }
    trained = {row for row, _, key in seeds if key.startswith(TRAIN)}
    shared = _together(
        {name: (one, seeds[name]) for name, one in of_texts.items() if name[0] in trained and one.variance}
    )
    found = {name: _more(one, shared.get(name)) for name, one in of_texts.items()}
    return found | _pooled(of_seeds, seeds)


def of_samples(found: Sequence[Measured]) -> Noise | None:
    """The noise of a mean over samples that are drawn apart; None for a value that is no such mean."""
    import numpy as np

    arrays = [one.samples for one in found if one.samples is not None]
    if len(arrays) < len(found) or len({len(one) for one in arrays}) > 1:
        return None
    each = np.stack(arrays)  # (seeds, samples)
    each = each[:, np.isfinite(each).all(axis=0)]
    n = each.shape[1]
    return Noise(float(each.var(axis=0, ddof=1).sum()) / n**2, n * (len(each) - 1)) if n else Noise(0.0, 1)


def _together(found: Mapping[Name, tuple[Noise, Sequence[Measured]]]) -> dict[Name, Noise]:
    """The noise that trainings add: of each column, how many times the variance over seeds is that of texts."""
    columns: dict[tuple[str, str], list[Name]] = defaultdict(list)
    for name in found:
        columns[name[1:]].append(name)
    made = {}
    for names in columns.values():
        freedom = sum(len(found[name][1]) - 1 for name in names)
        ratios = [
            variance(one.value for one in found[name][1]) / found[name][0].variance * (len(found[name][1]) - 1)
            for name in names
        ]
        for name in names:
            made[name] = Noise(found[name][0].variance * sum(ratios) / freedom, freedom)
    return made


def _more(texts: Noise, with_training: Noise | None) -> Noise:
    return texts if with_training is None or with_training.variance <= texts.variance else with_training


def _pooled(found: Mapping[Name, Noise], seeds: Mapping[Name, Sequence[Measured]]) -> dict[Name, Noise]:
    units = {name: _unit(name, seeds[name]) for name in found}
    columns: dict[tuple[str, str], list[Name]] = defaultdict(list)
    for name, noise in found.items():
        if noise.variance:
            columns[name[1:]].append(name)
    made = dict(found)
    for names in columns.values():
        apart = {tuple(one.value for one in seeds[name]): name for name in names}.values()
        freedom = sum(found[name].freedom for name in apart)
        pooled = sum(found[name].variance / units[name] ** 2 * found[name].freedom for name in apart) / freedom
        for name in names:
            made[name] = Noise(max(found[name].variance, pooled * units[name] ** 2), freedom)
    return made


def _unit(name: Name, found: Sequence[Measured]) -> float:
    """What the noise of a value is measured in."""
    return abs(fmean(one.value for one in found)) or 1.0 if relative(*name[1:]) else 1.0
