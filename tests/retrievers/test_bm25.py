from __future__ import annotations

import gzip
import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from rank_bm25 import BM25Okapi

from bench.errors import UserError
from bench.registry import create
from bench.types import Item, Review, Sample
from retrievers.bm25 import Bm25
from tests.paths import SHARED
from tests.retrievers.samples import Context, ids, random_sample, review, sample


def okapi(
    corpus: Sequence[Sequence[str]], query: Sequence[str], *, k1: float = 1.5, b: float = 0.75, epsilon: float = 0.25
) -> list[float]:
    """Okapi BM25 written from its formula: idf = ln((N - n + .5) / (n + .5)), negative ones replaced by
    epsilon times the mean idf of all words, negative ones included."""
    frequency = Counter(word for document in corpus for word in set(document))
    idf = {word: math.log((len(corpus) - n + 0.5) / (n + 0.5)) for word, n in frequency.items()}
    floor = epsilon * math.fsum(idf.values()) / len(idf) if idf else 0.0
    weight = {word: value if value >= 0 else floor for word, value in idf.items()}
    mean_length = sum(map(len, corpus)) / len(corpus)
    return [
        math.fsum(
            weight[word]
            * document.count(word)
            * (k1 + 1)
            / (document.count(word) + k1 * (1 - b + b * len(document) / mean_length))
            for word in query
            if word in document
        )
        for document in corpus
    ]


def split(target: Sample) -> tuple[list[list[str]], list[str]]:
    """White-space tokens of DPL's fields, spelled out."""
    corpus = [f"{past.title} {past.item.description}".split() for past in target.history]
    return corpus, f"{target.title} {target.item.description}".split()


