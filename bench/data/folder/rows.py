"""Rows of a dataset's tables, whichever format they are kept in: their fields, and the check of each row by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

from bench.errors import UserError

TABLES = ("items", "reviews", "samples")

Types = tuple[type, ...]
TEXT: Types = (str,)
FIELDS: dict[str, dict[str, Types]] = {
    "items": {"category": TEXT, "item_id": TEXT, "title": TEXT, "description": TEXT},
    "reviews": {
        "review_id": TEXT, "category": TEXT, "user_id": TEXT, "item_id": TEXT,
        "rating": (int, float), "title": TEXT, "text": TEXT, "timestamp": (int, NoneType),
    },
    "samples": {
        "sample_id": TEXT, "split": TEXT, "category": TEXT, "user_id": TEXT, "item_id": TEXT,
        "review_id": TEXT, "history": (list,),
    },
}  # fmt: skip
NEVER_BLANK = {"category", "item_id", "review_id", "user_id", "sample_id", "text"}
NAMES = {str: "text", int: "a whole number", float: "a number", list: "a list", bool: "true or false", NoneType: "null"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table. Its fields are present and of the right type; `where` names its file and line."""

    where: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """A dataset as read from its folder. Every row is checked by itself; ids are not looked up yet."""

    manifest: dict[str, Any]
    fingerprint: str
    tables: dict[str, list[Row]]


def check_row(where: str, values: Mapping[str, Any], table: str) -> None:
    """Raises UserError where a row of a table lacks a field or has a value of another type."""
    check_fields(where, values, FIELDS[table])


def check_fields(where: str, values: Mapping[str, Any], fields: Mapping[str, Types]) -> None:
    """Raises UserError where one of `fields` is missing, blank or not of one of its types."""
    for key, allowed in fields.items():
        if key not in values:
            raise UserError(f"{where}: '{key}' is missing; correct it or run `bench data build` again")
        value = values[key]
        if type(value) not in allowed or (isinstance(value, (int, float)) and not abs(value) < 2.0**63):  # nor NaN
            expected = " or ".join(NAMES[kind] for kind in allowed)
            raise UserError(f"{where}: '{key}' must be {expected}, found {value!r:.60}; correct it or build again")
        if key in NEVER_BLANK and not value.strip():
            raise UserError(f"{where}: '{key}' is blank; correct it or run `bench data build` again")
