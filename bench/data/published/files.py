"""Files of published benchmarks: the rows of a split, whichever of the usual formats it is in.

The layouts of the benchmarks are in `bench.data.published.dpl` and `bench.data.published.lamp`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.errors import UserError

SUFFIXES = ("parquet", "jsonl", "json")


@contextmanager
def naming_sample(where: str) -> Iterator[None]:
    """Turns a missing field or one of another type into a UserError that names the sample."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"field {error} is missing" if isinstance(error, KeyError) else _one_line(error)
        raise UserError(f"{where}: {what}; check that the files are of this layout") from error


def rows_of(folder: Path, split: str) -> tuple[Iterator[Mapping[str, Any]], list[Path]]:
    """The rows of a split, and the files that hold them. Raises UserError where the folder has no such file."""
    saved = _saved(folder, split)
    if saved is not None:
        return _arrow(saved), sorted(saved.glob("*.arrow"))
    for suffix in SUFFIXES:
        if files := sorted([*folder.glob(f"{split}*.{suffix}"), *folder.glob(f"{split}/*.{suffix}")]):
            return (row for path in files for row in _rows(path)), files
    raise UserError(
        f"{folder} has no split '{split}': a folder saved by `datasets` or {split}*.parquet, .jsonl or .json is "
        "expected; check the copy"
    )


def _saved(folder: Path, split: str) -> Path | None:
    """The folder of a split that `datasets` saved."""
    if (folder / split / "state.json").is_file():
        return folder / split
    return folder if split == "full" and (folder / "state.json").is_file() else None


def _arrow(folder: Path) -> Iterator[Mapping[str, Any]]:
    from datasets import load_from_disk

    try:
        saved = load_from_disk(folder)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} cannot be read ({_one_line(error)}); save it again") from error
    yield from saved


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    from bench.data.folder.jsonl import lines, parse

    if path.suffix == ".parquet":
        yield from _parquet(path)
    elif path.suffix == ".json":
        yield from read_json(path)
    else:
        for number, line in lines(path):
            try:
                yield parse(line)
            except ValueError as error:
                raise UserError(f"{path} line {number}: {error}; download or save the file again") from error


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(1000):
                yield from batch.to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read ({_one_line(error)}); download or save it again") from error


def read_json(path: Path) -> Iterable[Mapping[str, Any]]:
    """The list of objects in a JSON file."""
    try:
        values = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON ({_one_line(error)}); download or save it again") from error
    if not isinstance(values, list) or not all(isinstance(row, dict) for row in values):
        raise UserError(f"{path} is no list of JSON objects; check which file it is")
    return values


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
