"""The bundled corpus is what its README says, and the program that makes it makes it again."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from bench.data.corpus import Corpus, load
from bench.data.synthetic import bundled
from tests.data.toy import Row, read_lines
from tests.paths import ROOT

BUNDLED = ROOT / "bench" / "data" / "bundled"
BY_HAND = {"README.md", "phrases.toml"}


@pytest.fixture(scope="module")
def reviews() -> list[Row]:
    return read_lines(BUNDLED / "reviews.jsonl")


@pytest.fixture(scope="module")
def found() -> Corpus:
    return load("bundled")


def test_it_is_made_again_byte_for_byte(tmp_path: Path) -> None:
    bundled.main(tmp_path)
    shipped = {path.name: path.read_bytes() for path in BUNDLED.iterdir() if path.name not in BY_HAND}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == shipped


def test_it_says_that_it_is_synthetic_and_small(found: Corpus) -> None:
    assert found.synthetic
    assert "synthetic" in found.title
    assert sum(path.stat().st_size for path in BUNDLED.iterdir()) < 1_000_000


def test_sizes(found: Corpus, reviews: list[Row]) -> None:
    words = [len(row["text"].split()) for row in reviews]
    assert min(words) >= 20
    assert max(words) <= 90
    assert len({row["text"] for row in reviews}) == len(reviews)
    for category in found.categories:
        own = [row for row in reviews if row["category"] == category]
        assert len({row["user_id"] for row in own}) == len({row["item_id"] for row in own}) == 24
        assert 290 <= len(own) <= 330
    assert {row["rating"] for row in reviews} == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_histories_are_long_enough_and_one_is_empty(found: Corpus) -> None:
    assert min(len(sample.history) for sample in found.samples("test")) == 3
    assert [s.sample_id for s in found.samples("val") if not s.history] == ["Board_Games/u24/" + _only_item(found)]
    assert all(sample.history for sample in found.samples("train"))
    assert Counter(s.category for s in found.samples("test")) == {"Board_Games": 23, "Coffee": 24, "Headphones": 24}


def _only_item(found: Corpus) -> str:
    return next(s.item.item_id for s in found.samples("val") if (s.category, s.user_id) == ("Board_Games", "u24"))


def test_peers_are_many_but_for_the_rare_items(found: Corpus) -> None:
    past = {review.review_id: review for sample in found.samples("test") for review in sample.history}
    n_peers = {review_id: len(found.peers(review)) for review_id, review in past.items()}
    rare = {review_id: n for review_id, n in n_peers.items() if past[review_id].item.item_id > "i20"}
    assert sorted(rare.values()) == sorted([0, 1, 1, 2, 2, 2, 3, 3, 3, 3] * 3)
    common = [n for review_id, n in n_peers.items() if review_id not in rare]
    assert min(common) >= 6
    assert sum(n > 10 for n in common) / len(common) > 0.5
    # Within the eight reviews that a run retrieves, so that every path is walked.
    shown = {review.review_id for sample in found.samples("test") for review in sample.history[:8]}
    assert set(rare) <= shown


def test_habits_show_in_the_texts(reviews: list[Row]) -> None:
    key = json.loads((BUNDLED / "habits.json").read_text())
    shares: dict[str, list[bool]] = {"opening": [], "signoff": [], "catchphrase": []}
    lengths: dict[str, list[int]] = {"terse": [], "medium": [], "long": []}
    styles_with: dict[tuple[str, str], int] = Counter()
    for row in reviews:
        habits = key[row["category"]][row["user_id"]]
        text = row["text"].lower()
        for habit, seen in shares.items():
            if habits[habit]:
                seen.append(habits[habit].lower() in text)
        lengths[habits["length"]].append(len(text.split()))
        for sign in ("!", "...", ";"):
            styles_with[habits["punctuation"], sign] += sign in text
        assert (row["text"] == text) == (habits["punctuation"] == "lower case")
    for seen in shares.values():
        assert 0.8 < sum(seen) / len(seen) < 0.9
    means = [sum(of_length) / len(of_length) for of_length in lengths.values()]
    assert means[0] + 10 < means[1] < means[2] - 10
    assert {style for (style, sign), n in styles_with.items() if sign == "!" and n} == {"exclaiming"}
    assert {style for (style, sign), n in styles_with.items() if sign == "..." and n} == {"trailing off"}
    assert {style for (style, sign), n in styles_with.items() if sign == ";" and n} == {"semicolons"}


def test_strict_users_rate_lower(reviews: list[Row]) -> None:
    key = json.loads((BUNDLED / "habits.json").read_text())
    ratings: dict[bool, list[float]] = {True: [], False: []}
    for row in reviews:
        strictness = key[row["category"]][row["user_id"]]["strictness"]
        if strictness:
            ratings[strictness < 0].append(row["rating"])
    assert sum(ratings[True]) / len(ratings[True]) + 0.7 < sum(ratings[False]) / len(ratings[False])


def test_nothing_in_the_suite_reads_the_key() -> None:
    readers = [path.name for path in (ROOT / "bench").rglob("*.py") if "habits.json" in path.read_text()]
    assert readers == ["bundled.py"]
