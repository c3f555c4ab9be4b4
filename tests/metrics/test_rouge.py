"""ROUGE against counts and a longest common subsequence written out here."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.rouge import Rouge


def tokens(text: str) -> list[str]:
    return re.findall("[a-z0-9]+", text.lower())


def f_measure(matched: int, n_prediction: int, n_reference: int) -> float:
    if not matched:
        return 0.0
    precision, recall = matched / n_prediction, matched / n_reference
    return 2 * precision * recall / (precision + recall)


def rouge1(prediction: str, reference: str) -> float:
    ours, theirs = Counter(tokens(prediction)), Counter(tokens(reference))
    return f_measure((ours & theirs).total(), ours.total(), theirs.total())


def rouge_l(prediction: str, reference: str) -> float:
    ours, theirs = tokens(prediction), tokens(reference)
    longest = [0] * (len(theirs) + 1)
    for word in ours:
        before = longest[:]
        for column, other in enumerate(theirs, start=1):
            longest[column] = before[column - 1] + 1 if word == other else max(before[column], longest[column - 1])
    return f_measure(longest[-1], len(ours), len(theirs))


def test_by_hand() -> None:
    # 8 and 9 tokens. Shared: the the quick brown jumps dog (6). In order: the quick brown jumps the (5).
    row = Rouge().score(["the quick brown dog jumps on the log"], ["The quick brown fox jumps over the lazy dog."])[0]
    assert row["rouge1"] == pytest.approx(2 * 6 / 17, abs=1e-12)
    assert row["rougeL"] == pytest.approx(2 * 5 / 17, abs=1e-12)


def test_no_stemmer_and_its_token_rule() -> None:
    rows = Rouge().score(["songs", "It's GREAT!", "don't stop"], ["song", "it s great", "dont stop"])
    assert [row["rouge1"] for row in rows] == [0.0, 1.0, pytest.approx(2 * 1 / 5)]


@pytest.mark.parametrize(
    ("prediction", "reference"),
    [
        ("word", "word"),
        ("word", "another"),
        ("Это хороший альбом", "Это хороший альбом"),
        ("素晴らしい映画 2019", "素晴らしい映画 2019"),
        ("café naïve", "cafe naive"),
        ("... !!!", "words here"),
        (" ".join(f"w{i % 700}" for i in range(5000)), " ".join(f"w{i * 3 % 900}" for i in range(200))),
    ],
)
def test_against_a_plain_count(prediction: str, reference: str) -> None:
    row = Rouge().score([prediction], [reference])[0]
    assert row["rouge1"] == pytest.approx(rouge1(prediction, reference), abs=1e-12)
    assert row["rougeL"] == pytest.approx(rouge_l(prediction, reference), abs=1e-12)


words = st.lists(st.sampled_from(["a", "b", "C.", "d2", "é", "-"]), min_size=1, max_size=12).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(words, words)
def test_any_short_texts(prediction: str, reference: str) -> None:
    row = Rouge().score([prediction], [reference])[0]
    assert row["rouge1"] == pytest.approx(rouge1(prediction, reference), abs=1e-12)
    assert row["rougeL"] == pytest.approx(rouge_l(prediction, reference), abs=1e-12)


@pytest.mark.parametrize("empty", ["", " \n\t "])
def test_an_empty_text_scores_zero_and_stays_in_the_mean(empty: str) -> None:
    metric = Rouge()
    rows = metric.score([empty, "same", "same"], ["words", empty, "same"])
    assert [row["rouge1"] for row in rows] == [row["rougeL"] for row in rows] == [0.0, 0.0, 1.0]
    assert metric.aggregate(rows) == {"rouge1": pytest.approx(1 / 3), "rougeL": pytest.approx(1 / 3)}
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_lists_of_different_length_and_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        Rouge().score(["one"], ["one", "two"])
    with pytest.raises(ValueError, match="no rows"):
        Rouge().aggregate([])
