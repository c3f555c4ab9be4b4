"""Conditions on raw rows: `--where "lang = 'en'"`, an expression of DuckDB over the fields of a row.

Before any file is read, a condition is parsed and bound in a database of its own that reaches no file. It may use the
row's fields and functions whose value depends on their arguments alone: no subquery, aggregate, clock or chance, so
that nothing is read or written and the same input gives the same dataset.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.data.build.database import ALONE
from bench.data.build.raw_files import Source
from bench.errors import UserError, unknown

if TYPE_CHECKING:
    import duckdb

# The build reads these as whole numbers. Others may have fractions that the first rows do not show.
_WHOLE = ("timestamp", "source_order")
_NUMBERS = ("UBIGINT", "BIGINT", "UHUGEINT", "HUGEINT", "DOUBLE")
_MACROS = re.compile(r"nullif|if|split_part|fdiv|days_in_month|array_\w+|list_\w+")
_WRONG = {
    "SUBQUERY": "a subquery",
    "WINDOW": "a window function",
    "STAR": "* or COLUMNS",
    "PARAMETER": "a parameter",
    "DEFAULT": "DEFAULT",
}
_KEPT = '" kept "'  # the line beside the row's fields, under a name that no field has


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that was checked. `text` is as the user gave it, `types` has the type of each field that it names."""

    option: str
    text: str
    types: Mapping[str, Any]

    def over(self, lines: str) -> str:
        """`lines`, a query of (file, number, line, json), with a column `chosen`: whether the condition is true."""
        return self.computed(f"coalesce(({self.text}\n), false)", lines)

    def computed(self, value: str, lines: str) -> str:
        """`lines` with a value over the fields of each as the first column, `chosen`."""
        shape = json.dumps(self.types).replace("'", "''")
        kept = ", ".join(f"'{name}': {name}" for name in ("file", "number", "line", "json"))
        columns = ", ".join(f"{_KEPT}.{name} AS {name}" for name in ("file", "number", "line", "json"))
        return f"""SELECT {value} AS chosen, {columns}
            FROM (SELECT {{{kept}}} AS {_KEPT}, unnest(from_json(json, '{shape}')) FROM ({lines}))"""

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Raises UserError where the condition cannot be computed for a row."""
        import duckdb

        try:
            yield
        except (duckdb.DataError, duckdb.InvalidInputException) as error:
            raise self.error(f"cannot be computed for a row: {_first_line(error)}; use try_cast or try") from error

    def error(self, what: str) -> UserError:
        return UserError(f"{self.option} {' '.join(self.text.split())}: {what}")


def everywhere(lines: str) -> str:
    """`lines` without a condition."""
    return f"SELECT true AS chosen, * FROM ({lines})"


def checked(option: str, text: str, files: Sequence[Source]) -> Condition | None:
    """The condition, None for an empty one. Raises UserError for one that cannot be used, saying why in one line."""
    import duckdb

    if not text.strip():
        return None
    if text.encode("utf-8", "replace").decode("utf-8") != text:
        raise UserError(f"{option} {text!a}: holds half a character; write it in UTF-8")
    with duckdb.connect(config={"enable_external_access": "false", **ALONE}) as database:
        database.execute("SET TimeZone = 'UTC'")
        given = Condition(option, text, {})
        tree = _parsed(database, given)
        _check_functions(database, given, tree)
        condition = Condition(option, text, _types_of(database, given, tree, files))
        _check_kind(database, condition)
    return condition


def _parsed(database: duckdb.DuckDBPyConnection, condition: Condition) -> Any:
    """The expression as a tree."""
    query = f"SELECT ({condition.text}\n)"
    (found,) = database.execute("SELECT json_serialize_sql($query)", {"query": query}).fetchall()[0]
    parsed = json.loads(found)
    if parsed["error"]:
        raise condition.error(f"{parsed['error_message']}; write a condition of DuckDB, such as lang = 'en'")
    node = parsed["statements"][0]["node"]
    alone = len(parsed["statements"]) == 1 and node["type"] == "SELECT_NODE" and len(node["select_list"]) == 1
    rest = (node.get("where_clause"), node.get("having"), node.get("qualify"), node.get("sample"))
    more = (node.get("group_expressions"), node.get("modifiers"), node.get("cte_map", {}).get("map"))
    if not alone or node["from_table"]["type"] != "EMPTY" or any((*rest, *more)):
        raise condition.error("it is more than a condition; leave out everything else")
    return node["select_list"][0]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every node of the tree, from the outside in."""
    if isinstance(tree, dict):
        if "class" in tree:
            yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _check_functions(database: duckdb.DuckDBPyConnection, condition: Condition, tree: Any) -> None:
    """Refuses what could read, write, or give another value tomorrow."""
    query = "SELECT DISTINCT function_name, function_type, stability FROM duckdb_functions()"
    functions = database.execute(query).fetchall()
    known = {name for name, _, _ in functions}
    fixed = {name for name, kind, stability in functions if kind == "scalar" and stability == "CONSISTENT"}
    fixed |= {name for name, kind, _ in functions if kind == "macro" and _MACROS.fullmatch(name)}
    for node in _nodes(tree):
        if (what := _WRONG.get(node["class"])) is not None:
            raise condition.error(f"{what} is not allowed; a condition sees one row and nothing else")
        name = str(node.get("function_name", "")).lower()
        if node["class"] != "FUNCTION" or name in fixed:
            continue
        if name not in known:
            raise condition.error(str(unknown("function", name, fixed)).partition(" Known:")[0])
        raise condition.error(f"{name}() is not allowed: a condition depends on the row's fields alone")


