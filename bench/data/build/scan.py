"""Two readings of raw files: the first keeps ids, times and verdicts, the second the lines that are left.

So the texts of most reviews, which no dataset will hold, are never stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.data.build.engine import Engine
from bench.data.build.lines import Source
from bench.data.build.raw import ITEM_IDS, Broken, mend
from bench.data.build.rules import Rules

if TYPE_CHECKING:
    import pyarrow as pa

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Reading:
    """The table that a reading fills: `columns` of `query` on the lines of a block.

    A line of which one of `ids` is blank (each a column, and the fields it comes from) cannot be used.
    """

    table: str
    query: str
    columns: str
    ids: Mapping[str, tuple[str, ...]]

    @property
    def usable(self) -> str:
        return " AND ".join(f"{column} <> ''" for column in self.ids)


REVIEW_IDS = {"user_id": ("user_id",), "item_id": ITEM_IDS}
WARE_IDS = {"item_id": ITEM_IDS}
TEXTS = ("title", "text")
REVIEWS_INSTEAD = "that are reviews"  # among the metadata: the wrong file was named
_WORDS = ("user_id", "parent_asin", "asin", *TEXTS)
_FIELDS = (*_WORDS, "rating", "timestamp", "source_order")
_WHOLE = "('UBIGINT', 'BIGINT')"
_NUMBER = "('UBIGINT', 'BIGINT', 'UHUGEINT', 'HUGEINT', 'DOUBLE')"
# Fields of which it is told how many have another type, in the order of the column `mistyped`.
TYPED = {**dict.fromkeys(TEXTS, "('VARCHAR')"), "rating": _NUMBER, "timestamp": _WHOLE}
_JSON = "SELECT file, number, line, CASE WHEN json_valid(line) THEN line END AS json FROM block"
_ITEM_ID = "coalesce(nullif(word(parent_asin), ''), word(asin)) AS item_id"


def _paths(*names: str) -> str:
    """JSON paths of fields as a list in SQL."""
    quoted = (name.replace("\\", "\\\\").replace('"', '\\"').replace("'", "''") for name in names)
    paths = ", ".join(f"'$.\"{name}\"'" for name in quoted)
    return f"[{paths}]"


def _field(name: str, kinds: str, value: str, other: str) -> str:
    place = _FIELDS.index(name) + 1
    found = value.format(f"found[{place}]")
    return f"CASE WHEN types[{place}] IN {kinds} THEN {found} ELSE {other} END AS {name}"


def _mistyped(name: str, kinds: str) -> str:
    place = _FIELDS.index(name) + 1
    return f"coalesce(types[{place}] NOT IN {kinds} AND types[{place}] <> 'NULL', false)"


_STRINGS = ", ".join(_field(name, "('VARCHAR')", "{}", "''") for name in _WORDS)
# Whatever is not of the type that a field should have counts as missing.
_REVIEWS = f"""
    SELECT file, number, line, word(user_id) AS user_id, {_ITEM_ID},
        CASE WHEN isfinite(rating) THEN rating END AS rating, title, text, timestamp, source_order, mistyped
    FROM (SELECT file, number, line, {_STRINGS},
            {_field("rating", _NUMBER, "TRY_CAST({} AS DOUBLE)", "NULL")},
            {_field("timestamp", _WHOLE, "TRY_CAST({} AS BIGINT)", "NULL")},
            {_field("source_order", _WHOLE, "TRY_CAST({} AS BIGINT)", "0")},
            [{", ".join(_mistyped(name, kinds) for name, kinds in TYPED.items())}] AS mistyped
        FROM (SELECT *, json_type(json, {_paths(*_FIELDS)}) AS types, json ->> {_paths(*_FIELDS)} AS found
            FROM ({_JSON})))
"""


def judged_reviews(rules: Rules) -> Reading:
    """The first reading: `seen`, with what a review lacks ('' for nothing) and a hash of its words.

    Spaces around the text make its ends like any other white space, so that nothing has to be trimmed.
    """
    titled = "blank(title)" if rules.require_review_title else "false"
    words = "hash(flat(padded))" if rules.dedupe_text else "NULL::UBIGINT"
    query = f"""
        SELECT *, CASE WHEN padded IS NULL OR blank(text) THEN 'with less than {max(rules.min_chars, 1)} characters'
            WHEN rating IS NULL THEN 'without a rating' WHEN {titled} THEN 'without a title' ELSE '' END AS lacks,
            {words} AS words
        FROM (SELECT *, CASE WHEN length(text) >= {rules.min_chars} THEN concat(' ', text, ' ') END AS padded
            FROM ({_REVIEWS}))
    """
    columns = "file, number, user_id, item_id, timestamp, source_order, lacks, words, mistyped"
    return Reading("seen", query, columns, REVIEW_IDS)


def judged_wares(rules: Rules) -> Reading:
    """The first reading of item metadata: `wares`, with what an item lacks ('' for nothing)."""
    shortest, longest = rules.min_description, rules.max_description
    lacking = " ".join(_lacking(place, name) for place, name in enumerate(rules.require, 1))
    names = _paths(*(rules.require or ("title",)))
    query = f"""
        SELECT *, CASE WHEN review THEN '{REVIEWS_INSTEAD}'
            WHEN length(description) NOT BETWEEN {shortest} AND {longest} THEN
            'without a description of {shortest} to {longest} characters' {lacking} ELSE '' END AS lacks
        FROM (SELECT *, json_extract(json, {names}) AS value, json_type(json, {names}) AS kind,
            coalesce(json_type(json, ['$.user_id', '$.text']) = ['VARCHAR', 'VARCHAR'], false) AS review
            FROM ({_WARES}))
    """
    return Reading("wares", query, "file, number, item_id, lacks", WARE_IDS)


def _lacking(place: int, name: str) -> str:
    """What Python calls false: null, nothing in it, or zero."""
    empty = "('null', '\"\"', '[]', '{}', 'false')"
    zero = f"kind[{place}] IN {_NUMBER} AND TRY_CAST(value[{place}] AS DOUBLE) = 0"
    escaped = name.replace("'", "''")
    return f"WHEN coalesce(value[{place}] IN {empty} OR ({zero}), true) THEN 'without {escaped}'"


_NAMES = ", ".join(
    f"CASE WHEN t[{place}] = 'VARCHAR' THEN v[{place}] ELSE '' END AS {name}"
    for place, name in enumerate(("parent_asin", "asin", "title"), 1)
)
# The description is the list joined with spaces, without the heading that opens some of them.
_WARES = f"""
    SELECT file, number, line, json, {_ITEM_ID}, title, CASE WHEN description[1] = 'Product Description'
        THEN array_to_string(description[2:], ' ') ELSE array_to_string(description, ' ') END AS description
    FROM (SELECT file, number, line, json,
            {_NAMES},
            CASE t[4] WHEN 'VARCHAR' THEN [v[4]] WHEN 'ARRAY' THEN list_transform(list_filter(
                json_extract(json, '$.description[*]'), lambda x: json_type(x) = 'VARCHAR'), lambda x: x ->> '$')
            ELSE [] END AS description
        FROM (SELECT *, json_type(json, {_paths("parent_asin", "asin", "title", "description")}) AS t,
                json ->> {_paths("parent_asin", "asin", "title", "description")} AS v FROM ({_JSON})))
