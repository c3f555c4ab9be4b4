"""Shares between floor and ceiling: value, interval and jackknife by a loop over draws; none where there is no room."""

from __future__ import annotations

import numpy as np
import pytest

from results.statistics import inference, shares
from results.statistics.resampling import Estimate

USERS = 25


def estimate(values: np.ndarray) -> Estimate:
    resampled = inference.counts(len(values)) @ values / len(values)
    low, high = inference.interval(resampled, len(values))
    left_out = (values.sum() - values) / (len(values) - 1)
    return Estimate(float(values.mean()), float(low), float(high), len(values), left_out, resampled)


def test_value_interval_and_jackknife_by_a_loop() -> None:
    rng = np.random.default_rng(4)
    floor, own, ceiling = (base + rng.normal(0, 0.1, USERS) for base in (0.25, 0.4, 0.85))
    made = shares.share(*map(estimate, (own, floor, ceiling)))
    assert made is not None

    def ratio(users: np.ndarray) -> float:
        low, mine, high = (float(values[users].mean()) for values in (floor, own, ceiling))
        return (mine - low) / (high - low)

    everybody = np.arange(USERS)
    draws = [ratio(np.repeat(everybody, line.astype(int))) for line in inference.counts(USERS)]
    assert made.value == pytest.approx(ratio(everybody))
    assert (made.low, made.high) == pytest.approx(tuple(inference.interval(np.array(draws), USERS)))
    assert made.left_out == pytest.approx([ratio(np.delete(everybody, user)) for user in everybody])


@pytest.mark.parametrize("ceiling", [0.25, 0.2, 0.27])
def test_none_where_the_ceiling_is_not_certainly_above_the_floor(ceiling: float) -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 0.2, (3, USERS))
    values = np.array([[0.25], [0.4], [ceiling]]) + noise - noise.mean(axis=1, keepdims=True)
    low, own, high = map(estimate, values)
    assert shares.share(own, low, high) is None


def test_of_rows_keeps_to_the_columns_and_to_what_both_ends_have() -> None:
    rng = np.random.default_rng(6)
    floor, own, ceiling = (estimate(base + rng.normal(0, 0.1, USERS)) for base in (0.2, 0.4, 0.8))
    found = {(place, "c", key): one for place, one in enumerate((floor, own, ceiling)) for key in ("a", "b", "other")}
    del found[2, "c", "b"]
    made = shares.of_rows(found, ["a", "b"], floor=0, ceiling=2)
    assert {(place, key) for place, _, key in made} == {(0, "a"), (1, "a"), (2, "a")}
    assert [made[place, "c", "a"].value for place in (0, 2)] == pytest.approx([0, 1])