@pytest.mark.parametrize("seed", range(60))
def test_scores_equal_the_formula_and_the_plain_library(seed: int) -> None:
    target = random_sample(seed)
    corpus, query = split(target)
    scores = Bm25().scores(target, target.history)
    np.testing.assert_allclose(scores, okapi(corpus, query), rtol=0, atol=1e-9)
    if any(corpus):
        np.testing.assert_allclose(scores, BM25Okapi(corpus).get_scores(query), rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_options_reach_the_scores(seed: int) -> None:
    target = random_sample(seed)
    corpus, query = split(target)
    options = {"k1": 0.9, "b": 0.4, "epsilon": 0.1}
    retriever = create("retriever", "bm25", {key: str(value) for key, value in options.items()})
    np.testing.assert_allclose(
        retriever.scores(target, target.history), okapi(corpus, query, **options), rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("seed", range(60))
def test_ranks_by_score_then_time_then_corpus_order(seed: int) -> None:
    target = random_sample(seed)
    scores = okapi(*split(target))
    expected = sorted(range(len(scores)), key=lambda i: (-round(scores[i], 9), -(target.history[i].timestamp or 0), i))
    assert ids(Bm25().rank(target, 99, Context())) == [f"r{i}" for i in expected]


def test_a_word_in_most_reviews_gets_epsilon_of_the_mean_idf() -> None:
    # Three documents of two words: idf(the) = ln(.5/3.5) < 0, idf(a|b|c) = ln(2.5/1.5); mean = (3 ln(5/3) - ln 7) / 4.
    target = sample(review(0, title="the a"), review(1, title="the b"), review(2, title="the c"), title="the a")
    floor = 0.25 * (3 * math.log(5 / 3) - math.log(7)) / 4
    assert floor < 0
    np.testing.assert_allclose(
        Bm25().scores(target, target.history), [floor + math.log(5 / 3), floor, floor], rtol=0, atol=1e-12
    )


def test_a_single_review_and_a_single_word() -> None:
    # N = n = 1: idf = ln(.5 / 1.5), floored to a quarter of itself; tf part is 1 at mean length.
    target = sample(review(0, title="word"), title="word")
    np.testing.assert_allclose(Bm25().scores(target, target.history), [-0.25 * math.log(3)], atol=1e-12)
    assert ids(Bm25().rank(target, 8, Context())) == ["r0"]


def test_equal_sums_in_another_order_stay_ties() -> None:
    # Ten reviews of three words; a1 and a2 are in one of them, b1 and b2 in two, c1 and c2 in three. So r0 and r1 have
    # equal scores, but the query's order adds them up as (a + b) + c and (c + b) + a, which differ by 4e-16.
    others = [f"{word} f{i} g{i}" for i, word in enumerate(["b1", "b2", "c1", "c1", "c2", "c2", "d", "e"])]
    titles = ["a1 b1 c1", "a2 b2 c2", *others]
    target = sample(*(review(i, title=title, when=i) for i, title in enumerate(titles)), title="a1 b1 c1 c2 b2 a2")
    scores = BM25Okapi([title.split() for title in titles]).get_scores(target.title.split())
    assert 0 < scores[0] - scores[1] < 1e-15
    assert ids(Bm25().rank(target, 2, Context())) == ["r1", "r0"]


def test_case_counts_unless_told_otherwise() -> None:
    past = [review(0, title="old noise", when=3), review(1, title="Jazz", when=2), review(2, title="rock", when=1)]
    target = sample(*past, title="jazz")
    assert ids(Bm25().rank(target, 1, Context())) == ["r0"]
    assert ids(Bm25(lowercase=True).rank(target, 1, Context())) == ["r1"]


def test_full_fields_search_the_text() -> None:
    past = [review(0, text="nothing", when=3), review(1, text="about violins", when=2), review(2, text="no", when=1)]
    target = sample(*past, title="violins")
    assert ids(Bm25().rank(target, 1, Context())) == ["r0"]
    assert ids(Bm25(fields="full").rank(target, 1, Context())) == ["r1"]


def test_full_length_normalisation_beside_an_empty_review() -> None:
    target = sample(review(0), review(1, title="word"), review(2, title="other text"), title="word")
    scores = Bm25(b=1.0).scores(target, target.history)
    np.testing.assert_allclose(scores, okapi([[], ["word"], ["other", "text"]], ["word"], b=1.0 - 1e-15), atol=1e-9)


def test_reviews_without_a_word_are_ranked_by_time() -> None:
    target = sample(review(0, when=1), review(1, when=2), title="word")
    assert Bm25().scores(target, target.history).tolist() == [0, 0]
    assert ids(Bm25().rank(target, 8, Context())) == ["r1", "r0"]


@pytest.mark.parametrize(("option", "value"), [("k1", "0"), ("b", "1.5"), ("fields", "title"), ("K1", "1")])
def test_impossible_options_are_named(option: str, value: str) -> None:
    with pytest.raises(UserError, match=option):
        create("retriever", "bm25", {option: value})


def test_real_reviews_score_as_the_formula() -> None:
    source = SHARED / "data" / "Digital_Music" / "reviews.jsonl.gz"
    if not source.exists():
        pytest.skip(f"no real reviews in {source}")
    by_user: dict[str, list[Review]] = defaultdict(list)
    with gzip.open(source, "rt") as lines:
        for number, line in enumerate(lines):
            row = json.loads(line)
            item = Item("Digital_Music", row["parent_asin"], "")
            past = Review(str(number), row["user_id"], item, row["rating"], row["title"] or "", row["text"] or "")
            by_user[row["user_id"]].append(past)
    for user, reviews in sorted(by_user.items(), key=lambda entry: -len(entry[1]))[:20]:
        target, *history = reviews
        wanted = Sample("s", "test", user, target.item, target.rating, target.title, history=tuple(history))
        corpus = [f"5 {past.title} {past.text}".split() for past in history]
        for document, past in zip(corpus, history, strict=True):
            document[0] = f"{past.rating:.0f}"
        query = f"{target.rating:.0f} {target.title}".split()
        scores = Bm25(fields="full").scores(wanted, history)
        np.testing.assert_allclose(scores, okapi(corpus, query), rtol=0, atol=1e-9)
