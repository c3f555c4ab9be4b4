"""Keeps prompts inside the input budget: what is cut, and in which order (docs/concepts.md).

Lowest-ranked reviews are dropped first. If even one review does not fit (two, for a method that compares), item
descriptions are shortened, and then review texts. Instruction, rating, title and assistant header are never cut. A
prompt is a pure function of (sample, reviews), so shortening it means building it from shorter data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from bench.errors import SampleFailure
from bench.protocols import PromptBuilder
from bench.types import Dropped, Item, Prompt, Review, Sample


class Count(Protocol):
    """Counts the tokens of a prompt, with those of the template."""

    def __call__(self, prompt: Prompt, /, *, limit: int) -> int:
        """The number; where it is above `limit`, any number above `limit` will do."""
        ...


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters. Ends at a space if one is near, which scripts without spaces do not have."""
    if len(text) <= limit:
        return text
    cut = text[:limit]
    space = cut.rfind(" ", max(0, limit - 24))
    return cut[:space] if space > 0 else cut


def _largest(fits: Callable[[int], bool], high: int) -> int | None:
    """The largest n in 0..high with fits(n), where fits is true up to some n. None if fits(0) is false."""
    if not fits(0):
        return None
    low = 0
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _short_item(item: Item, limit: int) -> Item:
    return replace(item, description=shorten(item.description, limit))


def _with_descriptions(sample: Sample, reviews: tuple[Review, ...], limit: int) -> tuple[Sample, tuple[Review, ...]]:
    short = tuple(replace(review, item=_short_item(review.item, limit)) for review in reviews)
    return replace(sample, item=_short_item(sample.item, limit)), short


def _with_texts(reviews: tuple[Review, ...], limit: int) -> tuple[Review, ...]:
    return tuple(replace(review, text=shorten(review.text, limit)) for review in reviews)


def fit(
    build: PromptBuilder,
    sample: Sample,
    reviews: tuple[Review, ...] = (),
    *,
    count: Count,
    budget: int,
    keep: int = 1,
) -> tuple[Prompt, Dropped]:
    """The longest version of the prompt with at most `budget` tokens, and what was dropped.

    The first `keep` reviews are shortened, never dropped. Raises SampleFailure if nothing fits.
    """

    def fits(candidate: Sample, kept: tuple[Review, ...]) -> bool:
        return count(build(candidate, kept), limit=budget) <= budget

    keep = min(keep, len(reviews))
    for n in range(len(reviews), keep - 1, -1):
        if fits(sample, reviews[:n]):
            return build(sample, reviews[:n]), Dropped(reviews=len(reviews) - n)
    return _shortened(build, sample, reviews[:keep], fits=fits, dropped=Dropped(reviews=len(reviews) - keep))


def _shortened(
    build: PromptBuilder,
    sample: Sample,
    kept: tuple[Review, ...],
    *,
    fits: Callable[[Sample, tuple[Review, ...]], bool],
    dropped: Dropped,
) -> tuple[Prompt, Dropped]:
    """Shortens the descriptions, and then the texts, of the reviews that are kept."""
    descriptions = [sample.item.description, *(review.item.description for review in kept)]
    longest = max(map(len, descriptions))
    limit = _largest(lambda n: fits(*_with_descriptions(sample, kept, n)), longest)
    dropped.description_chars = sum(len(text) - len(shorten(text, limit or 0)) for text in descriptions)
    if limit is not None:
        return build(*_with_descriptions(sample, kept, limit)), dropped

    bare, bare_kept = _with_descriptions(sample, kept, 0)
    longest = max((len(review.text) for review in kept), default=0)
    limit = _largest(lambda n: fits(bare, _with_texts(bare_kept, n)), longest)
    if limit is None:
        raise SampleFailure("the parts of the prompt that are never cut exceed the input budget")
    short = _with_texts(bare_kept, limit)
    dropped.text_chars = sum(len(old.text) - len(new.text) for old, new in zip(kept, short, strict=True))
    return build(bare, short), dropped
