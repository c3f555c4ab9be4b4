"""The engine that builds datasets: DuckDB within a fixed amount of memory; what does not fit goes to files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bench.errors import UserError

if TYPE_CHECKING:
    import duckdb

MEMORY = "1500MB"  # the engine's own; the whole process stays below 4 GB

# What `str.split` takes for white space. Most texts have nothing but short runs of spaces and line feeds, for which
# plain replacing is several times faster than a pattern. Arguments that are used twice should be columns.
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


class Engine:
    """SQL with named parameters and plain answers."""

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


@contextmanager
def engine(folder: Path) -> Iterator[Engine]:
    """An engine that spills into `folder`, and leaves nothing there. Raises UserError where the disk is full."""
    import duckdb

    with TemporaryDirectory(dir=folder, prefix=".building-") as scratch:
        connection = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": scratch})
        try:
            connection.execute("SET preserve_insertion_order = false; SET enable_progress_bar = false")
            connection.execute(_MACROS)
            yield Engine(connection)
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            what = " ".join(str(error).split())[:200]
            raise UserError(f"{folder}: {what}; make room there or choose another --out, then build again") from error
        finally:
            connection.close()
