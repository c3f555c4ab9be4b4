"""From the engine's tables to the Parquet files of a category."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.console.meter import Meter
from bench.data import parquet
from bench.data.build.engine import Engine
from bench.data.build.lines import Source


def write(sql: Engine, folder: Path, category: str, meter: Meter) -> dict[str, str]:
    """Writes every table; their digests."""
    sql.run("SET VARIABLE category = $category", category=category)
    sql.run(_INPUTS)
    digests = {}
    meter.start("writing", len(parquet.TABLES))
    for table in parquet.TABLES:
        query = {"items": _ITEMS, "reviews": _REVIEWS}.get(table) or _SAMPLES.format(split=table)
        batches = sql.connection.sql(query).to_arrow_reader(parquet.GROUP)
        digests[table] = parquet.write(folder / f"{table}.parquet", table, batches)
        meter.advance(1)
    return digests


def counts(sql: Engine) -> dict[str, int]:
    """Users, items, reviews, and the samples of each split."""
    samples = dict(sql.rows("SELECT split, count(*) FROM samples GROUP BY split"))
    query = "SELECT count(DISTINCT person), count(DISTINCT item), count(*) FROM final"
    (sizes,) = sql.rows(query)
    found = dict(zip(("users", "items", "reviews"), sizes, strict=True))
    return {**found, **{split: samples.get(split, 0) for split in parquet.SPLITS}}


def source(raw: Source) -> dict[str, Any]:
    """Which file a dataset was built from. Its folder is left out: it changes nothing."""
    return {"file": raw.path.name, "bytes": raw.size, "sha256": raw.digest}


_INPUTS = """
    CREATE TEMP VIEW samples AS
    SELECT *, CASE place WHEN 1 THEN 'test' WHEN 2 THEN 'val' ELSE 'train' END AS split
    FROM (SELECT *, max(position) OVER (PARTITION BY person) AS last FROM final) WHERE place IS NOT NULL
"""
_ITEMS = """
    SELECT getvariable('category') AS category, item_id, title, description
    FROM labels JOIN used USING (file, number) JOIN goods USING (item) ORDER BY item
"""
_ID = "concat_ws('/', getvariable('category'), user_id, item_id)"
_REVIEWS = f"""
    SELECT {_ID} AS review_id, getvariable('category') AS category, user_id, item_id, rating, title, text, timestamp,
        coalesce(place <= 2, false) AS held_out
    FROM final JOIN texts USING (file, number) JOIN people USING (person) JOIN goods USING (item) ORDER BY position
"""
_SAMPLES = f"""
    SELECT {_ID} AS sample_id, split, getvariable('category') AS category, user_id, item_id,
        position::INTEGER AS review, range(position + 1, last + 1)::INTEGER[] AS history
    FROM samples JOIN people USING (person) JOIN goods USING (item) WHERE split = '{{split}}' ORDER BY position
"""
