"""Files of JSON lines, and the dataset format made of them: a folder that can be read by eye.

    dataset.json    see `bench.data.folder.manifest`
    items.jsonl     category, item_id, title, description
    reviews.jsonl   review_id, category, user_id, item_id, rating, title, text, timestamp (ms, or null)
    samples.jsonl   sample_id, split, category, user_id, item_id, review_id (the target's), history (review ids,
                    newest first)

Each table may be gzipped instead (`items.jsonl.gz`). The fingerprint is the sha256 of the tables' uncompressed
bytes, so packing a table does not change it and editing one does. Larger datasets are Parquet
(`bench.data.folder.parquet`).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from bench.data.folder.manifest import JSON_LINES, check_fingerprint
from bench.data.folder.rows import TABLES, Row, Stored, check_row
from bench.data.folder.writing import move_into_place, scratch_folder
from bench.errors import UserError
from bench.record.files import check_regular, once

BOM = "\ufeff"


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(line number, line) of a plain or gzipped file without its blank lines. Raises UserError if it cannot be read."""
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.isspace():
                    yield number, line
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; check the path") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read after line {number} ({error}); download or copy it again") from error


def parse(line: bytes | str) -> dict[str, Any]:
    """The JSON object on a line. Raises ValueError saying what was found instead."""
    return _object(line, _ANY)


def _object(line: bytes | str, decoder: json.JSONDecoder) -> dict[str, Any]:
    try:
        values = decoder.decode(
            line.decode(json.detect_encoding(line), "surrogatepass")
            if isinstance(line, bytes)
            else line.removeprefix(BOM)
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg} at column {error.pos + 1}): {_start_of(line)}") from error
    except RecursionError:
        raise ValueError(f"not JSON (nested too deeply): {_start_of(line)}") from None
    if not isinstance(values, dict):
        raise ValueError(f"not a JSON object: {_start_of(line)}")
    return values


def _reject(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number that JSON knows")


_ANY = json.JSONDecoder(parse_constant=_reject)
# For files that the suite wrote: a key that is there twice was added by hand.
_OURS = json.JSONDecoder(parse_constant=_reject, object_pairs_hook=once)


def _start_of(line: bytes | str) -> str:
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
    return repr(text.strip()[:60])


def read(folder: Path, manifest: dict[str, Any]) -> Stored:
    """All rows of a dataset. Raises UserError naming file, line and what was found there."""
    digest = hashlib.sha256()
    tables = {table: list(_rows(folder, table, digest)) for table in TABLES}
    fingerprint = digest.hexdigest()
    check_fingerprint(folder, manifest, fingerprint)
    return Stored(manifest, fingerprint, tables)


def _rows(folder: Path, table: str, digest: hashlib._Hash) -> Iterator[Row]:
    path = _file(folder, table)
    digest.update(f"{table}\n".encode())
    for number, line in lines(path):
        digest.update(line)
        where = f"{path} line {number}"
        try:
            values = _object(line, _OURS)
        except ValueError as error:
            raise UserError(f"{where}: {error}; correct the line or run `bench data build` again") from error
        check_row(where, values, table)
        yield Row(where, values)


def _file(folder: Path, table: str) -> Path:
    """The one file of a table, plain or packed."""
    plain, packed = folder / f"{table}.jsonl", folder / f"{table}.jsonl.gz"
    if plain.exists() and packed.exists():
        raise UserError(f"{folder} has both {plain.name} and {packed.name}; remove one of them")
    path = packed if packed.exists() else plain
    if not path.exists():
        raise UserError(f"{folder} has no {plain.name} (or {packed.name}); run `bench data build` again")
    check_regular(path, "put the file itself there")
    return path


def write(folder: Path, manifest: Mapping[str, Any], tables: Mapping[str, Iterable[Mapping[str, Any]]]) -> str:
    """Writes a dataset and returns its fingerprint. Raises UserError where it cannot write."""
    with scratch_folder(folder) as scratch:
        digest = hashlib.sha256()
        for table in TABLES:
            digest.update(f"{table}\n".encode())
            with (scratch / f"{table}.jsonl").open("wb") as file:
                for row in tables[table]:
                    line = f"{json.dumps(row, ensure_ascii=False)}\n".encode()
                    digest.update(line)
                    file.write(line)
        complete = {"format": JSON_LINES, **manifest, "fingerprint": digest.hexdigest()}
        for table in TABLES:
            (folder / f"{table}.jsonl.gz").unlink(missing_ok=True)
        moves = [(scratch / f"{table}.jsonl", folder / f"{table}.jsonl") for table in TABLES]
        move_into_place(folder, scratch, complete, moves)
        return digest.hexdigest()