def _types_of(
    database: duckdb.DuckDBPyConnection, condition: Condition, tree: Any, files: Sequence[Source]
) -> dict[str, Any]:
    """The types of the fields that the condition names. Raises UserError for a field that the first rows lack."""
    fields = _fields(database, files)
    names = {node["column_names"][0]: None for node in _nodes(tree) if node["class"] == "COLUMN_REF"}
    of_lambdas = {name for node in _nodes(tree) if node["class"] == "LAMBDA" for name in _parameters(node)}
    found = {}
    for name in names:
        exact = name if name in fields else next((one for one in fields if one.lower() == name.lower()), None)
        if exact is not None:
            found[exact] = fields[exact]
        elif name not in of_lambdas:
            raise condition.error(_no_field(name, fields))
    return found or {"no field": "VARCHAR"}


def _no_field(name: str, fields: Mapping[str, Any]) -> str:
    """Guesses at a misspelt name only: `lang` is no `rating`."""
    close = difflib.get_close_matches(name.lower(), fields, n=1, cutoff=0.75)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    return f"no field '{name}' in the first rows{hint} They have {', '.join(sorted(fields)) or 'none'}"


def _parameters(node: Mapping[str, Any]) -> Iterator[str]:
    """The names before the arrow of a lambda."""
    yield from (inner["column_names"][0] for inner in _nodes(node.get("lhs")) if inner["class"] == "COLUMN_REF")
    yield from (str(name) for name in node.get("named_parameters") or ())


def _fields(database: duckdb.DuckDBPyConnection, files: Sequence[Source]) -> dict[str, Any]:
    """field -> type, nested as in the rows, by the first rows of every file."""
    lines = [line for source in files for line in source.first_lines()]
    query = """SELECT json_group_structure(line::JSON) FROM (SELECT unnest($lines) AS line)
        WHERE json_valid(line) AND json_type(line) = 'OBJECT'"""
    (found,) = database.execute(query, {"lines": lines}).fetchall()[0]
    shape = json.loads(found) if found else {}
    return {name: "BIGINT" if name in _WHOLE and kind in _NUMBERS else _type(kind) for name, kind in shape.items()}


def _type(kind: Any) -> Any:
    """The type that a value is read as: numbers may have fractions further down, other mixtures are texts."""
    if isinstance(kind, dict):
        return {name: _type(inner) for name, inner in kind.items()}
    if isinstance(kind, list):
        return [_type(inner) for inner in kind]
    return "DOUBLE" if kind in _NUMBERS else kind if kind == "BOOLEAN" else "VARCHAR"


def _check_kind(database: duckdb.DuckDBPyConnection, condition: Condition) -> None:
    """Binds the condition to a row without values, and computes it."""
    import duckdb

    lines = "SELECT 0 AS file, 0 AS number, '' AS line, '{}'::JSON AS json"
    try:
        kind = str(database.sql(condition.computed(f"({condition.text}\n)", lines)).types[0])
    except duckdb.Error as error:
        raise condition.error(f"{_first_line(error)}{_of_lists(error)}") from error
    if kind not in ("BOOLEAN", '"NULL"'):
        raise condition.error(f"gives {kind}, and a condition is true or false; compare it with something")


def _of_lists(error: Exception) -> str:
    """What to write in place of LIKE or = where the field is a list of texts."""
    return "; the field is a list: list_contains(FIELD, 'text')" if "VARCHAR[]" in str(error) else ""


def _first_line(error: Exception) -> str:
    line = str(error).splitlines()[0]
    return re.sub(r"^\w+(?: \w+)? Error: ", "", line)
