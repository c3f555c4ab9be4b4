"""Applies the rules as the released builder does: `datasets` row by row, membership in a list, dictionaries of lists.

This re-creates its way of working, not its code: one process, only the filters up to the core. Duplicates are removed
once, as in `bench.data.build`, so that both results can be compared.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.data.build.rules import Rules

Row = dict[str, Any]


def kept(reviews: Path, meta: Path, rules: Rules) -> int:
    """The number of reviews in the core."""
    import datasets

    datasets.disable_progress_bars()
    datasets.disable_caching()
    items = _table(meta, ("parent_asin", "description", "rating_number"))
    asins = list(items.filter(lambda item: _described(item, rules))["parent_asin"])
    found = _table(reviews, ("user_id", "parent_asin", "title", "text", "rating", "timestamp"))
    found = found.filter(lambda row: len(row["text"]) >= rules.min_chars and bool(row["title"]))
    found = found.filter(lambda row: row["parent_asin"] in asins)
    return len(_core(found.filter(_firsts(found)), rules))


def _table(path: Path, fields: tuple[str, ...]) -> Any:
    import datasets

    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return datasets.Dataset.from_list([{field: row[field] for field in fields} for row in rows])


def _described(item: Row, rules: Rules) -> bool:
    length = len(" ".join(item["description"]))
    return rules.min_description <= length <= rules.max_description and bool(item["rating_number"])


def _firsts(found: Any) -> Callable[[Row], bool]:
    """A filter that keeps a user's newest review of an item and of a text."""
    users: dict[str, list[Row]] = defaultdict(list)

    def collect(row: Row) -> None:
        users[row["user_id"]].append(row)

    found.map(collect)
    chosen: set[tuple[str, str, int]] = set()
    for user, own in users.items():
        asins: set[str] = set()
        texts: set[str] = set()
        for row in sorted(own, key=lambda row: -int(row["timestamp"])):
            text = " ".join(row["text"].split())
            if row["parent_asin"] not in asins and text not in texts:
                asins.add(row["parent_asin"])
                texts.add(text)
                chosen.add((user, row["parent_asin"], row["timestamp"]))
    return lambda row: (row["user_id"], row["parent_asin"], row["timestamp"]) in chosen


def _core(found: Any, rules: Rules) -> Any:
    while True:
        users: dict[str, list[Row]] = defaultdict(list)
        asins: dict[str, set[str]] = defaultdict(set)

        def collect(row: Row, users: Any = users, asins: Any = asins) -> None:
            users[row["user_id"]].append(row)
            asins[row["parent_asin"]].add(row["user_id"])

        found.map(collect)
        for asin in list(asins):
            if len(asins[asin]) < rules.min_item_users:
                del asins[asin]
        for user in list(users):
            if not rules.min_user_reviews <= len(users[user]) <= rules.max_user_reviews:
                del users[user]
        smaller = found.filter(lambda row: row["parent_asin"] in asins and row["user_id"] in users)  # noqa: B023
        if len(smaller) == len(found):
            return found
        found = smaller
