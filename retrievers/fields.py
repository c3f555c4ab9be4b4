"""The texts that BM25 and Contriever compare: one for a past review, one for the target."""

from __future__ import annotations

from typing import Literal

from bench.types import Item, Review, Sample

# "dpl": review title and item description, as DPL's released `get_selected_profile`.
# "full": item title, description, rating and review title, and for past reviews their text.
Fields = Literal["dpl", "full"]


def document(review: Review, fields: Fields) -> str:
    """The searchable text of a past review."""
    known = _known(review.item, review.rating, review.title, fields)
    return _join(*known, review.text) if fields == "full" else _join(*known)


def query(sample: Sample, fields: Fields) -> str:
    """The search text of a target: its input fields only, never the text to be written."""
    return _join(*_known(sample.item, sample.rating, sample.title, fields))


def _known(item: Item, rating: float, title: str, fields: Fields) -> tuple[str, ...]:
    if fields == "full":
        return item.title, item.description, f"{rating:g}", title
    return title, item.description


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)
