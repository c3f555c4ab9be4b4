"""The prompt blocks that all methods share (paper, appendix F, figure 6).

A title, description or text that a sample does not have leaves no label without a value, and the system prompt names
the fields that its user message shows, and no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.types import Item, Review, Sample


def rating(value: float) -> str:
    """As in the data, with one decimal at least: 5.0, 4.5, 4.25."""
    return repr(float(value))


Field = tuple[str, str]  # (label, text)


def fields(indent: str, values: Iterable[Field]) -> list[str]:
    """A line for each field whose text is not blank."""
    return [f"{indent}[{label}]: {text}" for label, text in values if text.strip()]


def joined(*blocks: str) -> str:
    """The blocks that hold something, one below the other."""
    return "\n".join(filter(None, blocks))


def item_fields(item: Item) -> tuple[Field, Field]:
    return ("Item Title", item.title), ("Item Description", item.description)


def item_block(item: Item) -> str:
    """Empty for an item of which nothing is known."""
    return joined(*fields("", item_fields(item)))


def own_fields(review: Review) -> tuple[Field, Field, Field]:
    """The review's fields without those of its item."""
    return ("Review Rating", rating(review.rating)), ("Review Title", review.title), ("Review Text", review.text)


def review_fields(review: Review, *, text: bool = True) -> tuple[Field, ...]:
    return *item_fields(review.item), *own_fields(review)[: None if text else -1]


def review_lines(review: Review, *, text: bool = True) -> list[str]:
    return fields("  - ", review_fields(review, text=text))


def past_reviews_block(reviews: Iterable[Review]) -> str:
    """The reviews in the given order, numbered from 1. Empty without reviews."""
    lines = []
    for number, review in enumerate(reviews, start=1):
        lines += [f"- [Review {number}]:", *review_lines(review)]
    return joined("[User's Past Reviews]:", *lines) if lines else ""


def output_fields(sample: Sample) -> tuple[Field, Field]:
    return ("Output Review Rating", rating(sample.rating)), ("Output Review Title", sample.title)


def output_block(sample: Sample) -> str:
    return joined(*fields("", output_fields(sample)))


# ---------------------------------------------------------------- what a system prompt says of its user message


def given(item: str, user: Sequence[str] = (), output: str = "") -> str:
    """`Given ITEM, along with USER, USER, and OUTPUT`, without the parts that are empty."""
    known = [part for part in user if part]
    if item and known:
        known = [f"along with {known[0]}", *known[1:]]
    parts = [item, *known] if item else known
    return "Given " + ", ".join([*parts, *([f"and {output}" if parts else output] if output else [])])


def named(*shown: Iterable[Field]) -> list[str]:
    """The labels of one kind of block in lower case, in order: those that have a text in one of these blocks."""
    found: dict[str, bool] = {}
    for label, text in (field for block in shown for field in block):
        found[label.lower()] = found.get(label.lower(), False) or bool(text.strip())
    return [label for label, has_text in found.items() if has_text]


def item_named(item: Item) -> str:
    """ "the title and description of an item"; empty for an item of which nothing is known."""
    known = " and ".join(label.removeprefix("item ") for label in named(item_fields(item)))
    return f"the {known} of an item" if known else ""


def past_reviews_named(reviews: Iterable[Review], *, text: bool = True, more: Iterable[str] = ()) -> str:
    """ "the user's past reviews (including item title, ...)", with `more` after the fields. Empty without reviews."""
    known = named(*(review_fields(review, text=text) for review in reviews))
    return f"the user's past reviews (including {', '.join([*known, *more])})" if known else ""


def output_named(sample: Sample) -> str:
    """ "the output review rating and review title"."""
    known = " and ".join(label.removeprefix("output ") for label in named(output_fields(sample)))
    return f"the output {known}"
