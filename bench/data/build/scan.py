"""The two readings of raw files: the first keeps ids, times and verdicts, the second the lines that the filters chose.

So the texts of most reviews, which no dataset will contain, are never stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.data.build.broken_lines import Broken, mend
from bench.data.build.database import Database
from bench.data.build.queries import Reading
from bench.data.build.raw_files import Source

if TYPE_CHECKING:
    import pyarrow as pa

Advance = Callable[[int], None]


def read(database: Database, reading: Reading, sources: Sequence[Source], broken: Broken, advance: Advance) -> None:
    """Fills the table of a first reading, and `{table}_mended` with the lines that had to be mended."""
    _create(database, reading)
    database.run(f"CREATE TABLE {reading.table}_mended (file INTEGER, number BIGINT, line VARCHAR)")
    for source in sources:
        for block in source.blocks(advance):
            odd = [*_take(database, reading, block.table), *block.undecoded.items()]
            if mended := _mended(reading, source, sorted(odd, key=lambda row: row[0]), broken):
                _take(database, reading, _table(source, mended))
                database.run(f"INSERT INTO {reading.table}_mended SELECT * FROM block")


def reread(
    database: Database, reading: Reading, sources: Sequence[Source], *, chosen: str, first: str, advance: Advance
) -> None:
    """Fills the table of a second reading with the lines that the table `chosen` names by file and number.

    `first` is the table of the first reading, whose mended lines are used again.
    """
    import numpy as np

    _create(database, reading)
    for source in sources:
        query = f"SELECT number FROM {chosen} WHERE file = {source.index} ORDER BY number"
        numbers = database.connection.execute(query).fetchnumpy()["number"]
        for block in source.blocks(advance):
            last = block.first + block.table.num_rows
            start, end = np.searchsorted(numbers, [block.first, last])
            if start < end:
                _take(database, reading, block.table.take(numbers[start:end] - block.first))
    rows = f"SELECT file, number, line FROM {first}_mended SEMI JOIN {chosen} USING (file, number)"
    _take(database, reading, database.connection.sql(rows).to_arrow_table())


def _create(database: Database, reading: Reading) -> None:
    import pyarrow as pa

    kinds = [("file", pa.int32()), ("number", pa.int64()), ("line", pa.string())]
    database.connection.register("block", pa.schema(kinds).empty_table())
    database.run(f"CREATE TABLE {reading.table} AS SELECT {reading.columns} FROM ({reading.query})")


def _take(database: Database, reading: Reading, table: pa.Table) -> list[tuple[int, bytes | str]]:
    """Inserts a block's lines. Returns (number, line) of those that cannot be used."""
    database.connection.register("block", table)
    database.run(f"""CREATE OR REPLACE TEMP TABLE staged AS
        SELECT {reading.columns}, {reading.usable} AS usable, CASE WHEN NOT usable THEN line END AS line
        FROM ({reading.query})""")
    database.run(f"INSERT INTO {reading.table} SELECT {reading.columns} FROM staged WHERE usable")
    return database.rows("SELECT number, line FROM staged WHERE NOT usable AND line IS NOT NULL")


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
