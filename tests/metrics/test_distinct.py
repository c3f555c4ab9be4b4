"""Distinct-n by hand and over subsets; no interval is made of it."""

from __future__ import annotations

import pytest

from bench.score import score_arrays
from metrics.distinct import Distinct


def test_by_hand() -> None:
    # Words: a b a | b a c: 3 of 6. Pairs: ab ba | ba ac: 3 of 4. Triples: aba | bac: 2 of 2.
    rows = Distinct().score(["A b, a", "b A c"], ["", ""])
    assert Distinct().aggregate(rows) == pytest.approx({"distinct1": 3 / 6, "distinct2": 3 / 4, "distinct3": 1.0})
    assert Distinct().aggregate(rows[:1])["distinct1"] == pytest.approx(2 / 3)


def test_repeating_a_text_halves_it_and_empty_texts_add_nothing() -> None:
    metric = Distinct()
    once, twice = (metric.aggregate(metric.score(["one two three four"] * n + [""], [""] * (n + 1))) for n in (1, 2))
    assert once == {"distinct1": 1, "distinct2": 1, "distinct3": 1}
    assert twice == {"distinct1": 0.5, "distinct2": 0.5, "distinct3": 0.5}
    assert metric.aggregate(metric.score(["", "two words"], ["", ""])) == {"distinct1": 1, "distinct2": 1}


def test_nothing_is_resampled() -> None:
    numbers, keys = score_arrays.statistics("distinct", Distinct().score(["a b c"] * 3, [""] * 3))
    assert (numbers.shape, keys) == ((3, 0), [])
    assert score_arrays.values("distinct", numbers.sum(axis=0), keys) == {}
