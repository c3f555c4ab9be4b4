"""Tolerances from the spread over seeds: by hand, and how often a clean run raises a false alarm."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from results.checks import tolerances
from results.checks.measured import Measured
from results.checks.tolerances import FALSE_ALARMS, SAME, Name


def whole(*values: float) -> list[Measured]:
    """Seeds of a value that is no mean over samples."""
    return [Measured(value) for value in values]


def means(*seeds: list[float]) -> list[Measured]:
    return [Measured(float(np.nanmean(samples)), np.array(samples)) for samples in seeds]


def times(freedom: int, n: int) -> float:
    return float(stats.t.ppf(1 - FALSE_ALARMS / (2 * n), freedom))


def test_a_mean_over_samples_by_hand() -> None:
    found = tolerances.of({("a", "all", "x"): means([0, 1, 0], [1, 1, 0], [0, 1, 1])})
    each = 1 / 3 + 0 + 1 / 3  # the variances of the three samples over seeds
    room = times(3 * 2, 1) * math.sqrt(each / 3**2 * (1 + 1 / 3))
    assert found["a", "all", "x"] == pytest.approx((5 / 9, room))


def test_samples_that_have_no_value_do_not_count() -> None:
    nan = math.nan
    one, other = means([0, nan, 1], [1, nan, 1]), means([0, 1], [1, 1])
    assert tolerances.of_samples(one) == tolerances.of_samples(other)


def test_values_of_a_training_have_its_noise_too() -> None:
    texts = means([0.4, 0.6], [0.5, 0.7], [0.9, 1.1])  # the samples move together
    alone = tolerances.of({("a", "all", "x"): texts, ("b", "all", "y"): texts})["a", "all", "x"][1]
    loss = {("a", "run", "train gen"): whole(1, 1, 1)}
    trained = tolerances.of({("a", "all", "x"): texts} | loss)["a", "all", "x"][1]
    over_seeds = np.var([0.5, 0.6, 1.0], ddof=1)
    assert trained == pytest.approx(times(2, 2) * math.sqrt(over_seeds * (1 + 1 / 3)))
    assert trained > alone


def test_what_is_no_mean_is_pooled_relative_to_its_size_and_keeps_more_noise_of_its_own() -> None:
    found = tolerances.of(
        {("a", "run", "train x"): whole(100, 101, 102), ("b", "run", "train x"): whole(10_000, 10_100, 10_200)}
    )
    assert found["b", "run", "train x"][1] == pytest.approx(100 * found["a", "run", "train x"][1])
    made = tolerances.of({("a", "all", "b"): whole(1, 2, 3), ("b", "all", "b"): whole(5, 5, 8)})
    assert made["a", "all", "b"] == pytest.approx((2.0, times(4, 2) * math.sqrt((1 + 3) / 2 * 4 / 3)))
    assert made["b", "all", "b"] == pytest.approx((6.0, times(4, 2) * math.sqrt(3 * 4 / 3)))


def test_rows_that_share_a_training_count_once() -> None:
    alone = tolerances.of({("a", "run", "train x"): whole(5, 6, 7), ("b", "run", "train x"): whole(50, 60, 71)})
    again = {("a swapped", "run", "train x"): whole(5, 6, 7), ("b", "run", "train x"): whole(50, 60, 71)}
    found = tolerances.of({("a", "run", "train x"): whole(5, 6, 7), **again})
    ratio = found["a", "run", "train x"][1] / alone["a", "run", "train x"][1]
    assert ratio == pytest.approx(times(4, 3) / times(4, 2))  # more values, and no more degrees of freedom


def test_logarithms_have_one_unit_for_all() -> None:
    key = "train log update"
    found = tolerances.of({("a", "run", key): whole(-7, -6, -5), ("b", "run", key): whole(0, 1, 2)})
    assert found["a", "run", key][1] == pytest.approx(found["b", "run", key][1]) == times(4, 2) * math.sqrt(4 / 3)


def test_what_is_the_same_with_every_seed_may_hardly_move() -> None:
    found = tolerances.of({("a", "run", "requests review"): means([6, 6], [6, 6], [6, 6])})
    assert found["a", "run", "requests review"] == (6.0, 6.0 * SAME)


Draw = Callable[[Name], Measured]


@pytest.mark.parametrize(("uneven", "training"), [(1.0, 0.0), (2.0, 0.0), (2.0, 1.0)])
def test_clean_runs_raise_about_one_false_alarm_in_a_hundred(uneven: float, training: float) -> None:
    """Rows with noise of their own size, half of them trained: with as much noise of trainings as of texts."""
    rng = np.random.default_rng(0)
    alarms, baselines, each = 0, 40, 25
    for _ in range(baselines):
        noise = {str(row): 0.25 * uneven ** rng.uniform(-1, 1) for row in range(16)}
        names = [(row, "all", key) for row in noise for key in ("habits", "rouge1", "meteor")]
        losses = [(str(row), "run", "train gen") for row in range(8)]
        usual = {name: rng.uniform(0.2, 0.8, 150) for name in names}

        def draw(name: Name, usual: dict[Name, np.ndarray] = usual, noise: dict[str, float] = noise) -> Measured:
            if name not in usual:
                return Measured(0.5 + rng.normal(0, 0.001))
            size = noise[name[0]]
            shift = rng.normal(0, training * size / math.sqrt(150)) if int(name[0]) < 8 else 0.0
            samples = usual[name] + rng.normal(0, size, 150) + shift
            return Measured(float(samples.mean()), samples)

        made = tolerances.of({name: [draw(name) for _ in range(4)] for name in [*names, *losses]})
        for _ in range(each):
            alarms += any(abs(draw(name).value - mean) > room for name, (mean, room) in made.items())
    assert 0 < alarms <= 2 * FALSE_ALARMS * baselines * each
