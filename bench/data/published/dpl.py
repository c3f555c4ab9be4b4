"""DPL's processed Amazon reviews: the public DPL-main (samples) and DPL-meta (items), as a saved copy or fetched.

A copy is a folder with `DPL-main` and `DPL-meta`, each with a folder a category, in it a saved `datasets` folder or
`SPLIT*.parquet`, `SPLIT*.jsonl` or `SPLIT*.json`; splits train, val, test and, of the items, full. The splits are
taken as the paper does (appendix A): test as published; of the val splits of all categories together 512 drawn; train
samples all, of which `Corpus.training_samples` is the unified training set, the newest of each user.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.console.meter import Meter
from bench.data.published.imports import Imported, note_peers, reading, rows_of
from bench.data.published.published import Published, Tables, Written, put, source
from bench.errors import UserError

REPOSITORIES = {"DPL-main": "SnowCharmQ/DPL-main", "DPL-meta": "SnowCharmQ/DPL-meta"}
CATEGORIES = ("Books", "Movies_and_TV", "CDs_and_Vinyl")  # in the paper's order
SPLITS = ("train", "val", "test")
N_VAL = 512
VAL_SEED = 42  # of the released code's shuffle
FETCHED = "fetched.json"


def load(folder: Path, out: Path, *, n_val: int = N_VAL, meter: Meter | None = None) -> Imported:
    """Writes the dataset of a saved copy into `out`.

    Raises UserError for a folder that is no such copy, or was changed after it was fetched.
    """
    names = _categories(folder)
    fetched = _checked(folder)
    drawn = draw(folder, names, n_val)
    found = Imported(out)
    meter = meter or Meter()
    for name in names:
        meter.start(f"reading {name}", len(SPLITS))
        tables = Tables(name)
        items, files = _items(folder, name)
        for split in SPLITS:
            rows, read = rows_of(folder / "DPL-main" / name, split)
            files += read
            for number, row in enumerate(rows):
                taken = split != "val" or number in drawn[name]
                with reading(f"{folder / 'DPL-main' / name} {split}, sample {number + 1}"):
                    tables.add(_sample(row, split, items, tables, drawn=taken))
            meter.advance(1)
        split = f"as published; val: {n_val} drawn of all categories' val samples, seed {VAL_SEED}"
        named = [(str(path.relative_to(folder)), path) for path in files]
        fingerprint = put(out, tables, files=named, split=split, more={"n_val": n_val, **fetched})
        found.add(tables, fingerprint)
    note_peers(found)
    return found


def draw(folder: Path, names: Sequence[str], n_val: int) -> dict[str, set[int]]:
    """Category -> rows of its val split that are used: the first `n_val` of a shuffle of all categories' rows.

    numpy's permutation, which is what `datasets.shuffle` does, over the categories in the paper's order.
    """
    import numpy as np

    places = [(name, row) for name in names for row, _ in enumerate(rows_of(folder / "DPL-main" / name, "val")[0])]
    chosen = np.random.default_rng(VAL_SEED).permutation(len(places))[:n_val]
    drawn: dict[str, set[int]] = {name: set() for name in names}
    for place in chosen:
        name, row = places[place]
        drawn[name].add(row)
    return drawn


def _categories(folder: Path) -> list[str]:
    main = folder / "DPL-main"
    found = {path.name for path in main.iterdir() if path.is_dir()} if main.is_dir() else set()
    if not found or not (folder / "DPL-meta").is_dir():
        raise UserError(
            f"{folder} is no copy of DPL's data: DPL-main/CATEGORY and DPL-meta/CATEGORY are expected in it; "
            "`bench data fetch dpl` makes one"
        )
    return [*(name for name in CATEGORIES if name in found), *sorted(found - set(CATEGORIES))]


def _items(folder: Path, category: str) -> tuple[dict[str, Mapping[str, Any]], list[Path]]:
    rows, files = rows_of(folder / "DPL-meta" / category, "full")
    return {row["asin"]: row for row in rows}, list(files)


def _sample(
    row: Mapping[str, Any], split: Any, items: Mapping[str, Mapping[str, Any]], tables: Tables, *, drawn: bool
) -> Published:
    user = str(row["user_id"])
    history = [_written(user, past, items, tables) for past in row["profile"] or ()]
    return Published(split, _written(user, row["data"], items, tables), history, drawn)


def _written(user: str, values: Mapping[str, Any], items: Mapping[str, Mapping[str, Any]], tables: Tables) -> Written:
    item = items.get(values["asin"])
    if item is None:
        tables.noted[f"texts on items that {tables.category}'s metadata lacks: no title or description"] += 1
    known = item or {}
    return Written(
        user_id=user,
        item_id=values["asin"],
        item_title=known.get("title") or "",
        description=known.get("description") or "",
        rating=float(values["rating"]),
        title=values["title"] or "",
        text=values["text"] or "",
        timestamp=values["timestamp"],
    )


def fetch(folder: Path, categories: Iterable[str] = CATEGORIES, *, revision: str | None = None) -> None:
    """Makes a saved copy in `folder`, of the commits that it was first fetched at, or of `revision`.

    The commits and the sha256 of every file are kept in fetched.json. Raises UserError where the hub cannot be
    reached, saying what to download and where to put it.
    """
    from datasets import load_dataset
    from huggingface_hub import HfApi

    known = _fetched(folder).get("revisions", {})
    commits: dict[str, str] = {}
    try:
        for name, repository in REPOSITORIES.items():
            wanted = revision or known.get(repository)
            commits[repository] = str(HfApi().dataset_info(repository, revision=wanted).sha)
            for category in categories:
                target = folder / name / category
                load_dataset(repository, category, revision=commits[repository]).save_to_disk(target)
    except Exception as error:  # whatever the hub's client raises, the way out is the same
        raise UserError(_by_hand(folder, error)) from error
    files = sorted(path for name in REPOSITORIES for path in (folder / name).rglob("*.arrow"))
    digests = {str(path.relative_to(folder)): source(path.name, path)["sha256"] for path in files}
    told = {"revisions": commits, "sha256": digests}
    (folder / FETCHED).write_text(f"{json.dumps(told, indent=2)}\n", "utf-8")


def _by_hand(folder: Path, error: Exception) -> str:
    cause = (str(error).strip().splitlines() or [""])[0][:200] or type(error).__name__
    return (
        f"DPL's data cannot be fetched from huggingface.co ({cause}); where it can be reached, download the data sets "
        f"{' and '.join(REPOSITORIES.values())}, put each category's files into {folder}/DPL-main/CATEGORY "
        f"(train*.parquet, val*.parquet, test*.parquet) and {folder}/DPL-meta/CATEGORY (full*.parquet), "
        f"and run `bench data import {folder} --out OUT`"
    )


def _fetched(folder: Path) -> dict[str, Any]:
    path = folder / FETCHED
    try:
        told: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON; delete it and run `bench data fetch dpl` again") from error
    return told


def _checked(folder: Path) -> dict[str, Any]:
    """What dataset.json should say of a fetched copy. Raises UserError where a file of it was changed since."""
    told = _fetched(folder)
    for name, expected in _sorted(told.get("sha256", {})):
        path = folder / name
        if not path.is_file() or source(name, path)["sha256"] != expected:
            raise UserError(f"{path} is not the file that was fetched; run `bench data fetch dpl` again")
    return {"revisions": told["revisions"]} if "revisions" in told else {}


def _sorted(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield from sorted(values.items())
