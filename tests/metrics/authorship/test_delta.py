"""Burrows's Delta: features by hand, and scores against a second way to compute them."""

from __future__ import annotations

from collections import Counter
from statistics import fmean, pstdev

import numpy as np
import pytest

from metrics.authorship import features
from metrics.authorship.delta import Delta, Norms
from metrics.authorship.scorer import Candidate, Case
from tests.metrics.authorship.authors import author

USERS = (
    author("a", "I love it! It is SO good!! Buy it.", "i never return things... but this one is bad!"),
    author("b", "The sound is fine; the case, however, is not. It lasts.", "Good value, and the price is right."),
    author("c", "ok. works. cheap.", "does what it should. cheap 2. ok."),
)


def test_features_by_hand() -> None:
    named = dict(zip(features.FUNCTION_WORDS, features.style("It’s so, SO good. i think"), strict=False))
    assert named["so"] == 2 / 6
    assert named["it's"] == 1 / 6
    assert named["the"] == 0
    *_, upper, shouted, lower_start, lower_i, digits, words, word, sentence = features.style("I am SO 9. i GO!")
    assert (upper, shouted, lower_start, lower_i, digits) == pytest.approx((5 / 16, 2 / 5, 1 / 2, 1 / 5, 1 / 16))
    assert (np.expm1(words), word, np.expm1(sentence)) == pytest.approx((5, 8 / 5, 5 / 2))
    assert not any(features.style(""))


def test_grams_are_the_most_frequent_ones_and_their_shares() -> None:
    texts = [review.text for user in USERS for review in user.reviews] + ["naïve ☺☺☺☺ \ud800"]
    counts: Counter[str] = Counter()
    for text in texts:
        plain = "".join(letter if ord(letter) < 127 else "\x7f" for letter in text.lower())
        counts.update(plain[place : place + 3] for place in range(len(plain) - 2))
    grams = features.Grams.frequent(texts)
    shares = [counts[gram] for gram, _ in counts.most_common(features.MOST_GRAMS)]
    assert sorted((features.MOST_GRAMS * [0] + shares)[-len(grams.most) :]) == sorted(shares)
    text = "the the then"
    own = Counter(text[place : place + 3] for place in range(len(text) - 2))
    wanted = [tuple(map(ord, gram)) for gram in own]
    numbers = {a * 128**2 + b * 128 + c: gram for (a, b, c), gram in zip(wanted, own, strict=True)}
    for number, share in zip(grams.most, grams.shares(text), strict=True):
        assert share == pytest.approx(own[numbers[number]] / 10 if number in numbers else 0)
    assert not grams.shares("ab").any()


def test_scores_are_the_mean_absolute_difference_of_z_over_the_users() -> None:
    texts = ("It is SO bad!!", "cheap. ok.")
    candidates = [Candidate(user.user_id, (user.reviews[0].text,)) for user in USERS]
    (found,) = Delta().scores([Case(texts, tuple(candidates))], USERS)

    raw = Norms.of(USERS)

    def plain(text: str) -> list[float]:
        return [*features.style(text), *raw.grams.shares(text)]

    per_user = [
        [fmean(column) for column in zip(*(plain(one.text) for one in user.reviews), strict=True)] for user in USERS
    ]
    spreads = [pstdev(column) for column in zip(*per_user, strict=True)]
    for text, row in zip(texts, found, strict=True):
        for candidate, score in zip(candidates, row, strict=True):
            pairs = zip(plain(text), plain(candidate.texts[0]), spreads, strict=True)
            apart = [abs(one - other) / spread if spread > 1e-9 else 0.0 for one, other, spread in pairs]
            assert score == pytest.approx(-fmean(apart))
    assert found[0].argmax() == 0
    assert found[1].argmax() == 2


def test_distances_are_scores_turned_around_and_0_for_equal_texts() -> None:
    delta, pair = Delta(), ("It is SO bad!!", "cheap. ok.")
    (score,) = delta.scores([Case(pair[:1], (Candidate("x", pair[1:]),))], USERS)
    assert delta.distances([pair, (pair[0], pair[0])], USERS) == pytest.approx([-score[0, 0], 0])
    assert delta.distances([pair], USERS) == delta.distances([pair[::-1]], USERS)
