"""Puts a category's written tables into a dataset folder, beside the categories that are already there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data import parquet, store
from bench.errors import UserError
from bench.record import files

# What dataset.json says of each category by itself: `steps` and `thresholds` where it was built, `published` else.
PER_CATEGORY = ("counts", "steps", "thresholds", "published", "sources", "split", "digests")


def check(out: Path, category: str) -> list[str]:
    """The other categories that `out` holds. Raises UserError for a folder or a name that cannot be used."""
    if not store.is_folder(category):
        raise UserError(f"category {category!r}: give it a name without / or \\, e.g. Digital_Music")
    store.check_writable(out)
    return [name for name in _held(out)["categories"] if name != category]


def put(out: Path, category: str, scratch: Path, own: Mapping[str, Any]) -> str:
    """Moves the tables of a category from `scratch` into `out`, in place of one of the same name; the fingerprint.

    `own` is what dataset.json says of the category (`PER_CATEGORY`). Others may put theirs at the same time.
    Raises UserError for a folder that cannot be used.
    """
    with files.locked(out / ".lock"):  # each must see what the others have put there
        held = _held(out)
        categories = sorted({*held["categories"], category})
        others = {name: {key: held.get(key, {}).get(name) for key in PER_CATEGORY} for name in held["categories"]}
        everything = {**others, category: own}
        parts = {
            key: {name: value for name in categories if (value := everything[name].get(key)) is not None}
            for key in PER_CATEGORY
        }
        fingerprint = parquet.fingerprint(parts["digests"])
        manifest = {
            "format": store.PARQUET,
            "name": "+".join(categories),
            "title": f"{'+'.join(categories)}: {_origin(categories, parts)}",
            "synthetic": False,
            "categories": categories,
            **parts,
            "fingerprint": fingerprint,
        }
        (out / category).mkdir(exist_ok=True)
        moves = [(scratch / f"{name}.parquet", out / category / f"{name}.parquet") for name in parquet.TABLES]
        store.finish(out, scratch, manifest, moves)
        return fingerprint


def _origin(categories: Sequence[str], parts: Mapping[str, Mapping[str, Any]]) -> str:
    """Where a dataset is from, and of its rules those that a reader asks for first."""
    rules: list[Any] = [parts["thresholds"].get(name) for name in categories]
    if not all(rules):
        return "published samples" if not any(rules) else "published samples, and reviews chosen by `bench data build`"
    if len({json.dumps(rule, sort_keys=True) for rule in rules}) > 1:  # those of a file have lists for tuples
        return "raw reviews, each category by rules of its own"
    one = rules[0]
    return (
        f"raw reviews of at least {one['min_chars']} characters, users of at least {one['min_user_reviews']} reviews, "
        f"items of at least {one['min_item_users']} users"
    )


def _held(out: Path) -> dict[str, Any]:
    """dataset.json of the folder, or one of no categories."""
    if not (out / store.MANIFEST).exists():
        return {"categories": []}
    manifest = store.read_manifest(out)
    if manifest["synthetic"]:
        raise UserError(f"{out} holds the synthetic dataset '{manifest['name']}'; choose another folder")
    if manifest["format"] != store.PARQUET:
        raise UserError(f"{out} holds '{manifest['name']}' as JSON lines, which is not added to; choose another folder")
    if odd := [key for key in PER_CATEGORY if not isinstance(manifest.get(key, {}), dict)]:
        raise UserError(f"{out / store.MANIFEST}: '{odd[0]}' must have an entry a category; build it again")
    return manifest
