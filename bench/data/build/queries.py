"""The queries that turn raw lines into tables, for both readings of the files (`bench.data.build.scan`).

    raw_reviews    the first reading of reviews: ids, what each lacks, and times: `timestamp` where it is a whole
                   number, else `spelled` (bench.data.build.clock)
    raw_items      the first reading of items: ids, what each lacks
    review_texts   the second reading of reviews: titles, texts, ratings
    item_texts     the second reading of items: titles and descriptions

Each query reads `block`: lines of one file with their numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.data.build.broken_lines import ITEM_IDS
from bench.data.build.rules import Rules
from bench.data.build.where import Condition, everywhere


@dataclass(frozen=True, slots=True)
class Reading:
    """The table that a reading fills: `columns` of `query` on the lines of a block.

    `ids` maps a column to the raw fields that it comes from. A line where one of these columns is blank is not usable.
    """

    table: str
    query: str
    columns: str
    ids: Mapping[str, tuple[str, ...]]

    @property
    def usable(self) -> str:
        return " AND ".join(f"{column} <> ''" for column in self.ids)


REVIEW_IDS = {"user_id": ("user_id",), "item_id": ITEM_IDS}
METADATA_IDS = {"item_id": ITEM_IDS}
TEXTS = ("title", "text")
REVIEWS_INSTEAD = "that are reviews"  # among the metadata: the wrong file was named
NOT_CHOSEN = "by --where-meta"
_STRING_FIELDS = ("user_id", "parent_asin", "asin", *TEXTS)
_FIELDS = (*_STRING_FIELDS, "rating", "timestamp", "source_order")
_WHOLE = "('UBIGINT', 'BIGINT')"
_NUMBER = "('UBIGINT', 'BIGINT', 'UHUGEINT', 'HUGEINT', 'DOUBLE')"
# Fields whose values of another type are counted, in the order of the column `mistyped`, and the types they may have.
TYPED = {**dict.fromkeys(TEXTS, "('VARCHAR')"), "rating": _NUMBER}
_JSON = "SELECT file, number, line, CASE WHEN json_valid(line) THEN line END AS json FROM block"
_ITEM_ID = "coalesce(nullif(word(parent_asin), ''), word(asin)) AS item_id"


def _paths(*names: str) -> str:
    """JSON paths of fields, as a list in SQL."""
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


_STRINGS = ", ".join(_field(name, "('VARCHAR')", "{}", "''") for name in _STRING_FIELDS)


def _lines(where: Condition | None) -> str:
    """The lines of a block as JSON, each with `chosen`: whether the condition is true for it."""
    return where.over(_JSON) if where else everywhere(_JSON)


# A value of another type than its field should have counts as missing.
def _reviews(where: Condition | None = None) -> str:
    return f"""
    SELECT file, number, line, chosen, word(user_id) AS user_id, {_ITEM_ID},
        CASE WHEN isfinite(rating) THEN rating END AS rating, title, text, timestamp, source_order, mistyped,
        CASE WHEN timestamp IS NULL AND time_type <> 'NULL' THEN spelled ELSE '' END AS spelled
    FROM (SELECT file, number, line, chosen, {_STRINGS},
            {_field("rating", _NUMBER, "TRY_CAST({} AS DOUBLE)", "NULL")},
            {_field("timestamp", _WHOLE, "TRY_CAST({} AS BIGINT)", "NULL")},
            {_field("source_order", _WHOLE, "TRY_CAST({} AS BIGINT)", "0")},
            [{", ".join(_mistyped(name, kinds) for name, kinds in TYPED.items())}] AS mistyped,
            types[{_FIELDS.index("timestamp") + 1}] AS time_type, found[{_FIELDS.index("timestamp") + 1}] AS spelled
        FROM (SELECT *, json_type(json, {_paths(*_FIELDS)}) AS types, json ->> {_paths(*_FIELDS)} AS found
            FROM ({_lines(where)})))
    """


def judged_reviews(rules: Rules, where: Condition | None = None) -> Reading:
    """The first reading of reviews: `raw_reviews`, with what a review lacks ('' for nothing) and a hash of its words.

    The text is padded with a space on either side, so that white space at its ends needs no trimming.
    """
    titled = "blank(title)" if rules.require_review_title else "false"
    words = "hash(flat(padded))" if rules.dedupe_text else "NULL::UBIGINT"
    query = f"""
        SELECT *, CASE WHEN padded IS NULL OR blank(text) THEN 'with less than {max(rules.min_chars, 1)} characters'
            WHEN rating IS NULL THEN 'without a rating' WHEN {titled} THEN 'without a title' ELSE '' END AS lacks,
            {words} AS words
        FROM (SELECT *, CASE WHEN length(text) >= {rules.min_chars} THEN concat(' ', text, ' ') END AS padded
            FROM ({_reviews(where)}))
    """
    columns = "file, number, user_id, item_id, timestamp, spelled, source_order, lacks, words, mistyped, chosen"
    return Reading("raw_reviews", query, columns, REVIEW_IDS)


def judged_items(rules: Rules, where: Condition | None = None) -> Reading:
    """The first reading of item metadata: `raw_items`, with what an item lacks ('' for nothing)."""
    shortest, longest = rules.min_description, rules.max_description
    lacking = " ".join(_lacking(place, name) for place, name in enumerate(rules.require, 1))
    names = _paths(*(rules.require or ("title",)))
    query = f"""
        SELECT *, CASE WHEN review THEN '{REVIEWS_INSTEAD}' WHEN NOT chosen THEN '{NOT_CHOSEN}'
            WHEN length(description) NOT BETWEEN {shortest} AND {longest} THEN
            'without a description of {shortest} to {longest} characters' {lacking} ELSE '' END AS lacks
        FROM (SELECT *, json_extract(json, {names}) AS value, json_type(json, {names}) AS kind,
            coalesce(json_type(json, ['$.user_id', '$.text']) = ['VARCHAR', 'VARCHAR'], false) AS review
            FROM ({_items(where)}))
    """
    return Reading("raw_items", query, "file, number, item_id, lacks", METADATA_IDS)


def _lacking(place: int, name: str) -> str:
    """Lacking is what Python calls false: null, empty, or zero."""
    empty = "('null', '\"\"', '[]', '{}', 'false')"
    zero = f"kind[{place}] IN {_NUMBER} AND TRY_CAST(value[{place}] AS DOUBLE) = 0"
    escaped = name.replace("'", "''")
    return f"WHEN coalesce(value[{place}] IN {empty} OR ({zero}), true) THEN 'without {escaped}'"


_NAMES = ", ".join(
    f"CASE WHEN t[{place}] = 'VARCHAR' THEN v[{place}] ELSE '' END AS {name}"
    for place, name in enumerate(("parent_asin", "asin", "title"), 1)
)


# The description is the list joined with spaces, without the heading that opens some of them.
def _items(where: Condition | None = None) -> str:
    names = _paths("parent_asin", "asin", "title", "description")
    return f"""
    SELECT file, number, line, json, chosen, {_ITEM_ID}, title, CASE WHEN description[1] = 'Product Description'
        THEN array_to_string(description[2:], ' ') ELSE array_to_string(description, ' ') END AS description
    FROM (SELECT file, number, line, json, chosen,
            {_NAMES},
            CASE t[4] WHEN 'VARCHAR' THEN [v[4]] WHEN 'ARRAY' THEN list_transform(list_filter(
                json_extract(json, '$.description[*]'), lambda x: json_type(x) = 'VARCHAR'), lambda x: x ->> '$')
            ELSE [] END AS description
        FROM (SELECT *, json_type(json, {names}) AS t, json ->> {names} AS v FROM ({_lines(where)})))
    """


CHOSEN_REVIEWS = Reading(
    "review_texts",
    f"SELECT * REPLACE (collapse(title) AS title, collapse(text) AS text) FROM ({_reviews()})",
    "file, number, rating, title, text",
    REVIEW_IDS,
)
CHOSEN_ITEMS = Reading(
    "item_texts",
    f"SELECT * REPLACE (collapse(title) AS title, collapse(description) AS description) FROM ({_items()})",
    "file, number, title, description",
    METADATA_IDS,
)
