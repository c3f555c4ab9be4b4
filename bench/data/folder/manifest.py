"""dataset.json, the manifest of a dataset folder: read and checked.

    format        1 for JSON lines, 2 for Parquet
    name, title   as tables and messages show them
    synthetic     true where nobody wrote the reviews
    categories    their names; with Parquet also the names of their folders
    fingerprint   sha256 over the content of all tables

Further entries say where the dataset comes from, for readers: counts, thresholds, sources, split.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.data.folder.rows import TEXT, Types, check_fields
from bench.errors import UserError
from bench.record.files import once

JSON_LINES = 1
PARQUET = 2
MANIFEST = "dataset.json"

FIELDS: dict[str, Types] = {
    "format": (int,), "name": TEXT, "title": TEXT, "synthetic": (bool,), "categories": (list,),
}  # fmt: skip


def read_manifest(folder: Path) -> dict[str, Any]:
    """dataset.json of a folder. Raises UserError where it is missing, broken or of an unknown format."""
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"{folder} has no {MANIFEST}: not a dataset, or never finished; run `bench data build`")
    manifest = _json_object(path)
    check_fields(str(path), manifest, FIELDS)
    if manifest["format"] not in (JSON_LINES, PARQUET):
        raise UserError(f"{path}: format {manifest['format']} is not {JSON_LINES} or {PARQUET}; build it again")
    _check_names(str(path), manifest)
    return manifest


def _json_object(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text("utf-8"), object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise UserError(f"{path} line {error.lineno}: not JSON ({error.msg}); run `bench data build` again") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error}); run `bench data build` again") from error
    if not isinstance(manifest, dict):
        raise UserError(f"{path} line 1: not a JSON object; run `bench data build` again")
    return manifest


def _check_names(where: str, manifest: Mapping[str, Any]) -> None:
    """Raises UserError for names that tables cannot show, and for categories that lead out of the dataset's folder."""
    categories = manifest["categories"]
    for name in (manifest["name"], manifest["title"], *categories):
        if not isinstance(name, str) or not is_printable(name):
            raise UserError(f"{where}: a name must be text without control characters, found {name!r:.60}; correct it")
    for name in categories:
        if categories.count(name) > 1:
            raise UserError(f"{where}: category {name!r:.60} is there twice; remove one of them")
        if not name.strip() or (manifest["format"] == PARQUET and not is_folder_name(name)):
            raise UserError(f"{where}: category {name!r:.60} is no name of a folder; build it again under another name")


def is_printable(name: str) -> bool:
    """Whether a name can be shown anywhere: no control character, no half of a surrogate pair."""
    return not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)


def is_folder_name(name: str) -> bool:
    """Whether a name is the name of one folder, and no path to another."""
    fits = is_printable(name) and name == name.strip() and len(name.encode()) < 200
    return fits and bool(name) and not name.startswith(".") and not set(name) & set("/\\")


def check_fingerprint(folder: Path, manifest: Mapping[str, Any], fingerprint: str) -> None:
    """Raises UserError where the tables that were read have another fingerprint than dataset.json names."""
    if manifest.get("fingerprint", fingerprint) != fingerprint:
        raise UserError(
            f"{folder} was changed after it was written: its fingerprint is {fingerprint[:12]}, not {MANIFEST}'s "
            f"{str(manifest['fingerprint'])[:12]}; build it again in a new folder, or delete that entry to accept it"
        )


def counts(tables: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, dict[str, int]]:
    """Per category: users, items, reviews and the samples of each split."""
    users = {(row["category"], row["user_id"]) for row in tables["reviews"]}
    found = Counter(("users", category) for category, _ in users)
    found.update((table, row["category"]) for table in ("items", "reviews") for row in tables[table])
    found.update((row["split"], row["category"]) for row in tables["samples"])
    names = ("users", "items", "reviews", "train", "val", "test")
    return {category: {name: found[name, category] for name in names} for category in sorted({c for _, c in found})}


def split_definition(train_inputs: int) -> str:
    """How the samples of a user are split, as a sentence."""
    return (
        f"per user: newest review test, next val, next {train_inputs} train, the rest profile; "
        "history: profile and older inputs, newest first"
    )
