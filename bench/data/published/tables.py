"""The tables of a dataset, made from the samples of a published benchmark.

A published sample brings its own history, so one review occurs in many histories; in the tables it occurs once. The
files `dpl` and `lamp` read the benchmarks' layouts.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.data.folder import merge, parquet
from bench.data.folder.writing import scratch_folder
from bench.errors import UserError
from bench.types import Split


@dataclass(frozen=True, slots=True)
class Written:
    """A text that a user wrote on an item, as published."""

    user_id: str
    item_id: str
    item_title: str
    description: str
    rating: float
    title: str
    text: str
    timestamp: int | None


@dataclass(frozen=True, slots=True)
class Published:
    """A sample as published, its history in any order.

    A sample that is not `drawn` is left out, but its target still counts as held out.
    """

    split: Split
    target: Written
    history: Sequence[Written]
    drawn: bool = True


@dataclass(slots=True)
class Tables:
    """The tables of one category, filled sample by sample. `noted` counts what was left out or missing."""

    category: str
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    reviews: dict[str, dict[str, Any]] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    noted: Counter[str] = field(default_factory=Counter)
    _rows: dict[str, int] = field(default_factory=dict)
    _by_row: list[dict[str, Any]] = field(default_factory=list)

    def add(self, sample: Published) -> None:
        """Adds a sample. What cannot be used is left out and counted in `noted`."""
        target, time = sample.target, sample.target.timestamp
        if not target.text.strip():
            self.noted["samples without a text left out"] += 1
            return
        usable = [past for past in sample.history if past.text.strip()]
        older = [past for past in usable if time is None or past.timestamp is None or past.timestamp <= time]
        self.noted["past texts that are blank left out"] += len(sample.history) - len(usable)
        self.noted["past texts newer than their target left out"] += len(usable) - len(older)
        if any(past.timestamp is None for past in older):
            self.noted["samples with past texts that have no time: these come last, in the order of the file"] += 1
        review = self._review(target)
        history = list(dict.fromkeys(row for row in map(self._review, newest_first(older)) if row != review))
        if sample.split != "train":
            self._by_row[review]["held_out"] = True
        if sample.drawn:
            self._sample(sample.split, target, review, history)

    def _sample(self, split: Split, target: Written, review: int, history: list[int]) -> None:
        ids = {"category": self.category, "user_id": target.user_id, "item_id": target.item_id}
        sample_id = f"{split}/{self.category}/{target.user_id}/{target.item_id}"
        self.samples.append({"sample_id": sample_id, "split": split, **ids, "review": review, "history": history})

    def _review(self, written: Written) -> int:
        """The row number of a review, which is added if it is new. A user may have several texts on one item."""
        review_id = f"{self.category}/{written.user_id}/{written.item_id}"
        row = {
            "category": self.category, "user_id": written.user_id, "item_id": written.item_id,
            "rating": written.rating, "title": written.title, "text": written.text, "timestamp": written.timestamp,
        }  # fmt: skip
        while (known := self.reviews.get(review_id)) is not None:
            if all(known[key] == value for key, value in row.items()):
                return self._rows[review_id]
            review_id += "+"
        self.items.setdefault(
            written.item_id,
            {"category": self.category, "item_id": written.item_id}
            | {"title": written.item_title, "description": written.description},
        )
        self._rows[review_id] = len(self._by_row)
        self.reviews[review_id] = {"review_id": review_id, **row, "held_out": False}
        self._by_row.append(self.reviews[review_id])
        return self._rows[review_id]

    def shared_items(self) -> int:
        """How many items more than one user wrote on. With none, nobody has peers."""
        users: dict[str, set[str]] = {}
        for row in self.reviews.values():
            users.setdefault(row["item_id"], set()).add(row["user_id"])
        return sum(len(found) > 1 for found in users.values())

    def rows(self, table: str) -> Iterable[dict[str, Any]]:
        """The rows of a table that `bench.data.folder.parquet` names."""
        if table in parquet.SPLITS:
            return [row for row in self.samples if row["split"] == table]
        return self.items.values() if table == "items" else self.reviews.values()


def newest_first(history: Sequence[Written]) -> list[Written]:
    """Sorts by time; equal times stay as published, and so do texts without a time, after all others."""
    return sorted(history, key=lambda past: -(float("-inf") if past.timestamp is None else past.timestamp))


def write(
    out: Path, tables: Tables, *, files: Sequence[tuple[str, Path]], split: str, published: dict[str, Any]
) -> str:
    """Writes a category into the dataset folder `out`. Returns the dataset's fingerprint.

    dataset.json gets the (name, path) of the `files` that were read, how the samples were `split`, and `published`.
    Raises UserError where no sample is left or the folder cannot be used.
    """
    merge.check_category(out, tables.category)
    if not tables.samples:
        raise UserError(f"{tables.category} has no sample that can be used; check the files of its splits")
    _number_repeated(tables)
    with scratch_folder(out) as scratch:
        digests = {table: _write_table(scratch / f"{table}.parquet", table, tables) for table in parquet.TABLES}
        entries = {
            "counts": counts(tables),
            "published": published,
            "sources": [source(name, path) for name, path in files],
            "split": split,
            "digests": digests,
        }
        return merge.add_category(out, tables.category, scratch, entries)


def _write_table(path: Path, table: str, tables: Tables) -> str:
    import pyarrow as pa

    try:
        return parquet.write(path, table, _batches(table, tables.rows(table)))
    except (
        pa.ArrowException,
        ValueError,
        TypeError,
        OverflowError,
    ) as error:  # another type, half a surrogate pair
        what = " ".join(str(error).split())
        raise UserError(f"{tables.category}, {table}: a value cannot be kept ({what}); correct the files") from error


def counts(tables: Tables) -> dict[str, int]:
    """Users, items, reviews, and the samples of each split."""
    splits = Counter(row["split"] for row in tables.samples)
    users = len({row["user_id"] for row in tables.reviews.values()})
    sizes = {"users": users, "items": len(tables.items), "reviews": len(tables.reviews)}
    return {**sizes, **{split: splits[split] for split in parquet.SPLITS}}


def source(name: str, path: Path) -> dict[str, Any]:
    """Name, size and sha256 of a file that was read."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"file": name, "bytes": path.stat().st_size, "sha256": digest}


def _number_repeated(tables: Tables) -> None:
    """Makes sample ids unique: of several samples by one user on one item, the second gets `#2`, and so on."""
    seen: Counter[str] = Counter()
    for row in tables.samples:
        seen[row["sample_id"]] += 1
        if seen[row["sample_id"]] > 1:
            row["sample_id"] += f"#{seen[row['sample_id']]}"


def _batches(table: str, rows: Iterable[dict[str, Any]]) -> Iterator[Any]:
    import pyarrow as pa

    columns = parquet.schema(table)
    held = list(rows)
    for start in range(0, len(held), parquet.GROUP):
        yield pa.RecordBatch.from_pylist(held[start : start + parquet.GROUP], columns)
