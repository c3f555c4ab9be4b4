"""Power: compared with published values, with an integral, with scipy and in simulations."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from scipy import integrate, stats

from results.statistics import inference, power


@pytest.mark.parametrize(("effect", "users"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_users_are_those_of_the_tables_for_a_paired_t_test(effect: float, users: int) -> None:
    """Cohen's small, medium and large effect, two-sided 5 %, power 80 %: G*Power gives 199, 34 and 15 pairs."""
    for known in (10, 500):  # whatever number of users the spread of 1 was seen with
        assert power.users_needed(effect, 1 / math.sqrt(known), known) == users


@pytest.mark.parametrize(("users", "level"), [(4, 0.05), (20, 0.05), (20, 0.05 / 24), (300, 0.01)])
def test_the_smallest_difference_is_found_with_80_percent_by_the_integral_over_the_variance(
    users: int, level: float
) -> None:
    """P(T > t) = E[Phi(nc - t s)], s^2 being a chi-square over its degrees of freedom: no noncentral t needed."""
    df, bound = users - 1, float(stats.t.ppf(1 - level / 2, users - 1))
    found = power.in_errors(users, level=level)

    def part(square: float) -> float:
        return float(stats.norm.cdf(found - bound * math.sqrt(square / df)) * stats.chi2.pdf(square, df))

    whole, _ = integrate.quad(part, 0, stats.chi2.ppf(1 - 1e-12, df), limit=500)
    assert whole == pytest.approx(power.POWER, abs=1e-5)


def test_of_many_users_it_is_the_normal_distribution_s() -> None:
    assert power.in_errors(10**6) == pytest.approx(NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8), abs=1e-5)


@pytest.mark.parametrize(("users", "each"), [(8, 1), (25, 3)])
def test_in_simulations_the_smallest_difference_shows_in_80_percent(users: int, each: int) -> None:
    """Users differ and so do their samples; the test is that of tables, with the jackknife over users."""
    rng = np.random.default_rng(0)
    error = math.sqrt((1 + 0.5 / each) / users)
    true = power.smallest(error, users)
    shown, repeats = 0, 6000
    for _ in range(repeats):
        sums = (true + rng.normal(size=(users, 1)) + math.sqrt(0.5) * rng.normal(size=(users, each))).sum(axis=1)
        left_out = (sums.sum() - sums) / ((users - 1) * each)
        p = inference.p_value(sums.mean() / each, float(inference.standard_error(left_out)), users)
        shown += p <= inference.LEVEL and sums.mean() > 0
    assert shown / repeats == pytest.approx(power.POWER, abs=3.5 * math.sqrt(0.16 / repeats))


def test_errors_are_those_of_every_difference() -> None:
    rng = np.random.default_rng(1)
    left_out = rng.normal(0.4, 0.01, (30, 4))
    left_out[:, 3] = left_out[:, 0] + 0.25  # another value, and the same difference for every user
    made = power.errors(left_out)
    for a in range(4):
        for b in range(4):
            expected = float(inference.standard_error(left_out[:, a] - left_out[:, b]))
            assert made[a, b] == pytest.approx(expected, abs=1e-12)
    assert made[0, 3] == made[3, 0] == made[1, 1] == 0.0


def test_no_fewer_users_suffice() -> None:
    for difference in (0.001, 0.004, 0.03, 0.2):
        n = power.users_needed(difference, 0.01, 40)
        assert n is not None
        spread = 0.01 * math.sqrt(40)
        assert power.smallest(spread / math.sqrt(n), n) <= difference
        assert n == 2 or power.smallest(spread / math.sqrt(n - 1), n - 1) > difference


def test_one_user_shows_nothing_and_nothing_shows_no_difference() -> None:
    assert math.isnan(power.in_errors(1))
    assert power.users_needed(0.0, 0.01, 40) is None
    assert power.users_needed(1e-9, 0.01, 40) is None
