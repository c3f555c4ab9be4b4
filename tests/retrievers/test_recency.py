from __future__ import annotations

from retrievers.recency import Recency
from tests.retrievers.samples import Context, ids, review, sample


def test_newest_first_whatever_the_corpus_order() -> None:
    target = sample(*(review(i, when=when) for i, when in enumerate([5, 9, 1, 7])))
    assert ids(Recency().rank(target, 3, Context())) == ["r1", "r3", "r0"]


def test_ties_keep_the_corpus_order() -> None:
    target = sample(*(review(i, when=when) for i, when in enumerate([2, 2, 8, 2, 8])))
    assert ids(Recency().rank(target, 5, Context())) == ["r2", "r4", "r0", "r1", "r3"]


def test_one_missing_timestamp_leaves_the_corpus_order() -> None:
    target = sample(*(review(i, when=when) for i, when in enumerate([1, None, 9])))
    assert ids(Recency().rank(target, 3, Context())) == ["r0", "r1", "r2"]


def test_timestamp_zero_and_before_1970_are_times() -> None:
    target = sample(*(review(i, when=when) for i, when in enumerate([-5, 0, 3])))
    assert ids(Recency().rank(target, 3, Context())) == ["r2", "r1", "r0"]
