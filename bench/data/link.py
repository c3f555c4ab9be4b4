"""From checked rows to linked objects: looks up every id, and proves that no sample contains its own answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast, get_args

from bench.data.folder.rows import Row, Stored
from bench.errors import UserError
from bench.types import Item, Review, Sample, Split

SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, slots=True)
class Linked:
    """Samples and reviews in file order; `targets` maps a sample's id to the review it has to write.

    `held_out` are the ids of reviews that are never peers: targets of val and test samples, and rows with `held_out`.
    """

    samples: tuple[Sample, ...]
    reviews: tuple[Review, ...]
    targets: dict[str, Review]
    held_out: frozenset[str]


def link(stored: Stored) -> Linked:
    """Samples and reviews of a dataset. Raises UserError naming the first row that is wrong, before any run uses it."""
    items = _items(stored.tables["items"], stored.manifest["categories"])
    reviews = _reviews(stored.tables["reviews"], items)
    samples: dict[str, Sample] = {}
    targets: dict[str, Review] = {}
    for row in stored.tables["samples"]:
        sample_id = row.values["sample_id"]
        if sample_id in samples:
            raise _wrong(row, f"sample_id '{sample_id}' is there twice")
        targets[sample_id] = _target(row, reviews)
        samples[sample_id] = _sample(row, targets[sample_id], _history(row, targets[sample_id], reviews))
    held_out = {targets[sample_id].review_id for sample_id, sample in samples.items() if sample.split != "train"}
    held_out |= {row.values["review_id"] for row in stored.tables["reviews"] if row.values.get("held_out")}
    return Linked(tuple(samples.values()), tuple(reviews.values()), targets, frozenset(held_out))


def _wrong(row: Row, what: str) -> UserError:
    return UserError(f"{row.where}: {what}; correct the line or run `bench data build` again")


def _items(rows: Sequence[Row], categories: Sequence[str]) -> dict[tuple[str, str], Item]:
    items: dict[tuple[str, str], Item] = {}
    for row in rows:
        item = Item(**_fields(row, "category", "item_id", "title", "description"))
        if item.category not in categories:
            raise _wrong(row, f"category '{item.category}' is not one of dataset.json's: {', '.join(categories)}")
        if (item.category, item.item_id) in items:
            raise _wrong(row, f"item_id '{item.item_id}' is there twice in {item.category}")
        items[item.category, item.item_id] = item
    return items


def _reviews(rows: Sequence[Row], items: Mapping[tuple[str, str], Item]) -> dict[str, Review]:
    reviews: dict[str, Review] = {}
    for row in rows:
        values = row.values
        item = items.get((values["category"], values["item_id"]))
        if item is None:
            raise _wrong(row, f"item_id '{values['item_id']}' of {values['category']} is not in the items")
        if values["review_id"] in reviews:
            raise _wrong(row, f"review_id '{values['review_id']}' is there twice")
        plain = _fields(row, "review_id", "user_id", "title", "text", "timestamp")
        reviews[values["review_id"]] = Review(item=item, rating=float(values["rating"]), **plain)
    return reviews


def _fields(row: Row, *names: str) -> dict[str, Any]:
    return {name: row.values[name] for name in names}


def _target(row: Row, reviews: Mapping[str, Review]) -> Review:
    values = row.values
    if values["split"] not in SPLITS:
        raise _wrong(row, f"split '{values['split']}' is none of {', '.join(SPLITS)}")
    target = reviews.get(values["review_id"])
    if target is None:
        raise _wrong(row, f"review_id '{values['review_id']}' is not in the reviews")
    found = (target.category, target.user_id, target.item.item_id)
    if found != (values["category"], values["user_id"], values["item_id"]):
        raise _wrong(row, f"review_id '{target.review_id}' is of {', '.join(found)}: not this category, user, item")
    return target


def _history(row: Row, target: Review, reviews: Mapping[str, Review]) -> tuple[Review, ...]:
    """The user's earlier reviews. A wrong order or user here would leak answers or mix users without a sign."""
    ids = row.values["history"]
    for review_id in ids:
        if not isinstance(review_id, str) or review_id not in reviews:
            raise _wrong(row, f"history names {review_id!r}, which is not in the reviews")
    if target.review_id in ids:
        raise _wrong(row, f"history holds the target '{target.review_id}' itself")
    if len(set(ids)) < len(ids):
        raise _wrong(row, "history names a review twice")
    history = tuple(reviews[review_id] for review_id in ids)
    for review in history:
        if (review.category, review.user_id) != (target.category, target.user_id):
            raise _wrong(row, f"history holds '{review.review_id}', which another user wrote")
    timed = [(review.timestamp, review) for review in (target, *history) if review.timestamp is not None]
    for (time, newer), (earlier, older) in pairwise(timed):
        if time < earlier:
            raise _wrong(row, f"history is not newest first: '{older.review_id}' is newer than '{newer.review_id}'")
    return history


def _sample(row: Row, target: Review, history: tuple[Review, ...]) -> Sample:
    return Sample(
        sample_id=row.values["sample_id"],
        split=cast(Split, row.values["split"]),
        user_id=target.user_id,
        item=target.item,
        rating=target.rating,
        title=target.title,
        timestamp=target.timestamp,
        history=history,
    )
