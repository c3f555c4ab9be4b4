"""Responsiveness: equal to scipy's Spearman over pairs, and as sure as it says when users are drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from bench.errors import UserError
from bench.types import UserTarget
from metrics.responsive import Responsive
from results.statistics import inference
from tests.metrics.authorship.authors import author, target


class Numbers:
    """A space of texts that are points: "0.5 1"."""

    def distances(self, pairs: Sequence[tuple[str, str]], users: Any) -> Any:
        points = [[np.array(list(map(float, text.split() or "0"))) for text in pair] for pair in pairs]
        return np.array([np.linalg.norm(one - other) for one, other in points])

    def version(self) -> str:
        return "numbers"


def metric() -> Responsive:
    made = Responsive()
    made.chosen._kept["delta"] = Numbers()  # type: ignore[assignment]
    return made


def made(rng: Any, items: int, users: int, follow: float) -> tuple[list[str], list[UserTarget]]:
    """Texts and targets: `users` of each of `items`, whose texts follow their reviews more or less."""
    texts, targets = [], []
    for item in range(items):
        for user in range(users):
            real = rng.normal(size=2)
            written = follow * real + (1 - follow) * rng.normal(size=2)
            texts.append(" ".join(map(str, written)))
            targets.append(target(author(f"u{item} {user}"), " ".join(map(str, real)), item=f"i{item}"))
    return texts, targets


def of_pairs(texts: Sequence[str], targets: Sequence[UserTarget]) -> tuple[list[float], list[float]]:
    pairs = [(a, b) for a, b in combinations(range(len(texts)), 2) if targets[a].sample.item == targets[b].sample.item]
    real = [(targets[a].reference, targets[b].reference) for a, b in pairs]
    written = [(texts[a], texts[b]) for a, b in pairs]
    return Numbers().distances(written, ()).tolist(), Numbers().distances(real, ()).tolist()


def test_it_is_spearmans_correlation_over_the_pairs_of_one_item() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        texts, targets = made(rng, 9, 4, 0.5)
        texts = [" ".join(f"{float(one):.0f}" for one in text.split()) for text in texts]  # with ties
        order = rng.permutation(len(texts))
        texts, targets = [texts[place] for place in order], [targets[place] for place in order]
        rows = metric().score(texts, targets)
        written, real = of_pairs(texts, targets)
        values = metric().aggregate(rows)
        assert values == pytest.approx({"responsive": spearmanr(written, real).statistic, "responsive_pairs": 9 * 6})


def test_an_items_pairs_stand_on_its_first_row() -> None:
    texts, targets = made(np.random.default_rng(1), 3, 3, 0.5)
    rows = metric().score(texts, targets)
    assert [row["responsive_sums"][0] for row in rows] == [3, 0, 0] * 3


def test_a_pair_with_an_empty_text_is_no_distance_apart() -> None:
    texts, targets = made(np.random.default_rng(2), 4, 2, 1.0)
    texts[0] = " "
    written, real = of_pairs(texts, targets)
    written[0] = 0.0
    assert metric().aggregate(metric().score(texts, targets))["responsive"] == pytest.approx(
        spearmanr(written, real).statistic
    )


def test_alone_with_an_item_or_twice_the_same_user_makes_no_pair() -> None:
    me = author("me")
    targets = [target(me, "1", item="i"), target(me, "2", item="i"), target(author("you"), "3", item="j")]
    rows = metric().score(["1", "2", "3"], targets)
    assert metric().aggregate(rows) == {"responsive_pairs": 0}
    assert [metric().unread(row) for row in rows] == [
        {"reference": ["share their item with no other user's sample, and stand in no pair"]}
    ] * 3
    texts, targets = made(np.random.default_rng(3), 2, 2, 1.0)
    assert metric().aggregate(metric().score(texts, targets)) == {"responsive_pairs": 2}  # two pairs correlate always
    assert all("unread" not in row for row in metric().score(texts, targets))


def test_the_jackknife_over_users_is_as_wide_as_the_spread_of_repeated_worlds() -> None:
    """Sums that are split between the users of a pair would make it half as wide."""
    rng = np.random.default_rng(4)
    found, errors = [], []
    for _ in range(200):
        texts, targets = made(rng, 40, 3, 0.5)
        sums = np.array([row["responsive_sums"] for row in metric().score(texts, targets)])
        total = sums.sum(axis=0)
        found.append(float(metric().values(total)["responsive"]))
        errors.append(float(inference.standard_error(metric().values(total - sums)["responsive"])))
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.15)


def test_texts_of_no_relation_have_0() -> None:
    rng = np.random.default_rng(5)
    found = [metric().aggregate(metric().score(*made(rng, 20, 3, 0.0)))["responsive"] for _ in range(100)]
    assert abs(np.mean(found)) < 3 * np.std(found) / 10


def test_delta_is_the_default_and_reads_no_model() -> None:
    texts = ["It is GREAT!! Buy it!", "good; however, it is not cheap.", "ok. fine.", "I love, love it!"]
    owners = [author(f"u{number}", text, text[::-1]) for number, text in enumerate(texts)]
    targets = [target(one, text, item="i", others=owners) for one, text in zip(owners, texts, strict=True)]
    assert Responsive().aggregate(Responsive().score(texts, targets))["responsive"] == pytest.approx(1)
    assert Responsive().versions()["scorer delta"].startswith("Delta 1")
    with pytest.raises(UserError, match="no scorer with distances 'lambdag'"):
        Responsive("lambdag")
    with pytest.raises(ValueError, match="1 texts for 4 targets"):
        Responsive().score(["a"], targets)
