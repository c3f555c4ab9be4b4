from __future__ import annotations

from bench.types import Item, Review, Sample
from retrievers.fields import document, query

ITEM = Item("Books", "i", "Item title", "item description")
PAST = Review("r", "u", ITEM, 4.0, "Review title", "review text")
TARGET = Sample("s", "test", "u", ITEM, 4.5, "Review title")


def test_dpl_compares_review_title_and_item_description() -> None:
    assert document(PAST, "dpl") == query(TARGET, "dpl") == "Review title item description"


def test_full_adds_item_title_rating_and_the_text_of_past_reviews_only() -> None:
    assert document(PAST, "full") == "Item title item description 4 Review title review text"
    assert query(TARGET, "full") == "Item title item description 4.5 Review title"


def test_missing_parts_leave_no_spaces() -> None:
    bare = Item("Books", "i", "")
    assert document(Review("r", "u", bare, 4.0, "Title", "text"), "dpl") == "Title"
    assert document(Review("r", "u", bare, 4.0, "", ""), "dpl") == ""
    assert query(Sample("s", "test", "u", bare, 4.0, ""), "full") == "4"
