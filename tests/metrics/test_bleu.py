"""BLEU by hand, and against sacrebleu's own command and corpus function on whole corpora."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sacrebleu import corpus_bleu

from metrics.bleu import Bleu

WORDS = ["the", "The", "cat", "sat", "on", "mat,", "today.", "don't", "10.5", "альбом", "素晴らしい", "&quot;", "(a-b)"]


def corpus(seed: int, n: int) -> tuple[list[str], list[str]]:
    """Pairs that share most words; some texts are empty, have one word or are long."""
    rng = random.Random(seed)
    references = [" ".join(rng.choices(WORDS, k=rng.choice([1, 4, 12, 40]))) for _ in range(n)]
    predictions = [" ".join(w for w in text.split() if rng.random() < 0.85) for text in references]
    return [*predictions, "", "cat"], [*references, "the cat", "dog"]


def test_by_hand() -> None:
    # Of 7, 6, 5, 4 n-grams 6, 4, 2, 1 match ("the" is clipped to one); equal lengths, so no brevity penalty.
    metric = Bleu()
    rows = metric.score(["the cat sat on the mat today"], ["the cat sat on a mat today"])
    assert rows == [{"bleu": [6, 4, 2, 1, 7, 6, 5, 4, 7, 7]}]
    assert metric.aggregate(rows)["bleu"] == pytest.approx(100 * (6 / 7 * 4 / 6 * 2 / 5 * 1 / 4) ** 0.25, abs=1e-9)


def test_smoothing_and_brevity_by_hand() -> None:
    # a b c x against a b y c d e: matches 3 of 4, 1 of 3, then none of 2 and of 1: smoothed to 1/2/2 and 1/4/1.
    metric = Bleu()
    rows = metric.score(["a b c x"], ["a b y c d e"])
    assert rows == [{"bleu": [3, 1, 0, 0, 4, 3, 2, 1, 4, 6]}]
    brevity = 2.718281828459045 ** (1 - 6 / 4)
    expected = 100 * brevity * (3 / 4 * 1 / 3 * 1 / 4 * 1 / 4) ** 0.25
    assert metric.aggregate(rows)["bleu"] == pytest.approx(expected, abs=1e-9)


def test_the_command_line_agrees(tmp_path: Path) -> None:
    predictions, references = corpus(1, 60)
    for name, lines in (("hyp", predictions), ("ref", references)):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", str(tmp_path / "ref"), "-i", str(tmp_path / "hyp"), "-b", "-w", "12"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    metric = Bleu()
    assert metric.aggregate(metric.score(predictions, references))["bleu"] == pytest.approx(float(printed), abs=1e-11)


@pytest.mark.parametrize(
    ("prediction", "reference"),
    [
        ("word", "word"),
        ("word", "other"),
        ("", "something was written"),
        ("Это хороший альбом, советую всем", "Это очень хороший альбом, советую"),
        ("素晴らしい映画 です", "素晴らしい映画 です ね"),
        ("فيلم رائع جدا وأنصح به", "فيلم رائع وأنصح به الجميع"),
    ],
)
def test_the_command_line_agrees_on_a_single_text(tmp_path: Path, prediction: str, reference: str) -> None:
    for name, line in (("hyp", prediction), ("ref", reference)):
        (tmp_path / name).write_text(line + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", str(tmp_path / "ref"), "-i", str(tmp_path / "hyp"), "-b", "-w", "12"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    metric = Bleu()
    rows = metric.score([prediction], [reference])
    assert metric.aggregate(rows)["bleu"] == pytest.approx(float(printed), abs=1e-11)
    sums = np.array([metric.statistics(rows[0])], np.float64)
    assert metric.values(sums)["bleu"][0] == pytest.approx(float(printed), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_any_subset_of_rows_has_its_corpus_bleu_to_the_last_bit(seed: int) -> None:
    predictions, references = corpus(seed, 40)
    metric = Bleu()
    rows = metric.score(predictions, references)
    for chosen in (slice(None), slice(0, None, 3), slice(5, 6), slice(-2, None)):
        expected = corpus_bleu(predictions[chosen], [references[chosen]]).score
        assert metric.aggregate(rows[chosen])["bleu"] == expected


def test_a_long_text_and_line_breaks() -> None:
    text = "Good songs,\nbad\r\nsound. " * 1250
    metric = Bleu()
    rows = metric.score([text], [text])
    assert rows[0]["bleu"][-2:] == [5000 + 2 * 1250] * 2  # the comma and the full stop are tokens
    assert metric.aggregate(rows)["bleu"] == pytest.approx(100, abs=1e-9)


@pytest.mark.parametrize("empty", ["", " \n\t "])
def test_an_empty_text_scores_zero_but_counts(empty: str) -> None:
    metric = Bleu()
    rows = metric.score([empty, "some words", "the cat sat on it"], ["one two", empty, "the cat sat on it"])
    assert [row["bleu"] for row in rows] == [
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
        [0, 0, 0, 0, 2, 1, 0, 0, 2, 0],
        [5, 4, 3, 2, 5, 4, 3, 2, 5, 5],
    ]
    assert metric.aggregate(rows[:1]) == metric.aggregate(rows[1:2]) == {"bleu": 0.0}
    assert 0 < metric.aggregate(rows)["bleu"] < 100
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_lists_of_different_length_and_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        Bleu().score(["one"], ["one", "two"])
    with pytest.raises(ValueError, match="no rows"):
        Bleu().aggregate([])
