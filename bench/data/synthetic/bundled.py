"""Writes the bundled corpus: synthetic users with known habits, to try the suite without a download.

    python -m bench.data.synthetic.bundled [FOLDER]

writes it again, byte for byte. bundled/README.md says which habits are planted and what scores on it cannot show.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.data.folder import jsonl
from bench.data.folder.manifest import counts, split_definition
from bench.data.folder.rows import TABLES
from bench.data.synthetic.prose import Habits, Impression, Phrases, compose_text, compose_title, draw_habits, rate

BUNDLED = Path(__file__).parents[1] / "bundled"
PHRASES = BUNDLED / "phrases.toml"
SEED = 20260101
CATEGORIES = ("Board_Games", "Coffee", "Headphones")

N_USERS = 24
N_COMMON_ITEMS = 20
TRAIN_INPUTS = 3
# The users of each rare item; rare items follow the common ones. Their reviews have 0, 1, 2 and 3 peers.
RARE = ({1}, {2, 3}, {4, 5, 6}, {7, 8, 9, 10})
# Place of the rare item in a user's reviews, newest first: the newest that is never held out.
RARE_PLACE = TRAIN_INPUTS + 2
DAY = 24 * 3600
NEWEST = 1_735_689_600  # 2025-01-01, seconds since 1970

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WorldItem:
    """An item and the hidden quality of each of its aspects, -1..1."""

    row: Row
    fact: str
    quality: dict[str, float]


def main(folder: Path = BUNDLED) -> None:
    """Writes the dataset, and habits.json with the habits of its users, which the suite never reads."""
    source = PHRASES.read_bytes()
    phrases = tomllib.loads(source.decode())
    rng = random.Random(SEED)
    tables: dict[str, list[Row]] = {table: [] for table in TABLES}
    planted: dict[str, dict[str, Row]] = {}
    for category in CATEGORIES:
        items = list(_items(rng, category, phrases[category]))
        tables["items"] += [item.row for item in items]
        planted[category] = {}
        for number in range(1, N_USERS + 1):
            habits = draw_habits(rng, phrases["habits"], list(phrases[category]["aspects"]))
            reviews = list(_reviews(rng, category, number, habits=habits, items=items, phrases=phrases))
            tables["reviews"] += reviews
            tables["samples"] += samples_of(reviews)
            planted[category][reviews[0]["user_id"]] = asdict(habits)
    jsonl.write(folder, _manifest(tables, hashlib.sha256(source).hexdigest()), tables)
    (folder / "habits.json").write_text(f"{json.dumps(planted, indent=1)}\n", "utf-8")


def _manifest(tables: Mapping[str, list[Row]], source: str) -> Row:
    own = {
        "thresholds": {},
        "sources": [{"file": PHRASES.name, "sha256": source}],
        "split": split_definition(TRAIN_INPUTS),
    }
    return {
        "name": "bundled",
        "title": "synthetic reviews of users with planted habits, 3 categories: to try things out, not for findings",
        "synthetic": True,
        "categories": list(CATEGORIES),
        "counts": counts(tables),
        **{key: dict.fromkeys(CATEGORIES, value) for key, value in own.items()},
    }


def _items(rng: random.Random, category: str, phrases: Phrases) -> Iterator[WorldItem]:
    for number, (name, fact) in enumerate(phrases["things"], 1):
        quality = draw_quality(rng, phrases["aspects"])
        sentences = [rng.choice(phrases["descriptions"]), *rng.sample(phrases["details"], rng.randrange(3))]
        words = {key: rng.choice(values) for key, values in phrases.items() if is_choice(values)}
        row = {
            "category": category,
            "item_id": f"i{number:02}",
            "title": name,
            "description": " ".join(sentences).format_map({**words, "name": name, "fact": fact}),
        }
        yield WorldItem(row, fact, quality)


def draw_quality(rng: random.Random, aspects: Iterable[str]) -> dict[str, float]:
    """The hidden quality of an item's aspects, -1..1."""
    base = rng.uniform(-0.5, 0.5)
    return {aspect: min(1.0, max(-1.0, base + rng.uniform(-0.8, 0.8))) for aspect in aspects}


def is_choice(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _n_reviews(rng: random.Random, category: str, number: int) -> int:
    """Most users have 12 to 16. Three of each category have few, and one user of all has only a val target."""
    few = {N_USERS - 2: 6, N_USERS - 1: 5, N_USERS: 1 if category == CATEGORIES[0] else 4}
    return few.get(number) or rng.randint(12, 16)


def _reviews(
    rng: random.Random,
    category: str,
    number: int,
    *,
    habits: Habits,
    items: list[WorldItem],
    phrases: Mapping[str, Any],
) -> Iterator[Row]:
    """One user's reviews, newest first."""
    chosen = rng.sample(items[:N_COMMON_ITEMS], _n_reviews(rng, category, number))
    for item, users in zip(items[N_COMMON_ITEMS:], RARE, strict=True):
        if number in users:
            chosen[RARE_PLACE] = item
    time = NEWEST - rng.randrange(300 * DAY)
    for item in chosen:
        felt = {aspect: quality + rng.uniform(-0.3, 0.3) for aspect, quality in item.quality.items()}
        words = {"name": item.row["title"], "fact": item.fact, "who": habits.companion, "very": habits.adverb}
        impression = Impression(felt, rate(habits, felt), words)
        yield {
            "review_id": f"{category}/u{number:02}/{item.row['item_id']}",
            "category": category,
            "user_id": f"u{number:02}",
            "item_id": item.row["item_id"],
            "rating": impression.rating,
            "title": compose_title(rng, phrases["titles"], habits, impression),
            "text": compose_text(rng, phrases[category], habits, impression).text,
            "timestamp": time * 1000,
        }
        time -= rng.randrange(20 * DAY, 160 * DAY)


def samples_of(reviews: list[Row]) -> Iterator[Row]:
    """Test and val, then train samples while two older reviews remain. A user's only review is a val target."""
    ids = [review["review_id"] for review in reviews]
    splits = ["test", "val", *["train"] * min(TRAIN_INPUTS, len(ids) - 4)] if len(ids) > 1 else ["val"]
    for place, split in enumerate(splits):
        target = {key: reviews[place][key] for key in ("category", "user_id", "item_id", "review_id")}
        yield {"sample_id": ids[place], "split": split, **target, "history": ids[place + 1 :]}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
