"""Finds, and drops, the targets of a build that a method could copy: their text stands in what it may read.

That is what `bench data validate` looks for: the user's own history, and other users' reviews of the items in it and
of the target's item, but not those that are held out.
"""

from __future__ import annotations

from bench.data.build.database import Database
from bench.data.leaks import SHORTEST, Openings, openings, plain

ROWS = 2000  # texts at once: some megabytes


def find(database: Database) -> dict[str, int]:
    """split -> the number of such targets in `final`. They are in `leaked`."""
    _make_plain(database)
    _find_openings(database)
    database.run(_LEAKED)
    database.run("DROP TABLE plain_texts; DROP TABLE carries")
    return dict(database.rows(_BY_SPLIT))


def drop(database: Database) -> int:
    """Takes such targets out of `final`, whose positions count from 0 again. Returns their number."""
    found = sum(find(database).values())
    database.run("""CREATE TABLE clean AS
        SELECT * REPLACE (row_number() OVER (ORDER BY position)::INTEGER - 1 AS position)
        FROM final ANTI JOIN leaked USING (position)""")
    database.run("DROP TABLE final; ALTER TABLE clean RENAME TO final")
    database.run("DELETE FROM used WHERE item NOT IN (SELECT item FROM final)")
    database.run("DELETE FROM review_texts WHERE (file, number) NOT IN (SELECT (file, number) FROM final)")
    return found


def _make_plain(database: Database) -> None:
    """`plain_texts`: the plain text of every review, with the opening of those that are targets."""
    import numpy as np
    import pyarrow as pa

    database.run("CREATE TABLE plain_texts (position INTEGER, plain VARCHAR, opening UBIGINT)")
    query = "SELECT position, text, place IS NOT NULL AS target FROM final JOIN review_texts USING (file, number)"
    for batch in database.connection.cursor().sql(query).to_arrow_reader(ROWS):
        words = [plain(text) for text in batch["text"].to_pylist()]
        asked = batch["target"].to_numpy(zero_copy_only=False) & np.array([len(one) >= SHORTEST for one in words], bool)
        hashes = np.zeros(len(words), np.uint64)
        hashes[asked] = openings(one for one, is_asked in zip(words, asked, strict=True) if is_asked)
        columns = {"position": batch["position"], "plain": words, "opening": pa.array(hashes, mask=~asked)}
        _insert(database, "plain_texts", pa.table(columns))


def _find_openings(database: Database) -> None:
    """`carries`: which openings are in which review's text."""
    import pyarrow as pa

    query = "SELECT opening FROM plain_texts WHERE opening IS NOT NULL"
    known = Openings(database.connection.execute(query).fetchnumpy()["opening"])
    database.run("CREATE TABLE carries (position INTEGER, opening UBIGINT)")
    texts = database.connection.cursor().sql("SELECT position, plain FROM plain_texts").to_arrow_reader(ROWS)
    for batch in texts:
        positions = batch["position"].to_pylist()
        found = known.within(batch["plain"].to_pylist())
        columns = {
            "position": pa.array([positions[place] for place, _ in found], pa.int32()),
            "opening": pa.array([hash_ for _, hash_ in found], pa.uint64()),
        }
        _insert(database, "carries", pa.table(columns))


def _insert(database: Database, table: str, rows: object) -> None:
    database.connection.register("some_rows", rows)
    database.run(f"INSERT INTO {table} SELECT * FROM some_rows")
    database.connection.unregister("some_rows")


_LEAKED = """
    CREATE TEMP TABLE leaked AS
    WITH targets AS (SELECT position, person, plain, opening FROM final JOIN plain_texts USING (position)
            WHERE opening IS NOT NULL),
        others AS (SELECT final.position, person, item, place, plain, carries.opening
            FROM carries JOIN final USING (position) JOIN plain_texts USING (position)),
        own AS (SELECT targets.position FROM targets JOIN others USING (opening, person)
            WHERE others.position > targets.position AND contains(others.plain, targets.plain)),
        peers AS (SELECT targets.position FROM targets JOIN others USING (opening)
            JOIN final AS past ON past.person = targets.person AND past.item = others.item
            WHERE others.person <> targets.person AND coalesce(others.place > 2, true)
                AND past.position >= targets.position AND contains(others.plain, targets.plain))
    SELECT DISTINCT position FROM (FROM own UNION ALL FROM peers)
"""
_BY_SPLIT = """
    SELECT CASE place WHEN 1 THEN 'test' WHEN 2 THEN 'val' ELSE 'train' END AS split, count(*)
    FROM leaked JOIN final USING (position) GROUP BY split ORDER BY min(place)
"""
