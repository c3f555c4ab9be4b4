"""Rows of a Parquet file as lines of JSON, as the raw files have them: times in milliseconds since 1970, ids as text.

The file is read by Arrow, which takes the path as it is: no pattern, no folders that name columns. All conversions of
types are here, so that no session's zone or rendering decides what a value is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def lines(path: Path, rows: int) -> Iterator[tuple[pa.Array, dict[int, bytes]]]:
    """(lines, place -> bytes that are no text) of `rows` rows at a time. Such a row's line is null."""
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file, duckdb.connect() as database:
        database.execute("SET memory_limit = '1GB'; SET threads = 1")
        for batch in file.iter_batches(rows):
            odd: dict[int, bytes] = {}
            columns = [_plain(column, odd) for column in batch.columns]
            database.register("row", pa.table(columns, names=batch.schema.names))
            found = database.sql("SELECT to_json(row)::VARCHAR AS line FROM row").to_arrow_table()
            made = found.column(0).combine_chunks()
            yield _without(made, odd) if odd else made, odd


def _without(made: pa.Array, odd: dict[int, bytes]) -> pa.Array:
    import pyarrow as pa

    return pa.array([None if place in odd else line for place, line in enumerate(made.to_pylist())], pa.string())


def _plain(column: pa.Array, odd: dict[int, bytes]) -> pa.Array:
    """The column in types whose JSON is the same everywhere. Adds to `odd` the binary values that are not UTF-8."""
    import pyarrow as pa

    kind = column.type
    if isinstance(column, pa.ExtensionArray):
        return _plain(column.storage, odd)
    if pa.types.is_dictionary(kind):
        return _plain(column.dictionary_decode(), odd)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("ms", getattr(kind, "tz", None)), safe=False).cast(pa.int64())
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    if kind in (pa.float32(), pa.float16()):  # by their shortest decimals: 4.3, not 4.300000190734863
        return column.cast(pa.float32()).cast(pa.string()).cast(pa.float64())
    if _is_binary(kind):
        return _decoded(column, odd)
    if pa.types.is_nested(kind):
        return column.cast(_nested(kind), safe=False)
    return column


def _is_binary(kind: pa.DataType) -> bool:
    import pyarrow as pa

    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(test(kind) for test in tests)


def _decoded(column: pa.Array, odd: dict[int, bytes]) -> pa.Array:
    import pyarrow as pa

    found: list[str | None] = []
    for place, value in enumerate(column.to_pylist()):
        try:
            found.append(None if value is None else value.decode("utf-8"))
        except UnicodeDecodeError:
            odd[place] = value
            found.append(None)
    return pa.array(found, pa.string())


def _nested(kind: Any) -> Any:
    """The type with times in UTC without a zone, and bytes as text."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_nested(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_nested(kind.key_type), _nested(kind.item_type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_nested(kind.value_type))
    if pa.types.is_timestamp(kind):
        return pa.timestamp(kind.unit)
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return pa.string() if _is_binary(kind) else kind
