"""The texts that BM25 and Contriever compare: one for a past review, one for the target."""

from __future__ import annotations

from typing import Any, Literal

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


def missing(sample: Sample, fields: Fields) -> str:
    """Why these texts cannot be compared; "" where the target has one, and some past review too."""
    if not query(sample, fields).strip():
        return "the target has no text in the compared fields"
    if not any(document(review, fields).strip() for review in sample.history):
        return "no past review has text in the compared fields"
    return ""


def remedy(fields: Fields) -> dict[str, Any]:
    """The option that compares more: "full" always has the rating, and the texts of past reviews."""
    return {} if fields == "full" else {"fields": "full"}


def _known(item: Item, rating: float, title: str, fields: Fields) -> tuple[str, ...]:
    if fields == "full":
        return item.title, item.description, f"{rating:g}", title
    return title, item.description


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)
