"""What holds for every retriever: min(k, n) different reviews of the history, whatever k and n."""

from __future__ import annotations

import pytest

from bench.protocols import Retriever
from bench.registry import create
from tests.retrievers.samples import Context, ids, random_sample, review, sample, timeless

NAMES = ["recency", "random", "bm25", "contriever"]


def letters(text: str) -> list[float]:
    return [text.count("o"), text.count("s"), 1.0]


@pytest.fixture(params=NAMES)
def retriever(request: pytest.FixtureRequest) -> Retriever:
    made: Retriever = create("retriever", request.param)
    return made


@pytest.mark.parametrize("n", [0, 1, 2, 7])
@pytest.mark.parametrize("k", [0, 1, 4, 8])
def test_gives_min_k_n_different_members(retriever: Retriever, n: int, k: int) -> None:
    for seed in range(5):
        target = random_sample(seed, n=n)
        found = retriever.rank(target, k, Context(encode=letters))
        assert len(found) == min(k, n)
        assert len(set(ids(found))) == len(found)
        assert set(found) <= set(target.history)


def test_smaller_k_is_the_start_of_a_larger_one(retriever: Retriever) -> None:
    for seed in range(10):
        target = random_sample(seed, n=9)
        eight = retriever.rank(target, 8, Context(encode=letters))
        for k in range(8):
            assert retriever.rank(target, k, Context(encode=letters)) == eight[:k]


def test_histories_without_words_timestamps_or_difference(retriever: Retriever) -> None:
    empty = sample(*(review(i, when=None) for i in range(5)))
    alike = sample(*(review(i, title="one title", description="one text") for i in range(5)), title="one title")
    for target in (empty, alike, timeless(random_sample(3, n=5))):
        assert sorted(ids(retriever.rank(target, 5, Context(encode=letters)))) == sorted(ids(target.history))


@pytest.mark.parametrize("name", ["recency", "bm25", "contriever"])
def test_equal_candidates_come_newest_first_then_in_corpus_order(name: str) -> None:
    times = [3, 9, 3, 1, 9]
    target = sample(*(review(i, title="same", when=when) for i, when in enumerate(times)), title="same")
    found = create("retriever", name).rank(target, 5, Context(encode=letters))
    assert ids(found) == ["r1", "r4", "r0", "r2", "r3"]


@pytest.mark.parametrize("name", ["recency", "random", "bm25"])
def test_asks_for_no_vectors(name: str) -> None:
    assert list(create("retriever", name).texts([random_sample(0, n=4)])) == []
