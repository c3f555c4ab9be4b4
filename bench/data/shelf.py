"""Puts a built category into a dataset folder, beside the categories that are already there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.data import store
from bench.data.filters import UserReviews
from bench.data.raw import RawReview, collapse
from bench.data.rules import Rules
from bench.errors import UserError
from bench.types import Item

# What dataset.json says of each category by itself.
PER_CATEGORY = ("counts", "thresholds", "sources", "split")

Table = list[dict[str, Any]]


def add(
    out: Path,
    category: str,
    users: Mapping[str, UserReviews],
    items: Mapping[str, Item],
    *,
    rules: Rules,
    sources: Sequence[Path],
) -> tuple[str, list[str]]:
    """Writes the category, in place of one of the same name; returns the fingerprint and the other categories.

    Raises UserError where `out` cannot be written or holds a synthetic dataset.
    """
    manifest, tables = _others(out, category)
    others = sorted(manifest["counts"])
    rows = _rows(category, users, items)
    own = {
        "counts": store.counts(rows)[category],
        "thresholds": asdict(rules),
        "sources": [_source(path) for path in sources],
        "split": store.split_definition(rules.train_inputs),
    }
    categories = sorted([*others, category])
    whole = {
        "name": "+".join(categories),
        "title": f"{', '.join(categories)}: real reviews by the rules in `thresholds`",
        "synthetic": False,
        "categories": categories,
        **{key: dict(sorted({**manifest[key], category: own[key]}.items())) for key in PER_CATEGORY},
    }
    merged = {table: sorted([*tables[table], *rows[table]], key=_category) for table in store.TABLES}
    return store.write(out, whole, merged), others


def _category(row: Mapping[str, Any]) -> str:
    return str(row["category"])


def _others(out: Path, category: str) -> tuple[dict[str, dict[str, Any]], dict[str, Table]]:
    """What the folder holds of other categories."""
    if not (out / store.MANIFEST).exists():
        return {key: {} for key in PER_CATEGORY}, {table: [] for table in store.TABLES}
    manifest = store.read_manifest(out)
    if manifest["synthetic"]:
        raise UserError(f"{out} holds the synthetic dataset '{manifest['name']}'; choose another folder")
    kept = [name for name in manifest["categories"] if name != category]
    # Unread where nothing of it is kept, so that building again mends a damaged dataset.
    tables = store.read(out).tables if kept else {}
    return (
        {key: {name: manifest.get(key, {}).get(name) for name in kept} for key in PER_CATEGORY},
        {
            table: [row.values for row in tables.get(table, []) if row.values["category"] in kept]
            for table in store.TABLES
        },
    )


def _rows(category: str, users: Mapping[str, UserReviews], items: Mapping[str, Item]) -> dict[str, Table]:
    everything = {name: [*user.inputs, *user.profile] for name, user in users.items()}
    used = sorted({review.item_id for own in everything.values() for review in own})
    return {
        "items": [asdict(items[item_id]) for item_id in used],
        "reviews": [_review(category, review) for own in everything.values() for review in own],
        "samples": [sample for user in users.values() for sample in _samples(category, user)],
    }


def _id(category: str, review: RawReview) -> str:
    return f"{category}/{review.user_id}/{review.item_id}"


def _review(category: str, review: RawReview) -> dict[str, Any]:
    return {
        "review_id": _id(category, review),
        "category": category,
        "user_id": review.user_id,
        "item_id": review.item_id,
        "rating": review.rating,
        "title": collapse(review.title),
        "text": collapse(review.text),
        "timestamp": review.timestamp,
    }


def _samples(category: str, user: UserReviews) -> Iterator[dict[str, Any]]:
    ids = [_id(category, review) for review in (*user.inputs, *user.profile)]
    for place, (review, split) in enumerate(zip(user.inputs, user.splits(), strict=True)):
        yield {
            "sample_id": ids[place],
            "split": split,
            "category": category,
            "user_id": review.user_id,
            "item_id": review.item_id,
            "review_id": ids[place],
            "history": ids[place + 1 :],
        }


def _source(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": digest}
