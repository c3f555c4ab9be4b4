"""Metrics at equal length: against the metrics themselves on texts cut by hand, and their sums in tables."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from bench import registry
from bench.errors import UserError
from bench.score import score_arrays
from metrics.bleu import Bleu
from metrics.equal import METRICS, Equal, equally_long
from metrics.meteor import Meteor
from metrics.rouge import Rouge

TEXTS = ["the cat sat on the mat today and slept", "one two", "a  b\nc d. e!", "same same"]
REAL = ["the cat sat on a mat", "one two three four five", "a b c d. e f", "same same"]
CUT = [
    ("the cat sat on the mat", "the cat sat on a mat"),
    ("one two", "one two"),
    ("a  b\nc d. e!", "a b c d. e"),
    ("same same", "same same"),
]


def test_both_are_cut_to_the_words_of_the_shorter() -> None:
    assert [equally_long(*pair) for pair in zip(TEXTS, REAL, strict=True)] == CUT
    assert equally_long("", "a b") == ("", "a b")
    assert equally_long("a b", " ") == ("a b", " ")


def test_values_are_those_of_the_metrics_on_cut_texts() -> None:
    metric = Equal()
    values = metric.aggregate(metric.score(TEXTS, REAL))
    expected = {}
    for one in (Rouge(), Meteor(), Bleu()):
        rows = one.score(*zip(*CUT, strict=True))  # type: ignore[attr-defined]
        expected |= {f"equal_{key}": value for key, value in one.aggregate(rows).items()}  # type: ignore[attr-defined]
    assert values == expected
    assert [column.key for column in metric.columns] == list(expected)
    assert [column.label for column in metric.columns] == ["R-1=", "R-L=", "MET.=", "BL.="]


def test_an_empty_text_scores_0_and_counts_in_the_brevity_penalty() -> None:
    metric = Equal(of="rouge,bleu")
    some = metric.score(["a b c d e"], ["a b c d e"])
    both = metric.score(["a b c d e", ""], ["a b c d e", "a b c d e"])
    assert metric.aggregate(some) == pytest.approx({"equal_rouge1": 1, "equal_rougeL": 1, "equal_bleu": 100})
    assert metric.aggregate(both) == pytest.approx(
        {"equal_rouge1": 0.5, "equal_rougeL": 0.5, "equal_bleu": 100 * np.exp(1 - 10 / 5)}
    )


@pytest.mark.parametrize("of", ["rouge,meteor,bleu", "bleu", "meteor , rouge"])
def test_sums_give_the_aggregate_of_every_subset(of: str) -> None:
    metric = Equal(of=of)
    rows = metric.score(TEXTS * 2, [*REAL, *reversed(REAL)])
    numbers, keys = score_arrays.statistics("equal", rows)  # by a metric with the options of nobody, as in tables
    assert keys == []
    for some in ([0], [1, 4], list(range(8))):
        found = score_arrays.values("equal", numbers[some].sum(axis=0), keys)
        known = {key: float(value) for key, value in found.items() if np.isfinite(value)}
        assert known == pytest.approx(metric.aggregate([rows[place] for place in some]))


def test_unread_texts_name_the_columns() -> None:
    metric = Equal(of="rouge,meteor")
    (row,) = metric.score(["Очень хорошо"], ["all is well"])
    (said,) = metric.unread(row)["prediction"]
    assert said.endswith("(R-1=, R-L=)")
    assert "reference" not in metric.unread(row)


def test_options() -> None:
    with pytest.raises(UserError, match=r"no metric of equal.of 'rogue'; did you mean 'rouge'"):
        registry.create("metric", "equal", {"of": "rogue"})
    with pytest.raises(UserError, match="names no metric"):
        Equal(of=" , ")
    assert Equal(of="bertscore", bertscore_model="x")._metrics["bertscore"].model == "x"
    assert not Equal(of="bertscore,rouge").per_pair
    assert set(METRICS) >= {"rouge", "meteor", "bleu", "bertscore"}


def test_it_travels_to_another_process() -> None:
    metric = Equal(of="rouge,bleu")
    first = metric.score(TEXTS, REAL)
    again = pickle.loads(pickle.dumps(metric))
    assert again.per_pair
    assert again.score(TEXTS, REAL) == first
