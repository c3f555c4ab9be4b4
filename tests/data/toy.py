"""Small inputs, written without the code under test."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]


def write_lines(path: Path, rows: Iterable[Mapping[str, Any] | str]) -> Path:
    """One row a line; a str is written as it stands."""
    text = "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    if path.suffix == ".zst":
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(text.encode())
    else:
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def read_lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def read_table(folder: Path, table: str) -> list[Row]:
    """Rows of `items`, `reviews` or `samples` over all categories, with review ids for row numbers."""
    splits = ("test", "val", "train") if table == "samples" else (table,)
    rows = []
    for category in sorted(path for path in folder.iterdir() if path.is_dir()):
        ids = pq.read_table(category / "reviews.parquet")["review_id"].to_pylist()
        for split in splits:
            for row in pq.read_table(category / f"{split}.parquet").to_pylist():
                if table == "samples":
                    row["review_id"] = ids[row.pop("review")]
                    row["history"] = [ids[place] for place in row["history"]]
                rows.append(row)
    return rows


FIRST = 1_600_000_000_000  # ms since 1970; toy times count from here


def raw(user: str, item: str, time: int | None, text: str = "", **more: Any) -> Row:
    """A raw review; its text names user and item unless given."""
    when = None if time is None else FIRST + time
    row = {"user_id": user, "asin": item, "rating": 4.0, "title": "Fine", "timestamp": when}
    return {**row, "text": text or f"{user} on {item}", **more}


def meta(item: str, **more: Any) -> Row:
    row = {"parent_asin": item, "title": f"Item {item}", "description": ["A thing"], "categories": ["All"]}
    return {**row, "rating_number": 5, **more}


# Two categories that share ids. In each, ann and bob reviewed i1; only in "A" is there a third user.
# category, user, item, time; every line is also a review id "A/ann/i1".
WRITTEN = [
    ("A", "ann", "i3", 40), ("A", "ann", "i2", 30), ("A", "ann", "i1", 10),
    ("A", "bob", "i1", 35), ("A", "bob", "i2", 20), ("A", "bob", "i3", 5),
    ("A", "cid", "i1", 15), ("A", "cid", "i2", None),
    ("B", "ann", "i1", 50), ("B", "bob", "i1", 45), ("B", "bob", "i2", 44),
]  # fmt: skip
SAMPLES = [
    ("test", "A/ann/i3", ["A/ann/i2", "A/ann/i1"]),
    ("val", "A/ann/i2", ["A/ann/i1"]),
    ("test", "A/bob/i1", ["A/bob/i2", "A/bob/i3"]),
    ("train", "A/bob/i2", ["A/bob/i3"]),
    ("train", "A/bob/i3", []),
    ("test", "B/bob/i1", ["B/bob/i2"]),
]


def toy_tables() -> dict[str, list[Row]]:
    items = sorted({(category, item) for category, _, item, _ in WRITTEN})
    return {
        "items": [{"category": c, "item_id": i, "title": f"{c} {i}", "description": ""} for c, i in items],
        "reviews": [
            {"review_id": f"{c}/{u}/{i}", "category": c, "user_id": u, "item_id": i}
            | {"rating": 3, "title": "So", "text": f"{u} wrote on {i} of {c}", "timestamp": t}
            for c, u, i, t in WRITTEN
        ],
        "samples": [
            {"sample_id": f"{split}:{target}", "split": split, "category": target.split("/")[0]}
            | {"user_id": target.split("/")[1], "item_id": target.split("/")[2]}
            | {"review_id": target, "history": history}
            for split, target, history in SAMPLES
        ],
    }


def write_toy(folder: Path, tables: Mapping[str, Iterable[Mapping[str, Any] | str]] | None = None, **more: Any) -> Path:
    """A dataset folder without a fingerprint, as somebody might write it by hand."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {"format": 1, "name": "toy", "title": "Toy", "synthetic": True, "categories": ["A", "B"], **more}
    (folder / "dataset.json").write_text(json.dumps(manifest))
    for table, rows in (toy_tables() if tables is None else tables).items():
        write_lines(folder / f"{table}.jsonl", rows)
    return folder
