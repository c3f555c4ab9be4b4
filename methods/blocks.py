"""The prompt blocks that all methods share (paper, appendix F, figure 6), and the words that announce them.

A title or description that the data does not have leaves no label without a value, and no system prompt promises it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bench.types import Item, Review, Sample

FIELDS = ("Item Title", "Item Description", "Review Rating", "Review Title", "Review Text")  # of a past review


def rating(value: float) -> str:
    """As in the data, with at least one decimal: 5.0, 4.25."""
    return f"{value:.1f}" if round(value, 1) == value else f"{value:g}"


def fields(indent: str, values: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each (label, text) whose text is not blank."""
    return [f"{indent}[{label}]: {text}" for label, text in values if text.strip()]


def joined(*blocks: str) -> str:
    """The blocks that hold something, one below the other."""
    return "\n".join(filter(None, blocks))


def item_fields(item: Item) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("Item Title", item.title), ("Item Description", item.description)


def item_block(item: Item) -> str:
    """Empty for an item of which nothing is known."""
    return joined(*fields("", item_fields(item)))


def review_lines(review: Review, *, text: bool = True) -> list[str]:
    return fields("  - ", review_fields(review, text=text))


def review_fields(review: Review, *, text: bool = True) -> list[tuple[str, str]]:
    own = [("Review Rating", rating(review.rating)), ("Review Title", review.title)]
    return [*item_fields(review.item), *own, *([("Review Text", review.text)] if text else [])]


def past_reviews_block(reviews: Iterable[Review]) -> str:
    """The reviews in the given order, numbered from 1. Empty without reviews."""
    lines = []
    for number, review in enumerate(reviews, start=1):
        lines += [f"- [Review {number}]:", *review_lines(review)]
    return joined("[User's Past Reviews]:", *lines) if lines else ""


def output_block(sample: Sample) -> str:
    return joined(*fields("", [("Output Review Rating", rating(sample.rating)), ("Output Review Title", sample.title)]))


def given(sample: Sample, *, along: str = "") -> str:
    """How a system prompt begins: what the user message holds of the target and, `along` with it, of the user."""
    item = item_words(sample.item)
    shown = ", along with ".join(filter(None, (item, along)))
    return "Given " + ", and ".join(filter(None, (shown, output_words(sample))))


def item_words(item: Item) -> str:
    """Empty for an item of which nothing is known."""
    known = [name for name, text in (("title", item.title), ("description", item.description)) if text.strip()]
    return f"the {' and '.join(known)} of an item" if known else ""


def output_words(sample: Sample) -> str:
    return f"the output review rating{' and review title' if sample.title.strip() else ''}"


def past_reviews_words(reviews: Collection[Review], *, text: bool = True, more: Iterable[str] = ()) -> str:
    """With the fields that at least one of the reviews has. `more`: what else a method shows of each."""
    shown = {label: None for review in reviews for label, value in review_fields(review, text=text) if value.strip()}
    names = [label.lower() for label in FIELDS if label in shown]
    return f"the user's past reviews (including {', '.join((*names, *more))})"
