"""Times of raw reviews in the database, decided together: `bench.data.time_column` on a table of any size.

Whole numbers are told apart by queries. The few other spellings are read one by one, each once.
"""

from __future__ import annotations

import time

from bench.data.build.database import Database
from bench.data.time_column import Times
from bench.data.times import FIRST, LAST, UNITS


def _in_unit(unit: str) -> str:
    times, by = UNITS[unit]
    return f"timestamp >= {FIRST * by // times} AND timestamp < {LAST * by // times}"


_DATES = "(timestamp BETWEEN 1990 AND 2099 OR timestamp BETWEEN 19900101 AND 20991231)"  # 2019, 20190305
_KIND = " ".join(f"WHEN {_in_unit(unit)} THEN '{unit}'" for unit in UNITS)
_MS = " ".join(f"WHEN {_in_unit(unit)} THEN timestamp * {times} // {by}" for unit, (times, by) in UNITS.items())
_SPELLED = f"CASE WHEN {_DATES} THEN timestamp::VARCHAR ELSE spelled END"


def settle(database: Database) -> Times:
    """Makes every `timestamp` of `raw_reviews` milliseconds since 1970, or NULL, and drops `spelled`."""
    times = _counted(database)
    numbers = not database.one("SELECT count_if(spelled <> '') FROM raw_reviews")
    if not (numbers and (times.only_order or set(times.counts) <= {"milliseconds", "missing"})):
        _rewrite(database, times)
    database.run("ALTER TABLE raw_reviews DROP spelled")
    return times


def _counted(database: Database) -> Times:
    times = Times()
    now = round(time.time() * 1000)
    kinds = f"""SELECT CASE {_KIND} WHEN timestamp IS NOT NULL THEN 'outside' WHEN spelled = '' THEN 'missing' END
            AS kind, count(*), any_value(timestamp), coalesce(count_if(CASE {_MS} END > {now}), 0)
        FROM raw_reviews WHERE NOT coalesce({_DATES}, false) GROUP BY kind HAVING kind IS NOT NULL ORDER BY kind"""
    for kind, n, example, future in database.rows(kinds):
        times.count(kind, n, example=example)
        times.future += future
        times.numbers_outside += n if kind == "outside" else 0
    others = f"SELECT {_SPELLED} AS other, count(*) FROM raw_reviews WHERE other <> '' GROUP BY other ORDER BY other"
    for other, n in database.rows(others):
        times.add(other, n)
    return times


def _rewrite(database: Database, times: Times) -> None:
    import pyarrow as pa

    found = [other for (other,) in database.rows(f"SELECT DISTINCT {_SPELLED} AS other FROM raw_reviews") if other]
    read = [(other, times.ms(other)) for other in found]
    columns = {"spelled": pa.array([one[0] for one in read], pa.string())}
    columns["ms"] = pa.array([one[1] for one in read], pa.int64())
    database.connection.register("read_times", pa.table(columns))
    number = "timestamp" if times.only_order else f"CASE {_MS} END"
    database.run(f"""CREATE TABLE settled AS
        SELECT raw.* REPLACE (CASE WHEN timestamp IS NULL OR {_DATES} THEN ms ELSE {number} END AS timestamp)
        FROM (SELECT * REPLACE ({_SPELLED} AS spelled) FROM raw_reviews) AS raw LEFT JOIN read_times USING (spelled)""")
    database.run("DROP TABLE raw_reviews; ALTER TABLE settled RENAME TO raw_reviews")
    database.connection.unregister("read_times")


def ties(database: Database) -> int:
    """Reviews of the dataset that have the time of another review by the same user."""
    same = "SELECT count(*) AS n FROM final WHERE timestamp IS NOT NULL GROUP BY person, timestamp HAVING n > 1"
    return int(database.one(f"SELECT coalesce(sum(n), 0) FROM ({same})"))
