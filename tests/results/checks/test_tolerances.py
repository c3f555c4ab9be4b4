"""Tolerances from the spread over seeds: by hand, and how often a clean run raises a false alarm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from results.checks import tolerances
from results.checks.tolerances import FALSE_ALARMS, SAME


def test_by_hand() -> None:
    found = tolerances.of({("a", "all", "x"): [1.0, 2.0, 3.0], ("b", "all", "x"): [5.0, 5.0, 8.0]})
    pooled = math.sqrt((1 * 2 + 3 * 2) / 4)
    times = stats.t.ppf(1 - FALSE_ALARMS / (2 * 2), 4) * math.sqrt(4 / 3)
    assert found["a", "all", "x"] == pytest.approx((2.0, times * pooled))
    assert found["b", "all", "x"] == pytest.approx((6.0, times * math.sqrt(3)))  # noisier than most: its own


def test_what_is_the_same_with_every_seed_may_hardly_move() -> None:
    found = tolerances.of({("a", "run", "requests"): [6.0] * 3, ("b", "run", "requests"): [6.0, 6.6, 6.3]})
    assert found["a", "run", "requests"] == (6.0, 6.0 * SAME)
    assert found["b", "run", "requests"][1] > 1


def test_what_runs_did_is_pooled_relative_to_its_size() -> None:
    small, large = [100.0, 101.0, 102.0], [10_000.0, 10_100.0, 10_200.0]
    found = tolerances.of({("a", "run", "tokens"): small, ("b", "run", "tokens"): large})
    assert found["b", "run", "tokens"][1] == pytest.approx(100 * found["a", "run", "tokens"][1])


def test_clean_runs_raise_at_most_one_false_alarm_in_a_hundred() -> None:
    rng = np.random.default_rng(0)
    alarms, repeats = 0, 3000
    for _ in range(repeats // 10):  # a baseline of four seeds, and ten clean runs against it
        rows, names = 60, ("habits", "rouge1", "meteor")
        baseline = {(str(r), "all", key): rng.normal(0.5, 0.02, 4).tolist() for r in range(rows) for key in names}
        made = tolerances.of(baseline)
        for _ in range(10):
            new = rng.normal(0.5, 0.02, len(made))
            moved = [abs(value - mean) > room for value, (mean, room) in zip(new, made.values(), strict=True)]
            alarms += any(moved)
    assert 0 < alarms <= 1.5 * FALSE_ALARMS * repeats
