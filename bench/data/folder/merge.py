"""Adds a category to a dataset folder, or replaces it there; the folder's other categories stay."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data.folder import manifest, parquet, writing
from bench.errors import UserError
from bench.record import files

# Entries of dataset.json with a value per category: from `steps` to `copyable` where the category was built,
# `published` where it was imported.
PER_CATEGORY = ("counts", "steps", "thresholds", "order", "copyable", "published", "sources", "split", "digests")


def check_category(out: Path, category: str) -> list[str]:
    """The other categories that `out` holds. Raises UserError for a folder or a name that cannot be used."""
    if not manifest.is_folder_name(category):
        raise UserError(f"category {category!r}: give it a name without / or \\, e.g. Digital_Music")
    writing.check_writable(out)
    return [name for name in _present(out)["categories"] if name != category]


def add_category(out: Path, category: str, scratch: Path, entries: Mapping[str, Any]) -> str:
    """Moves the Parquet tables of a category from `scratch` into `out` and returns the dataset's new fingerprint.

    `entries` are the category's own values of `PER_CATEGORY`. Several processes may add categories to one folder at
    the same time. Raises UserError for a folder that cannot be used.
    """
    with files.locked(out / ".lock"):  # each process must see what the others have added
        merged = _merged(_present(out), category, entries)
        (out / category).mkdir(exist_ok=True)
        moves = [(scratch / f"{name}.parquet", out / category / f"{name}.parquet") for name in parquet.TABLES]
        writing.move_into_place(out, scratch, merged, moves)
        fingerprint: str = merged["fingerprint"]
        return fingerprint


def _merged(present: Mapping[str, Any], category: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """dataset.json with the entries of one category added or replaced."""
    others = {name: {key: present.get(key, {}).get(name) for key in PER_CATEGORY} for name in present["categories"]}
    categories = {**others, category: entries}
    names = sorted(categories)
    by_key = {
        key: {name: value for name in names if (value := categories[name].get(key)) is not None} for key in PER_CATEGORY
    }
    return {
        "format": manifest.PARQUET,
        "name": "+".join(names),
        "title": f"{'+'.join(names)}: {_origin(names, by_key)}",
        "synthetic": False,
        "categories": names,
        **by_key,
        "fingerprint": parquet.fingerprint(by_key["digests"]),
    }


def _origin(categories: Sequence[str], by_key: Mapping[str, Mapping[str, Any]]) -> str:
    """Where a dataset comes from, with the thresholds that a reader asks for first."""
    rules: list[Any] = [by_key["thresholds"].get(name) for name in categories]
    if not all(rules):
        return "published samples" if not any(rules) else "published samples, and reviews chosen by `bench data build`"
    if len({json.dumps(rule, sort_keys=True) for rule in rules}) > 1:  # as JSON: a file has lists in place of tuples
        return "raw reviews, each category by rules of its own"
    one = rules[0]
    chosen = f" where {' '.join(one['where'].split())}," if one.get("where") else ""
    leaks = ", targets kept that can be copied" if any(by_key["copyable"].values()) else ""
    return (
        f"raw reviews{chosen} of at least {one['min_chars']} characters, "
        f"users of at least {one['min_user_reviews']} reviews, items of at least {one['min_item_users']} users{leaks}"
    )


def _present(out: Path) -> dict[str, Any]:
    """dataset.json of the folder, or one without categories where the folder is new."""
    if not (out / manifest.MANIFEST).exists():
        return {"categories": []}
    found = manifest.read_manifest(out)
    if found["synthetic"]:
        raise UserError(f"{out} holds the synthetic dataset '{found['name']}'; choose another folder")
    if found["format"] != manifest.PARQUET:
        raise UserError(f"{out} holds '{found['name']}' as JSON lines, which is not added to; choose another folder")
    if odd := [key for key in PER_CATEGORY if not isinstance(found.get(key, {}), dict)]:
        raise UserError(f"{out / manifest.MANIFEST}: '{odd[0]}' must have an entry a category; build it again")
    return found
