"""The rules as the released builder applies them: `datasets` row by row, membership in a list, dictionaries of lists.

A re-creation of the way, not of the code: one process, only the filters up to the core, and duplicates removed once as
here, so that both results can be compared. A step that takes longer than its cap is stopped and its time is
extrapolated from the share it had done; what comes after it then counts as nothing: a lower bound.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.data.rules import Rules

Row = dict[str, Any]


class Stopped(Exception):
    """A step was longer than its cap; `seconds` is what it would have taken."""

    def __init__(self, seconds: float, done: float) -> None:
        super().__init__(f"a step was stopped with {done:.1%} done")
        self.seconds = seconds


def kept(reviews: Path, meta: Path, rules: Rules, cap: float) -> tuple[int, float, str]:
    """(Reviews in the core, 0 where stopped; seconds; a note on what was stopped)."""
    import datasets

    datasets.disable_progress_bars()
    datasets.disable_caching()
    begin = time.perf_counter()
    try:
        items = _table(meta, ("parent_asin", "description", "rating_number"))
        asins = list(items.filter(lambda item: _described(item, rules))["parent_asin"])
        found = _table(reviews, ("user_id", "parent_asin", "title", "text", "rating", "timestamp"))
        found = found.filter(lambda row: len(row["text"]) >= rules.min_chars and bool(row["title"]))
        found = found.filter(_capped(lambda row: row["parent_asin"] in asins, len(found), cap))
        found = found.filter(_firsts(found))
        found = _core(found, rules)
    except Stopped as stopped:
        return 0, time.perf_counter() - begin - cap + stopped.seconds, f"{stopped}: extrapolated, a lower bound"
    return len(found), time.perf_counter() - begin, "ran to its end"


def _table(path: Path, fields: tuple[str, ...]) -> Any:
    import datasets

    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return datasets.Dataset.from_list([{field: row[field] for field in fields} for row in rows])


def _described(item: Row, rules: Rules) -> bool:
    length = len(" ".join(item["description"]))
    return rules.min_description <= length <= rules.max_description and bool(item["rating_number"])


def _capped(wanted: Callable[[Row], bool], total: int, cap: float) -> Callable[[Row], bool]:
    begin, done = time.perf_counter(), 0

    def step(row: Row) -> bool:
        nonlocal done
        done += 1
        if (spent := time.perf_counter() - begin) > cap:
            raise Stopped(spent * total / done, done / total)
        return wanted(row)

    return step


def _firsts(found: Any) -> Callable[[Row], bool]:
    """Whether a review is the newest of its user on its item, and the newest with its text."""
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
