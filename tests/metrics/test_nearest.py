"""Other users' reviews of an item in one order: nearest in rating, ties drawn by the sample, nobody the peer of all."""

from __future__ import annotations

from collections import Counter

from bench.types import Item, Sample
from metrics.nearest import nearest
from tests.metrics.authorship.authors import review

ITEM = Item("c", "i", "an item")


def sample(number: int, rating: float = 4.0) -> Sample:
    return Sample(f"s{number}", "test", "me", ITEM, rating, "title")


def test_nearest_in_rating_first_without_the_user_and_blank_texts() -> None:
    reviews = [
        review("far", 0, "x", item="i", rating=1),
        review("me", 0, "x", item="i", rating=4),
        review("blank", 0, " ", item="i", rating=4),
        review("next", 0, "x", item="i", rating=5),
        review("same", 0, "x", item="i", rating=4),
    ]
    assert [one.user_id for one in nearest(sample(0), reviews)] == ["same", "next", "far"]
    assert nearest(sample(0), []) == []


def test_equally_near_ones_are_drawn_by_the_sample() -> None:
    reviews = [review(f"u{number}", 0, "x", item="i", rating=3 + number % 3) for number in range(6)]
    first = [nearest(sample(number), reviews)[0].user_id for number in range(200)]
    assert set(first) == {"u1", "u4"}  # rated 4
    assert first == [nearest(sample(number), reversed(reviews))[0].user_id for number in range(200)]
    within = Counter(nearest(sample(number), reviews, within=1.0)[0].user_id for number in range(600))
    assert len(within) == 6 and min(within.values()) > 60
