"""Correlations of differences both ways round: compared with numpy and scipy, with repeated users, in simulations."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from results.statistics import agreement, inference

Array = NDArray[np.float64]


def some(users: int = 25, rows: int = 4, *, seed: int = 0, whole: bool = False) -> Array:
    """(users, pairs, 3) differences: two columns that share a part, one that does not; with ties if `whole`."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(users, rows, 3))
    values[..., 1] += values[..., 0]
    values = np.round(2 * values) if whole else values
    first, second = agreement.pairs_of(rows)
    return values[:, first] - values[:, second]


def both_ways(differences: Array, times: Array) -> Array:
    """(n, columns): every difference of every user as often as the user was drawn, and its opposite."""
    drawn = np.repeat(differences, times.astype(int), axis=0).reshape(-1, differences.shape[-1])
    return np.concatenate([drawn, -drawn])


@pytest.mark.parametrize("whole", [False, True])
def test_in_every_draw_they_are_numpy_s_and_scipy_s(whole: bool) -> None:
    differences = some(whole=whole)
    counts = np.concatenate([np.ones((1, 25)), inference.counts(25, draws=5)])
    pearson, spearman = agreement.pearson(differences, counts), agreement.spearman(differences, counts)
    for place, times in enumerate(counts):
        points = both_ways(differences, times)
        assert pearson[place] == pytest.approx(np.corrcoef(points.T))
        assert spearman[place] == pytest.approx(stats.spearmanr(points).statistic)


def test_they_do_not_depend_on_the_order_of_rows() -> None:
    counts = np.ones((1, 25))
    turned = some() * np.array([1, -1, 1, -1, -1, 1])[:, None]
    assert agreement.pearson(turned, counts) == pytest.approx(agreement.pearson(some(), counts))
    assert agreement.spearman(turned, counts) == pytest.approx(agreement.spearman(some(), counts))


def test_over_all_pairs_pearson_is_that_of_values_less_each_user_s_mean() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(25, 4, 2))
    first, second = agreement.pairs_of(4)
    made = agreement.pearson(values[:, first] - values[:, second], np.ones((1, 25)))[0]
    centred = (values - values.mean(axis=1, keepdims=True)).reshape(-1, 2)
    assert made == pytest.approx(np.corrcoef(centred.T))


def test_what_a_column_lacks_counts_with_no_other_column() -> None:
    differences = some()
    differences[:5, :, 2] = np.nan
    counts = np.ones((1, 25))
    for made in (agreement.pearson(differences, counts)[0], agreement.spearman(differences, counts)[0]):
        assert made[2, 2] == pytest.approx(1.0)
    rest = both_ways(differences[5:], np.ones(20))
    made = agreement.pearson(differences, counts)[0]
    assert made[0, 2] == pytest.approx(np.corrcoef(rest[:, 0], rest[:, 2])[0, 1])
    assert made[0, 1] == pytest.approx(np.corrcoef(both_ways(differences, np.ones(25))[:, :2].T)[0, 1])


def test_rounding_is_a_tie_and_a_column_without_differences_has_no_correlation() -> None:
    differences = np.array([[[0.1 + 0.2, 1.0, 0.0]], [[0.3, 2.0, 0.0]], [[-0.5, -3.0, 0.0]]])
    made = agreement.spearman(differences, np.ones((1, 3)))[0]
    exact = np.array([[[0.3, 1.0]], [[0.3, 2.0]], [[-0.5, -3.0]]])
    assert made[0, 1] == pytest.approx(stats.spearmanr(both_ways(exact, np.ones(3))).statistic)
    assert np.isnan(made[2]).all()
    assert np.isnan(agreement.pearson(differences, np.ones((1, 3)))[0, :, 2]).all()


def test_kendall_is_scipy_s_tau_b() -> None:
    values = np.random.default_rng(4).integers(0, 5, (7, 3)).astype(float)
    made = agreement.kendall(values)
    for a in range(3):
        for b in range(3):
            assert made[a, b] == pytest.approx(stats.kendalltau(values[:, a], values[:, b]).statistic)
    values[0, 2] = np.nan  # a row that one column lacks is in no order with that column
    made = agreement.kendall(values)
    assert made[0, 2] == pytest.approx(stats.kendalltau(values[1:, 0], values[1:, 2]).statistic)


@pytest.mark.parametrize("kind", [agreement.pearson, agreement.spearman])
def test_intervals_of_independent_columns_hold_0_and_those_of_related_ones_the_truth(kind: object) -> None:
    """Of 150 data sets. The related columns have a correlation of sqrt(1/2); Spearman's of normal values is known."""
    assert callable(kind)
    truth = np.sqrt(0.5) if kind is agreement.pearson else 6 / np.pi * np.arcsin(np.sqrt(0.5) / 2)
    held = np.zeros(2)
    counts = inference.counts(40, draws=300)
    for seed in range(150):
        low, high = inference.interval(kind(some(40, 3, seed=seed), counts), 40)
        held += [low[0, 2] <= 0 <= high[0, 2], low[0, 1] <= truth <= high[0, 1]]
    assert (held / 150 >= 0.89).all()
    assert held[0] < 150  # or they would be too wide
