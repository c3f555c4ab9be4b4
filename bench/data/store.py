"""The dataset on disk as JSON lines: a folder that can be read by eye. Larger ones are Parquet (`bench.data.parquet`).

    dataset.json    format, name, title, synthetic, categories, counts, thresholds, sources, split, fingerprint
    items.jsonl     category, item_id, title, description
    reviews.jsonl   review_id, category, user_id, item_id, rating, title, text, timestamp (ms, or null)
    samples.jsonl   sample_id, split, category, user_id, item_id, review_id (the target's), history (review ids,
                    newest first)

Each table may be gzipped instead (`items.jsonl.gz`). The fingerprint is the sha256 of the tables' uncompressed
bytes, so packing a table does not change it and editing one does.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, NoReturn

from bench.errors import UserError
from bench.record.files import check_regular, once

FORMAT = 1
PARQUET = 2
MANIFEST = "dataset.json"
TABLES = ("items", "reviews", "samples")

Types = tuple[type, ...]
TEXT: Types = (str,)
MANIFEST_FIELDS: dict[str, Types] = {
    "format": (int,), "name": TEXT, "title": TEXT, "synthetic": (bool,), "categories": (list,),
}  # fmt: skip
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
    """One line of a table, its fields present and of the right type; `where` names its file and line."""

    where: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """A dataset as read: every line checked by itself, ids not yet looked up."""

    manifest: dict[str, Any]
    fingerprint: str
    tables: dict[str, list[Row]]


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
            line.decode(json.detect_encoding(line), "surrogatepass") if isinstance(line, bytes) else line
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg} at column {error.pos + 1}): {_shown(line)}") from error
    except RecursionError:
        raise ValueError(f"not JSON (nested too deeply): {_shown(line)}") from None
    if not isinstance(values, dict):
        raise ValueError(f"not a JSON object: {_shown(line)}")
    return values


def _reject(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number that JSON knows")


_ANY = json.JSONDecoder(parse_constant=_reject)
# Of what the suite itself wrote: a key that is there twice was put there by hand.
_OURS = json.JSONDecoder(parse_constant=_reject, object_pairs_hook=once)


def _shown(line: bytes | str) -> str:
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
    return repr(text.strip()[:60])


def read(folder: Path) -> Stored:
    """Everything in a dataset folder of either layout. Raises UserError naming file, line and what was found there."""
    manifest = read_manifest(folder)
    if manifest["format"] == PARQUET:
        from bench.data import parquet

        return parquet.read(folder, manifest)
    digest = hashlib.sha256()
    tables = {table: list(_read_table(folder, table, digest)) for table in TABLES}
    fingerprint = digest.hexdigest()
    check_fingerprint(folder, manifest, fingerprint)
    return Stored(manifest, fingerprint, tables)


def check_fingerprint(folder: Path, manifest: Mapping[str, Any], fingerprint: str) -> None:
    """Raises UserError where dataset.json names another fingerprint than that of what was read."""
    if manifest.get("fingerprint", fingerprint) != fingerprint:
        raise UserError(
            f"{folder} was changed after it was written: its fingerprint is {fingerprint[:12]}, not {MANIFEST}'s "
            f"{str(manifest['fingerprint'])[:12]}; build it again in a new folder, or delete that entry to accept it"
        )


def read_manifest(folder: Path) -> dict[str, Any]:
    """dataset.json of a folder. Raises UserError where it is missing, broken or of another format version."""
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"{folder} has no {MANIFEST}: not a dataset, or never finished; run `bench data build`")
    try:
        manifest = json.loads(path.read_text("utf-8"), object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise UserError(f"{path} line {error.lineno}: not JSON ({error.msg}); run `bench data build` again") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error}); run `bench data build` again") from error
    if not isinstance(manifest, dict):
        raise UserError(f"{path} line 1: not a JSON object; run `bench data build` again")
    _check(str(path), manifest, MANIFEST_FIELDS)
    if manifest["format"] not in (FORMAT, PARQUET):
        raise UserError(f"{path}: format {manifest['format']} is not {FORMAT} or {PARQUET}; build it again")
    _check_names(str(path), manifest)
    return manifest


def _check_names(where: str, manifest: Mapping[str, Any]) -> None:
    """Raises UserError for names that tables cannot show, and for categories that lead out of the dataset's folder."""
    categories = manifest["categories"]
    for name in (manifest["name"], manifest["title"], *categories):
        if not isinstance(name, str) or not is_plain(name):
            raise UserError(f"{where}: a name must be text without control characters, found {name!r:.60}; correct it")
    for name in categories:
        if categories.count(name) > 1:
            raise UserError(f"{where}: category {name!r:.60} is there twice; remove one of them")
        if not name.strip() or (manifest["format"] == PARQUET and not is_folder(name)):
            raise UserError(f"{where}: category {name!r:.60} is no name of a folder; build it again under another name")


