from __future__ import annotations

from collections import Counter
from dataclasses import replace

from bench.types import Item
from retrievers.random import Random
from tests.retrievers.samples import Context, ids, review, sample

HISTORY = tuple(review(i) for i in range(6))


def first(target_number: int, *, seed: int = 0, k: int = 6) -> list[str]:
    return ids(Random().rank(sample(*HISTORY, number=target_number), k, Context(seed=seed)))


def test_order_of_samples_and_of_history_does_not_matter() -> None:
    forward = {number: first(number) for number in range(20)}
    backward = {number: first(number) for number in reversed(range(20))}
    assert forward == backward
    turned = sample(*reversed(HISTORY), number=3)
    assert ids(Random().rank(turned, 6, Context())) == forward[3]


def test_run_seed_category_user_and_item_each_matter() -> None:
    target = sample(*HISTORY, number=1)
    elsewhere = Item("CDs", target.item.item_id, target.item.title)
    orders = {
        tuple(ids(Random().rank(target, 6, Context(seed=0)))),
        tuple(ids(Random().rank(target, 6, Context(seed=1)))),
        tuple(ids(Random().rank(replace(target, user_id="v"), 6, Context(seed=0)))),
        tuple(ids(Random().rank(replace(target, item=elsewhere), 6, Context(seed=0)))),
        tuple(first(2)),
    }
    assert len(orders) == 5


def test_text_and_rating_of_the_target_do_not_matter() -> None:
    target = sample(*HISTORY, number=1)
    reworded = replace(target, title="another title", rating=1.0, sample_id="t", timestamp=None)
    assert Random().rank(target, 6, Context()) == Random().rank(reworded, 6, Context())


def test_every_review_is_as_likely() -> None:
    # 1,200 draws of 2 out of 6: 400 expected each, standard deviation 16.3.
    counts = Counter(found for number in range(1200) for found in first(number, k=2))
    assert all(abs(counts[review.review_id] - 400) < 4 * 16.3 for review in HISTORY)
