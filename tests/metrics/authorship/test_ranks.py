"""Where the true candidate stands: by hand, and ties against every order that they may stand in."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from metrics.authorship import ranks


@pytest.mark.parametrize(
    ("own", "others", "auc", "top1", "mrr"),
    [
        (3, [1, 2], 1.0, 1.0, 1.0),
        (2, [1, 3], 0.5, 0.0, 1 / 2),
        (1, [2, 3], 0.0, 0.0, 1 / 3),
        (2, [2, 1], 0.75, 1 / 2, (1 + 1 / 2) / 2),
        (2, [2, 3], 0.25, 0.0, (1 / 2 + 1 / 3) / 2),
    ],
)
def test_by_hand(own: float, others: list[float], auc: float, top1: float, mrr: float) -> None:
    found = ranks.measures(own, np.array(others, float))
    assert found == pytest.approx({"auc": auc, "top1": top1, "mrr": mrr})


def test_a_constant_scorer_has_exactly_what_a_guess_has() -> None:
    for n in (2, 10):
        found = ranks.measures(0.0, np.zeros(n - 1))
        assert found == pytest.approx({"auc": 0.5, "top1": 1 / n, "mrr": sum(1 / k for k in range(1, n + 1)) / n})


def test_ties_are_the_mean_over_all_orders_that_they_may_stand_in() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = rng.integers(0, 3, 5).astype(float)  # the first is the own
        each = []
        for order in permutations(range(5)):
            broken = scores + 0.01 * np.array(order)
            rank = 1 + int((broken[1:] > broken[0]).sum())
            each.append(((5 - rank) / 4, float(rank == 1), 1 / rank))
        auc, top1, mrr = np.mean(each, axis=0)
        assert ranks.measures(scores[0], scores[1:]) == pytest.approx({"auc": auc, "top1": top1, "mrr": mrr})
