"""Shares against computations by hand, by scipy and by scikit-learn."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score

from results.statistics import choices


def test_wilson_is_scipys() -> None:
    for wins, n in ((0, 5), (3, 3), (7, 12), (90, 100)):
        expected = stats.binomtest(wins, n).proportion_ci(0.95, method="wilson")
        assert choices.wilson(wins / n, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_sign_flips_of_few_users_are_counted_one_by_one() -> None:
    sums = np.array([0.5, 1.5, -0.5, 1.0, 0.5, -1.0, 2.0])
    totals = [
        abs(sum(s * v for s, v in zip(signs, sums, strict=True))) for signs in itertools.product((1, -1), repeat=7)
    ]
    assert choices.flipped(sums) == sum(total >= abs(sums.sum()) - 1e-9 for total in totals) / 2**7


def test_sign_flips_of_equal_users_are_the_sign_test() -> None:
    for wins, users in ((12, 12), (9, 12), (60, 100), (50, 100)):
        sums = np.array([0.5] * wins + [-0.5] * (users - wins))
        assert choices.flipped(sums) == pytest.approx(stats.binomtest(wins, users).pvalue, abs=0.015)


def test_no_difference_and_no_certainty_from_three_users() -> None:
    assert choices.flipped(np.zeros(40)) == 1.0
    assert choices.flipped(np.full(3, 0.5)) == 0.25  # a t-test would say 0


def test_under_the_null_few_p_values_are_small() -> None:
    """Users of several samples that are alike, without a preference: at most about 5 % below .05."""
    rng, small = np.random.default_rng(3), 0
    for _ in range(200):
        sums = rng.choice([-1.5, -0.5, 0.5, 1.5], size=30)
        small += choices.flipped(sums) <= 0.05
    assert 1 <= small <= 20


def test_a_share_is_over_users() -> None:
    scores = np.array([1.0, 1.0, 1.0, 0.0, 0.5, 1.0])
    users = np.array([1, 1, 1, 2, 3, 4])
    found = choices.share(scores, users)
    assert found is not None
    assert (found.value, found.n, found.users) == (4.5 / 6, 6, 4)
    assert 0 <= found.low < found.value <= found.high <= 1
    assert found.p == choices.flipped(np.array([1.5, -0.5, 0.0, 0.5]))
    assert choices.share(np.array([]), np.array([])) is None


def test_where_all_users_agree_the_interval_has_a_width() -> None:
    found = choices.share(np.ones(20), np.arange(20))
    assert found is not None and (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(stats.binomtest(20, 20).proportion_ci(0.95, method="wilson").low)


def test_intervals_of_a_share_cover_it() -> None:
    rng, covered = np.random.default_rng(5), 0
    for _ in range(200):
        found = choices.share((rng.random(40) < 0.7).astype(float), np.arange(40))
        assert found is not None
        covered += found.low <= 0.7 <= found.high
    assert covered >= 180  # 95 % of 200 is 190


def test_kappa_is_scikit_learns_with_both_names_of_every_pair() -> None:
    rng = np.random.default_rng(0)
    first, noise = rng.integers(-1, 2, 60), rng.integers(-1, 2, 60)
    second = np.where(rng.random(60) < 0.6, first, noise)
    both = np.concatenate([first, -first]), np.concatenate([second, -second])
    assert choices.kappa(first, second) == pytest.approx(cohen_kappa_score(*both))
    assert choices.kappa(first, first) == 1.0
    ties = np.zeros(5)
    assert math.isnan(choices.kappa(ties, ties))


def test_the_regression_is_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    x = np.stack([np.ones(80), rng.normal(size=80), rng.choice([-1.0, 1.0], 80)], axis=1)
    y = (rng.random(80) < 1 / (1 + np.exp(-(0.3 + 1.2 * x[:, 1])))).astype(float)
    theirs = LogisticRegression(C=1 / choices.RIDGE, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(x, y)
    assert choices.logistic(x, y) == pytest.approx(theirs.coef_[0], abs=1e-5)
    half = y.copy()
    half[:10] = 0.5  # a tie is half of each answer
    weights = np.concatenate([np.where(half == 0.5, 0.5, 1.0), np.full(10, 0.5)])
    doubled = np.concatenate([x, x[:10]]), np.concatenate([np.where(half == 0.5, 1.0, half), np.zeros(10)])
    theirs = LogisticRegression(C=1 / choices.RIDGE, fit_intercept=False, tol=1e-10, max_iter=10_000)
    theirs.fit(*doubled, sample_weight=weights)
    assert choices.logistic(x, half) == pytest.approx(theirs.coef_[0], abs=1e-5)


def test_a_slope_has_the_jackknifes_interval() -> None:
    rng = np.random.default_rng(2)
    users = np.repeat(np.arange(20), 2)
    x = np.stack([np.ones(40), rng.normal(size=40)], axis=1)
    y = (rng.random(40) < 0.5).astype(float)
    found = choices.slope(x, y, users, column=1)
    left = [choices.logistic(x[users != one], y[users != one])[1] for one in range(20)]
    error = math.sqrt(19 / 20 * sum((one - np.mean(left)) ** 2 for one in left))
    assert found.value == choices.logistic(x, y)[1]
    assert found.high - found.value == pytest.approx(stats.t.ppf(0.975, 19) * error)
    assert math.isnan(choices.slope(x[:2], y[:2], users[:2], column=1).low)
