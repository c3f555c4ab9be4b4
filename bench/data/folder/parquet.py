"""The dataset format made of Parquet files, which `bench data build` and `bench data import` write.

    dataset.json            see `bench.data.folder.manifest`; it also has the digest of every table
    CATEGORY/items.parquet  category, item_id, title, description
    CATEGORY/reviews.parquet  review_id, category, user_id, item_id, rating, title, text, timestamp, held_out (true:
                            nobody has this review as a peer's)
    CATEGORY/{train,val,test}.parquet  sample_id, split, category, user_id, item_id, review (the target's row in
                            reviews.parquet, from 0), history (rows there, newest first)

A digest is of the content, column by column, so it is the same whatever library or compression wrote the file. The
dataset's fingerprint is the sha256 of all digests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.folder.manifest import check_fingerprint
from bench.data.folder.rows import Row, Stored, check_row
from bench.errors import UserError
from bench.record.files import check_regular

if TYPE_CHECKING:
    import pyarrow as pa

GROUP = 20_000  # rows of a row group
SPLITS = ("train", "val", "test")
TABLES = ("items", "reviews", *SPLITS)

Digests = Mapping[str, Mapping[str, str]]  # category -> table -> digest


def schema(table: str) -> pa.Schema:
    """The columns of a table."""
    import pyarrow as pa

    text = pa.string()
    if table == "items":
        return pa.schema([(name, text) for name in ("category", "item_id", "title", "description")])
    if table == "reviews":
        ids = [(name, text) for name in ("review_id", "category", "user_id", "item_id")]
        written = [("rating", pa.float64()), ("title", text), ("text", text), ("timestamp", pa.int64())]
        return pa.schema([*ids, *written, ("held_out", pa.bool_())])
    ids = [(name, text) for name in ("sample_id", "split", "category", "user_id", "item_id")]
    return pa.schema([*ids, ("review", pa.int32()), ("history", pa.list_(pa.int32()))])


def write(path: Path, table: str, batches: Iterable[pa.RecordBatch]) -> str:
    """Writes one table and returns its digest. The bytes do not depend on how the rows are cut into batches."""
    import pyarrow.parquet as pq

    columns = schema(table)
    digest = Digest(columns)
    with pq.ParquetWriter(path, columns, compression="zstd") as writer:
        for group in _groups(batches, columns):
            digest.update(group)
            writer.write_table(group, row_group_size=GROUP)
    return digest.hexdigest()


def fingerprint(digests: Digests) -> str:
    """The fingerprint of a dataset, from the digests of its tables."""
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def read(folder: Path, manifest: dict[str, Any]) -> Stored:
    """All rows of a dataset, as `jsonl.read` gives them: a history is a list of review ids.

    Raises UserError naming file, row and what was found there.
    """
    tables: dict[str, list[Row]] = {"items": [], "reviews": [], "samples": []}
    digests: dict[str, dict[str, str]] = {}
    for category in manifest["categories"]:
        digests[category] = {}
        ids: list[str] = []
        for name in TABLES:
            path = folder / category / f"{name}.parquet"
            content, digests[category][name] = _content(path, name)
            rows = [Row(f"{path} row {number}", values) for number, values in enumerate(content, 1)]
            if name == "reviews":
                ids = [row.values["review_id"] for row in rows]
            target = tables["samples" if name in SPLITS else name]
            target.extend(_with_review_ids(rows, ids) if name in SPLITS else rows)
    found = fingerprint(digests)
    check_fingerprint(folder, manifest, found)
    for name, rows in tables.items():
        for row in rows:
            check_row(row.where, row.values, name)
    return Stored(manifest, found, tables)


def _content(path: Path, name: str) -> tuple[list[dict[str, Any]], str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        raise UserError(f"{path} does not exist; run `bench data build` again")
    check_regular(path, "put the file itself there")
    columns = schema(name)
    digest, rows = Digest(columns), list[dict[str, Any]]()
    try:
        with pq.ParquetFile(path) as file:
            if file.schema_arrow.names != columns.names:
                expected = ", ".join(columns.names)
                raise UserError(f"{path}: columns {expected} are expected; run `bench data build` again")
            for group in _groups(file.iter_batches(GROUP), columns):
                digest.update(group)
                rows.extend(group.to_pylist())
    except (OSError, ValueError, pa.ArrowException) as error:
        what = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read ({what}); copy it or run `bench data build` again") from error
    return rows, digest.hexdigest()


def _with_review_ids(rows: Iterable[Row], ids: list[str]) -> Iterator[Row]:
    """Samples with review ids in place of row numbers. A number that is no row becomes `row NUMBER`."""

    def review_id(place: Any) -> Any:
        return ids[place] if isinstance(place, int) and 0 <= place < len(ids) else f"row {place}"

    for row in rows:
        values = row.values
        values["review_id"] = review_id(values.pop("review"))
        values["history"] = [review_id(place) for place in values["history"] or ()]
        yield row


def _groups(batches: Iterable[pa.RecordBatch], columns: pa.Schema) -> Iterator[pa.Table]:
    """Tables of GROUP rows, the last one smaller."""
    import pyarrow as pa

    held, size = list[pa.RecordBatch](), 0
    for batch in batches:
        held.append(batch.cast(columns))
        size += batch.num_rows
        while size >= GROUP:
            whole = pa.Table.from_batches(held, columns)
            yield whole.slice(0, GROUP).combine_chunks()
            held, size = whole.slice(GROUP).to_batches(), size - GROUP
    if size:
        yield pa.Table.from_batches(held, columns).combine_chunks()


class Digest:
    """sha256 of a table's content: per column its values, the lengths of texts and lists, and which values are null."""

    def __init__(self, columns: pa.Schema) -> None:
        self._columns = {field.name: hashlib.sha256(str(field).encode()) for field in columns}

    def update(self, group: pa.Table) -> None:
        for name, column in zip(group.column_names, group.columns, strict=True):
            for part in _parts(column):
                self._columns[name].update(part)

    def hexdigest(self) -> str:
        return hashlib.sha256(b"".join(column.digest() for column in self._columns.values())).hexdigest()


def _parts(column: pa.ChunkedArray) -> Iterator[bytes]:
    """The bytes of a column that are hashed."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    yield np.packbits(np.asarray(column.is_null())).tobytes()
    if pa.types.is_list(column.type):
        yield np.asarray(pc.list_value_length(column).fill_null(0)).astype("<i8").tobytes()
        yield np.asarray(pc.list_flatten(column).fill_null(0)).astype("<i8").tobytes()
    elif pa.types.is_string(column.type):
        filled = column.fill_null("")
        yield np.asarray(pc.binary_length(filled)).astype("<i8").tobytes()
        yield "".join(filled.to_pylist()).encode()
    else:
        kind = "<f8" if pa.types.is_floating(column.type) else "<i8"
        zero = pa.scalar(0, pa.int8()).cast(column.type)
        yield np.asarray(column.fill_null(zero)).astype(kind).tobytes()
