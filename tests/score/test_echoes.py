"""Labels of prompts in texts, read from the prompts themselves."""

from __future__ import annotations

import pytest

from bench.score import echoes


def test_the_labels_are_those_of_the_prompts() -> None:
    assert echoes.labels() >= {
        "item title", "item description", "review rating", "review title", "review text", "review 1", "review",
        "user's past reviews", "output review rating", "output review title", "user's profile summary", "summary",
        "other user 1's review", "differences from other users", "item 1", "writing style", "review embedding",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "[User's Profile Summary]: covers the item", "Good.\n[Review 12]:", "[item title]: x", "Nice [Output Review",
        "so [User's", "[Other User 3's Review]: x",
    ],
)  # fmt: skip
def test_a_text_that_repeats_one_is_counted(text: str) -> None:
    assert echoes.holds(text)


@pytest.mark.parametrize(
    "text", ["", "a [sic] text", "Item Title: none", "[Edit]: broke", "well [", "[It", "arr[1] = [2]", "[Review of it]"]
)
def test_other_brackets_are_no_labels(text: str) -> None:
    assert not echoes.holds(text)


def test_texts_are_counted_once() -> None:
    assert echoes.count(["[Item Title]: a [Item Title]: b", "fine", "[Review Text]: c"]) == 2
