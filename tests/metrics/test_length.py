"""The ratio of lengths by hand, and what is said where there is none."""

from __future__ import annotations

import math

import pytest

from metrics.length import Length


def test_by_hand() -> None:
    rows = Length().score(["a b c d", "a", "one two"], ["a b", "a b c", "x y"])
    assert [row["length"] for row in rows] == pytest.approx([math.log(2), -math.log(3), 0])
    assert Length().aggregate(rows) == pytest.approx(
        {"length": math.log(2 / 3) / 3, "length_abs": math.log(6) / 3}
    )  # log 2 - log 3 and log 2 + log 3, over three rows


def test_half_and_double_cancel_in_the_mean_and_not_in_the_size() -> None:
    values = Length().aggregate(Length().score(["a b", "a b c d e f g h"], ["a b c d", "a b c d"]))
    assert values == pytest.approx({"length": 0.0, "length_abs": math.log(2)})


@pytest.mark.parametrize(
    ("text", "reference", "sides"),
    [("", "a b", {"prediction"}), (" \n", "a", {"prediction"}), ("a", "", {"reference"})],
)
def test_a_text_without_words_has_no_ratio_and_is_said(text: str, reference: str, sides: set[str]) -> None:
    (empty, whole) = rows = Length().score([text, "a b"], [reference, "a"])
    assert empty["length"] is None
    assert set(Length().unread(empty)) == sides
    assert Length().unread(whole) == {}
    assert Length().aggregate(rows)["length"] == pytest.approx(math.log(2))
    assert Length().aggregate([empty]) == {}
