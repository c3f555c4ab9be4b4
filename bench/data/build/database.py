"""DuckDB, in which datasets are built: within a fixed amount of memory, with files for what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bench.errors import UserError

if TYPE_CHECKING:
    import duckdb

MEMORY = "1500MB"  # DuckDB's own; the whole process stays below 4 GB
# No extension of the machine's decides what a query gives. Nor does its zone: no value here has a type of time.
ALONE = {"autoload_known_extensions": "false", "autoinstall_known_extensions": "false"}

# Python's `str.split` decides what white space is. Most texts have only short runs of spaces and line feeds, for which
# plain replacing is several times faster than a pattern. A macro computes an argument each time that it names it, so
# arguments should be columns.
_SPACE = r"\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
_RARE = _SPACE.replace(r"\t-\r\x1c-\x20", r"\t\x0b-\r\x1c-\x1f")
_MACROS = f"""
CREATE TEMP MACRO flat(x) AS CASE
    WHEN regexp_matches(x, '[{_RARE}]|[ \\n]{{5}}') THEN regexp_replace(x, '[{_SPACE}]+', ' ', 'g')
    ELSE replace(replace(replace(x, chr(10), ' '), '  ', ' '), '  ', ' ') END;
CREATE TEMP MACRO collapse(x) AS trim(flat(x));
CREATE TEMP MACRO blank(x) AS NOT regexp_matches(x, '[^{_SPACE}]');
CREATE TEMP MACRO word(x) AS CASE WHEN regexp_full_match(x, '[!-~]+') THEN x ELSE collapse(x) END;
"""


class Database:
    """Runs SQL with named parameters and returns plain Python values."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def run(self, query: str, **values: Any) -> None:
        self.connection.execute(query, values or None)

    def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query, values or None).fetchall()

    def one(self, query: str, **values: Any) -> Any:
        """The first value of the first row."""
        return self.rows(query, **values)[0][0]

    def count(self, table: str) -> int:
        return int(self.one(f"SELECT count(*) FROM {table}"))

    def reasons(self, query: str) -> str:
        """`3 without a title, ...` for a query of (reason, count), by reason."""
        return ", ".join(f"{count} {reason}" for reason, count in sorted(self.rows(query)))


@contextmanager
def open_database(folder: Path) -> Iterator[Database]:
    """A database that spills into `folder` and leaves no file there. Raises UserError where the disk is full."""
    import duckdb

    with TemporaryDirectory(dir=folder, prefix=".building-") as scratch:
        connection = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": scratch, **ALONE})
        try:
            connection.execute("SET preserve_insertion_order = false; SET enable_progress_bar = false")
            connection.execute(_MACROS)
            yield Database(connection)
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            what = " ".join(str(error).split())[:200]
            raise UserError(f"{folder}: {what}; make room there or choose another --out, then build again") from error
        finally:
            connection.close()
