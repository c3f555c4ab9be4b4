"""From the database's tables to the Parquet files of a category."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.console.meter import Meter
from bench.data.build.database import Database
from bench.data.build.raw_files import Source
from bench.data.folder import parquet


def write(database: Database, folder: Path, category: str, progress: Meter) -> dict[str, str]:
    """Writes every table. Returns table -> digest."""
    database.run("SET VARIABLE category = $category", category=category)
    database.run(_INPUTS)
    digests = {}
    progress.start("writing", len(parquet.TABLES))
    for table in parquet.TABLES:
        query = {"items": _ITEMS, "reviews": _REVIEWS}.get(table) or _SAMPLES.format(split=table)
        batches = database.connection.sql(query).to_arrow_reader(parquet.GROUP)
        digests[table] = parquet.write(folder / f"{table}.parquet", table, batches)
        progress.advance(1)
    return digests


def counts(database: Database) -> dict[str, int]:
    """Users, items, reviews, and the samples of each split."""
    samples = dict(database.rows("SELECT split, count(*) FROM samples GROUP BY split"))
    query = "SELECT count(DISTINCT person), count(DISTINCT item), count(*) FROM final"
    (sizes,) = database.rows(query)
    found = dict(zip(("users", "items", "reviews"), sizes, strict=True))
    return {**found, **{split: samples.get(split, 0) for split in parquet.SPLITS}}


def source(raw: Source) -> dict[str, Any]:
    """A raw file as dataset.json names it. Its folder is left out, so that it does not change the dataset."""
    return {"file": raw.path.name, "bytes": raw.size, "sha256": raw.digest}


_INPUTS = """
    CREATE TEMP VIEW samples AS
    SELECT *, CASE place WHEN 1 THEN 'test' WHEN 2 THEN 'val' ELSE 'train' END AS split
    FROM (SELECT *, max(position) OVER (PARTITION BY person) AS last FROM final) WHERE place IS NOT NULL
"""
_ITEMS = """
    SELECT getvariable('category') AS category, item_id, title, description
    FROM item_texts JOIN used USING (file, number) JOIN item_numbers USING (item) ORDER BY item
"""
_ID = "concat_ws('/', getvariable('category'), user_id, item_id)"
_REVIEWS = f"""
    SELECT {_ID} AS review_id, getvariable('category') AS category, user_id, item_id, rating, title, text, timestamp,
        coalesce(place <= 2, false) AS held_out
    FROM final JOIN review_texts USING (file, number) JOIN user_numbers USING (person) JOIN item_numbers USING (item)
    ORDER BY position
"""
_SAMPLES = f"""
    SELECT {_ID} AS sample_id, split, getvariable('category') AS category, user_id, item_id,
        position::INTEGER AS review, range(position + 1, last + 1)::INTEGER[] AS history
    FROM samples JOIN user_numbers USING (person) JOIN item_numbers USING (item)
    WHERE split = '{{split}}' ORDER BY position
"""