"""
CHOSEN_REVIEWS = Reading(
    "texts",
    f"SELECT * REPLACE (collapse(title) AS title, collapse(text) AS text) FROM ({_REVIEWS})",
    "file, number, rating, title, text, timestamp",
    REVIEW_IDS,
)
CHOSEN_WARES = Reading(
    "labels",
    f"SELECT * REPLACE (collapse(title) AS title, collapse(description) AS description) FROM ({_WARES})",
    "file, number, title, description",
    WARE_IDS,
)


def read(engine: Engine, reading: Reading, sources: Sequence[Source], broken: Broken, advance: Advance) -> None:
    """Fills the table of a first reading; lines that had to be mended are kept in `{table}_mended`."""
    _create(engine, reading)
    engine.run(f"CREATE TABLE {reading.table}_mended (file INTEGER, number BIGINT, line VARCHAR)")
    for source in sources:
        for block in source.blocks(advance):
            odd = [*_take(engine, reading, block.table), *block.undecoded.items()]
            if mended := _mended(reading, source, sorted(odd, key=lambda row: row[0]), broken):
                _take(engine, reading, _table(source, mended))
                engine.run(f"INSERT INTO {reading.table}_mended SELECT * FROM block")


def reread(
    engine: Engine, reading: Reading, sources: Sequence[Source], *, chosen: str, mended: str, advance: Advance
) -> None:
    """Fills the table of a second reading with the lines that the table `chosen` names by file and number."""
    import numpy as np

    _create(engine, reading)
    for source in sources:
        query = f"SELECT number FROM {chosen} WHERE file = {source.index} ORDER BY number"
        numbers = engine.connection.execute(query).fetchnumpy()["number"]
        for block in source.blocks(advance):
            last = block.first + block.table.num_rows
            start, end = np.searchsorted(numbers, [block.first, last])
            if start < end:
                _take(engine, reading, block.table.take(numbers[start:end] - block.first))
    rows = f"SELECT file, number, line FROM {mended} SEMI JOIN {chosen} USING (file, number)"
    _take(engine, reading, engine.connection.sql(rows).to_arrow_table())


def _create(engine: Engine, reading: Reading) -> None:
    import pyarrow as pa

    kinds = [("file", pa.int32()), ("number", pa.int64()), ("line", pa.string())]
    engine.connection.register("block", pa.schema(kinds).empty_table())
    engine.run(f"CREATE TABLE {reading.table} AS SELECT {reading.columns} FROM ({reading.query})")


def _take(engine: Engine, reading: Reading, table: pa.Table) -> list[tuple[int, bytes | str]]:
    """Inserts a block's lines; (number, line) of those that cannot be used."""
    engine.connection.register("block", table)
    engine.run(f"""CREATE OR REPLACE TEMP TABLE staged AS
        SELECT {reading.columns}, {reading.usable} AS usable, CASE WHEN NOT usable THEN line END AS line
        FROM ({reading.query})""")
    engine.run(f"INSERT INTO {reading.table} SELECT {reading.columns} FROM staged WHERE usable")
    return engine.rows("SELECT number, line FROM staged WHERE NOT usable AND line IS NOT NULL")


def _mended(
    reading: Reading, source: Source, odd: Sequence[tuple[int, bytes | str]], broken: Broken
) -> list[tuple[int, str]]:
    mended = []
    for number, line in odd:
        if line.isspace():
            continue
        try:
            mended.append((number, mend(line, reading.ids.values())))
        except ValueError as error:
            broken.add(source.where(number), str(error), table=reading.table, line=line)
    return mended


def _table(source: Source, lines: Sequence[tuple[int, str]]) -> pa.Table:
    import pyarrow as pa

    numbers, texts = zip(*lines, strict=True)
    files = pa.array([source.index] * len(lines), pa.int32())
    return pa.table({"file": files, "number": pa.array(numbers, pa.int64()), "line": pa.array(texts, pa.string())})
