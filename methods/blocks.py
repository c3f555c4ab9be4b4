"""The prompt blocks that all methods share (paper, appendix F, figure 6).

A title or description that the data does not have leaves no label without a value.
"""

from __future__ import annotations

from collections.abc import Iterable

from bench.types import Item, Review, Sample


def rating(value: float) -> str:
    """One decimal, as in the data: 5.0."""
    return f"{value:.1f}"


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
    own = [("Review Rating", rating(review.rating)), ("Review Title", review.title)]
    return fields("  - ", [*item_fields(review.item), *own, *([("Review Text", review.text)] if text else [])])


def past_reviews_block(reviews: Iterable[Review]) -> str:
    """The reviews in the given order, numbered from 1. Empty without reviews."""
    lines = []
    for number, review in enumerate(reviews, start=1):
        lines += [f"- [Review {number}]:", *review_lines(review)]
    return joined("[User's Past Reviews]:", *lines) if lines else ""


def output_block(sample: Sample) -> str:
    return joined(*fields("", [("Output Review Rating", rating(sample.rating)), ("Output Review Title", sample.title)]))
