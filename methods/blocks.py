"""The prompt blocks that all methods share (paper, appendix F, figure 6)."""

from __future__ import annotations

from collections.abc import Iterable

from bench.types import Item, Review, Sample


def rating(value: float) -> str:
    """One decimal, as in the data: 5.0."""
    return f"{value:.1f}"


def item_block(item: Item) -> str:
    return f"[Item Title]: {item.title}\n[Item Description]: {item.description}"


def review_lines(review: Review, *, text: bool = True) -> list[str]:
    lines = [
        f"  - [Item Title]: {review.item.title}",
        f"  - [Item Description]: {review.item.description}",
        f"  - [Review Rating]: {rating(review.rating)}",
        f"  - [Review Title]: {review.title}",
    ]
    return [*lines, f"  - [Review Text]: {review.text}"] if text else lines


def past_reviews_block(reviews: Iterable[Review]) -> str:
    """The reviews in the given order, numbered from 1."""
    lines = ["[User's Past Reviews]:"]
    for number, review in enumerate(reviews, start=1):
        lines += [f"- [Review {number}]:", *review_lines(review)]
    return "\n".join(lines)


def output_block(sample: Sample) -> str:
    return f"[Output Review Rating]: {rating(sample.rating)}\n[Output Review Title]: {sample.title}"
