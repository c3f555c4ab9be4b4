"""Intervals, tests and corrections: compared with scipy and with statsmodels' formulas, and in simulations."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from metrics.bleu import Bleu
from results.statistics import inference

Array = NDArray[np.float64]

# ---------------------------------------------------------------- Holm


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 .04: times 4, 3, 2, 1 = .04 .06 .06 .04, then never falling.
    assert inference.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert inference.holm([0.9, 0.6]) == [1.0, 1.0]
    assert inference.holm([]) == []


def test_holm_does_not_count_what_was_not_tested() -> None:
    adjusted = inference.holm([0.02, math.nan, 0.03])
    assert adjusted[0] == pytest.approx(0.04)
    assert math.isnan(adjusted[1])
    assert adjusted[2] == pytest.approx(0.04)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_the_closed_test_of_bonferroni(p_values: list[float]) -> None:
    # Adjusted p: the largest Bonferroni p over all intersections that hold the hypothesis.
    n = len(p_values)
    sets = [[i for i in range(n) if mask >> i & 1] for mask in range(1, 1 << n)]
    bonferroni = {tuple(chosen): min(1.0, len(chosen) * min(p_values[i] for i in chosen)) for chosen in sets}
    expected = [max(p for chosen, p in bonferroni.items() if i in chosen) for i in range(n)]
    assert inference.holm(p_values) == pytest.approx(expected)


# ---------------------------------------------------------------- standard errors and tests


def test_with_one_sample_a_user_the_test_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.1, 1, 40), rng.normal(0, 1, 40)
    difference = a - b
    left_out = (difference.sum() - difference) / 39
    error = float(inference.standard_error(left_out))
    assert error == pytest.approx(stats.sem(difference))
    p = inference.p_value(float(difference.mean()), error, 40)
    assert p == pytest.approx(stats.ttest_rel(a, b).pvalue)


def test_with_equal_clusters_the_error_is_the_cluster_robust_one() -> None:
    # The error of a mean over G users with m samples each: sqrt(sum of squared user sums * G / (G - 1)) / n. This is
    # statsmodels' OLS(...).fit(cov_type="cluster") of a constant, up to its own small-sample factor.
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (25, 1)) + rng.normal(0, 1, (25, 4))
    sums = x.sum(axis=1)
    error = float(inference.standard_error((x.sum() - sums) / (x.size - 4)))
    residual = sums - 4 * x.mean()
    assert error == pytest.approx(math.sqrt((residual**2).sum() * 25 / 24) / x.size)


def test_equal_scores_have_p_1_and_one_user_has_no_test() -> None:
    assert inference.p_value(0.0, 0.0, 9) == 1.0
    assert inference.p_value(0.5, 0.0, 9) == 0.0
    assert math.isnan(inference.p_value(0.5, 0.1, 1))
    assert math.isnan(float(inference.standard_error(np.array([0.3]))))
    assert np.isnan(inference.interval(np.zeros(1000), 1)).all()


# ---------------------------------------------------------------- intervals


def test_draws_are_of_users_with_replacement_and_repeat() -> None:
    counts = inference.counts(50, draws=200)
    assert counts.shape == (200, 50)
    assert (counts.sum(axis=1) == 50).all()
    assert np.array_equal(counts, inference.counts(50, draws=200))
    assert counts.var() == pytest.approx(1 - 1 / 50, rel=0.05)  # of a multinomial


def test_the_interval_of_a_mean_is_student_s() -> None:
    for users in (15, 60, 300):
        x = np.random.default_rng(users).normal(size=users)
        low, high = inference.interval(inference.counts(users, draws=20_000) @ x / users, users)
        expected = stats.t.interval(0.95, users - 1, x.mean(), stats.sem(x))
        assert (low, high) == pytest.approx(expected, abs=0.06 * (expected[1] - expected[0]))


def test_percentiles_are_numpy_s_at_their_level() -> None:
    x = np.random.default_rng(3).normal(size=(1000, 2))
    wide = stats.t.ppf(0.975, 99) * math.sqrt(100 / 99)
    tail = stats.norm.cdf(-wide)
    assert inference.interval(x, 100) == pytest.approx(np.quantile(x, [tail, 1 - tail], axis=0))


# ---------------------------------------------------------------- by simulation, with clustered users

RUNS = 4000


def clustered(rng: np.random.Generator, users: int) -> tuple[Array, Array]:
    """(users,) numbers of samples, 1 to 5, and (users, RUNS) sums of skewed scores that are alike within a user.

    Their mean is 2.
    """
    sizes = rng.integers(1, 6, users).astype(float)
    shared = rng.gamma(2.0, 1.0, (users, RUNS))
    return sizes, sizes[:, None] * shared + np.sqrt(sizes)[:, None] * rng.normal(size=(users, RUNS))


@pytest.mark.parametrize(("users", "least"), [(8, 0.90), (20, 0.92), (60, 0.93), (300, 0.93)])
def test_intervals_cover_about_95_percent(users: int, least: float) -> None:
    sizes, sums = clustered(np.random.default_rng(users), users)
    counts = inference.counts(users)
    low, high = inference.interval(counts @ sums / (counts @ sizes)[:, None], users)
    covered = float(((low <= 2.0) & (high >= 2.0)).mean())
    assert least < covered < 0.96


@pytest.mark.parametrize("users", [8, 40, 150])
def test_the_paired_test_holds_its_level_with_clustered_users(users: int) -> None:
    # Two equally good methods: each has its own effect on every user, with the same distribution.
    rng = np.random.default_rng(users)
    sizes, a = clustered(rng, users)
    b = sizes[:, None] * rng.gamma(2.0, 1.0, a.shape) + np.sqrt(sizes)[:, None] * rng.normal(size=a.shape)
    d, n = a - b, sizes.sum()
    values = d.sum(axis=0) / n
    errors = inference.standard_error((d.sum(axis=0) - d) / (n - sizes)[:, None])
    p_values = [inference.p_value(value, error, users) for value, error in zip(values, errors, strict=True)]
    assert 0.03 < np.mean(np.array(p_values) < 0.05) < 0.065
    # A test that takes samples as independent errs far more often: it ignores the spread between users.
    alone = np.sqrt((sizes[:, None] * (d / sizes[:, None] - values) ** 2).sum(axis=0) + 2 * n) / n
    assert np.mean(np.abs(values / alone) > 1.96) > 0.1


# ---------------------------------------------------------------- corpus BLEU


def bleu_rows(seed: int, n: int) -> list[list[float]]:
    rng = random.Random(seed)
    words = ["a", "b", "c", "d", "e", "f", "g", "h"]
    references = [" ".join(rng.choices(words, k=rng.choice([1, 3, 12, 30]))) for _ in range(n)]
    texts = [" ".join(word for word in text.split() if rng.random() < 0.7) for text in references]
    metric = Bleu()
    return [list(metric.statistics(row)) for row in metric.score(texts, references)]


@pytest.mark.parametrize("seed", range(4))
def test_resampled_bleu_is_sacrebleu_s(seed: int) -> None:
    rows = np.array(bleu_rows(seed, 25))
    counts = inference.counts(25, draws=60, seed=seed)
    sums = np.concatenate([counts @ rows, rows, rows[:, None, :].cumsum(axis=0)[:, 0]])
    fast = Bleu().values(sums)["bleu"]
    for value, one in zip(fast, sums, strict=True):
        assert value == pytest.approx(Bleu().aggregate([{"bleu": one.astype(int).tolist()}])["bleu"], abs=1e-9)


def test_bleu_of_many_shapes() -> None:
    sums = np.array(bleu_rows(0, 12)).reshape(3, 4, 10)
    assert Bleu().values(sums)["bleu"].shape == (3, 4)


def test_draws_without_a_value_leave_both_ends_or_none() -> None:
    values = np.random.default_rng(4).normal(size=(1000, 4))
    values[:8, 1], values[8:16, 2], values[:30, 3] = np.nan, np.inf, np.nan
    low, high = inference.interval(values, 50)
    for place, known in ((0, values[:, 0]), (1, values[8:, 1]), (2, np.delete(values[:, 2], range(8, 16)))):
        assert (low[place], high[place]) == pytest.approx(inference.interval(known, 50))
    assert np.isnan([low[3], high[3]]).all()
    assert np.isnan(inference.interval(values[:, 3], 50)).all()