def is_plain(name: str) -> bool:
    """Whether a name can be shown anywhere: no control character, no half of a surrogate pair."""
    return not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)


def is_folder(name: str) -> bool:
    """Whether a name is one of a folder and of nothing above or below it."""
    fits = is_plain(name) and name == name.strip() and len(name.encode()) < 200
    return fits and bool(name) and not name.startswith(".") and not set(name) & set("/\\")


def _read_table(folder: Path, table: str, digest: hashlib._Hash) -> Iterator[Row]:
    plain, packed = folder / f"{table}.jsonl", folder / f"{table}.jsonl.gz"
    if plain.exists() and packed.exists():
        raise UserError(f"{folder} has both {plain.name} and {packed.name}; remove one of them")
    path = packed if packed.exists() else plain
    if not path.exists():
        raise UserError(f"{folder} has no {plain.name} (or {packed.name}); run `bench data build` again")
    check_regular(path, "put the file itself there")
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


def check_row(where: str, values: Mapping[str, Any], table: str) -> None:
    """Raises UserError where a row of a table lacks a field or holds one of another type."""
    _check(where, values, FIELDS[table])


def _check(where: str, values: Mapping[str, Any], fields: Mapping[str, Types]) -> None:
    for key, allowed in fields.items():
        if key not in values:
            raise UserError(f"{where}: '{key}' is missing; correct it or run `bench data build` again")
        value = values[key]
        if type(value) not in allowed or (isinstance(value, (int, float)) and not abs(value) < 2.0**63):  # nor NaN
            expected = " or ".join(NAMES[kind] for kind in allowed)
            raise UserError(f"{where}: '{key}' must be {expected}, found {value!r:.60}; correct it or build again")
        if key in NEVER_BLANK and not value.strip():
            raise UserError(f"{where}: '{key}' is blank; correct it or run `bench data build` again")


def counts(tables: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, dict[str, int]]:
    """Per category: users, items, reviews and the samples of each split, for dataset.json."""
    users = {(row["category"], row["user_id"]) for row in tables["reviews"]}
    found = Counter(("users", category) for category, _ in users)
    found.update((table, row["category"]) for table in ("items", "reviews") for row in tables[table])
    found.update((row["split"], row["category"]) for row in tables["samples"])
    names = ("users", "items", "reviews", "train", "val", "test")
    return {category: {name: found[name, category] for name in names} for category in sorted({c for _, c in found})}


def split_definition(train_inputs: int) -> str:
    """The split in words, for dataset.json."""
    return (
        f"per user: newest review test, next val, next {train_inputs} train, the rest profile; "
        "history: profile and older inputs, newest first"
    )


def check_writable(folder: Path) -> None:
    """Raises UserError where a folder cannot be made or written, before hours are spent on its content."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise UserError(f"{folder} cannot be written ({nearest} is no writable folder); choose another folder")


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """A scratch folder inside `folder`, which is made for it and goes again where nothing was written.

    Raises UserError where it cannot be written.
    """
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as scratch:
            yield Path(scratch)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}; choose another folder") from error
    finally:
        if new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def finish(folder: Path, scratch: Path, manifest: Mapping[str, Any], moves: Iterable[tuple[Path, Path]]) -> None:
    """Moves the written tables into place, dataset.json last.

    Each file appears whole or not at all: a folder whose writing was cut off is either still the old
    dataset or is refused by its fingerprint.
    """
    (scratch / MANIFEST).write_text(f"{json.dumps(manifest, ensure_ascii=False, indent=2)}\n", "utf-8")
    for source, target in moves:
        os.replace(source, target)
    os.replace(scratch / MANIFEST, folder / MANIFEST)


def write(folder: Path, manifest: Mapping[str, Any], tables: Mapping[str, Iterable[Mapping[str, Any]]]) -> str:
    """Writes a dataset as JSON lines and returns its fingerprint. Raises UserError where it cannot write."""
    with writing(folder) as scratch:
        digest = hashlib.sha256()
        for table in TABLES:
            digest.update(f"{table}\n".encode())
            with (scratch / f"{table}.jsonl").open("wb") as file:
                for row in tables[table]:
                    line = f"{json.dumps(row, ensure_ascii=False)}\n".encode()
                    digest.update(line)
                    file.write(line)
        complete = {"format": FORMAT, **manifest, "fingerprint": digest.hexdigest()}
        for table in TABLES:
            (folder / f"{table}.jsonl.gz").unlink(missing_ok=True)
        finish(folder, scratch, complete, [(scratch / f"{table}.jsonl", folder / f"{table}.jsonl") for table in TABLES])
        return digest.hexdigest()
