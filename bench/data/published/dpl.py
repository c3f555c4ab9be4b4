"""DPL's processed Amazon reviews: the public DPL-main (samples) and DPL-meta (items), as a saved copy or fetched.

A copy is a folder with `DPL-main` and `DPL-meta`, each with one folder per category. That is a folder saved by
`datasets`, or it has files `SPLIT*.parquet`, `SPLIT*.jsonl` or `SPLIT*.json`. The splits of DPL-main are train, val and
test; DPL-meta has the split full. They are used as in the paper (appendix A): test as published; 512 samples drawn from
the val splits of all categories together; all train samples, of which `Corpus.training_samples` chooses each user's
newest as the unified training set.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.console.meter import Meter
from bench.data.published.files import naming_sample, rows_of
from bench.data.published.report import ImportReport
from bench.data.published.tables import Published, Tables, Written, source, write
from bench.data.time_column import Times
from bench.errors import UserError

REPOSITORIES = {"DPL-main": "SnowCharmQ/DPL-main", "DPL-meta": "SnowCharmQ/DPL-meta"}
CATEGORIES = ("Books", "Movies_and_TV", "CDs_and_Vinyl")  # in the paper's order
SPLITS = ("train", "val", "test")
N_VAL = 512
VAL_SEED = 42  # the released code shuffles with it
FETCHED = "fetched.json"


def load(
    folder: Path, out: Path, *, n_val: int = N_VAL, strict: bool = False, progress: Meter | None = None
) -> ImportReport:
    """Writes the dataset of a saved copy into `out`.

    Raises UserError for a folder that is no such copy, or was changed after it was fetched, and with `strict` for odd
    times.
    """
    names = _categories(folder)
    published = {"n_val": n_val, **_revisions(folder)}
    drawn = draw(folder, names, n_val)
    report = ImportReport(out, strict=strict)
    split = f"as published; val: {n_val} drawn of all categories' val samples, seed {VAL_SEED}"
    for name in names:
        times = Times.of(_spelled(folder / "DPL-main" / name))
        report.note_times(name, times)
        tables, files = _tables(folder, name, drawn[name], times, progress or Meter())
        named = [(str(path.relative_to(folder)), path) for path in files]
        report.add(tables, write(out, tables, files=named, split=split, published=published))
    report.note_peers()
    return report


def _spelled(main: Path) -> Iterator[Any]:
    """The times of a category as they are published."""
    for split in SPLITS:
        for row in rows_of(main, split)[0]:
            texts = [row.get("data"), *(row.get("profile") or ())]
            yield from (text.get("timestamp") for text in texts if isinstance(text, Mapping))


def _tables(folder: Path, category: str, drawn: set[int], times: Times, progress: Meter) -> tuple[Tables, list[Path]]:
    """The tables of a category, and the files that they come from. `drawn` are the used rows of its val split."""
    progress.start(f"reading {category}", len(SPLITS))
    tables = Tables(category)
    items, files = _items(folder, category)
    main = folder / "DPL-main" / category
    for split in SPLITS:
        rows, read = rows_of(main, split)
        files += read
        for number, row in enumerate(rows):
            used = split != "val" or number in drawn
            with naming_sample(f"{main} {split}, sample {number + 1}"):
                tables.add(_sample(row, split, Texts(items, times, tables), drawn=used))
        progress.advance(1)
    return tables, files


def draw(folder: Path, names: Sequence[str], n_val: int) -> dict[str, set[int]]:
    """Category -> the used rows of its val split: the first `n_val` of a shuffle of all categories' rows.

    Uses numpy's permutation over the categories in the paper's order, as `datasets.shuffle` does.
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


@dataclass(frozen=True, slots=True)
class Texts:
    """What texts are completed with: items by id, how times are read, and where to note what is missing."""

    items: Mapping[str, Mapping[str, Any]]
    times: Times
    tables: Tables


def _sample(row: Mapping[str, Any], split: Any, texts: Texts, *, drawn: bool) -> Published:
    user = str(row["user_id"])
    history = [_written(user, past, texts) for past in row["profile"] or ()]
    return Published(split, _written(user, row["data"], texts), history, drawn)


def _written(user: str, values: Mapping[str, Any], texts: Texts) -> Written:
    item, tables = texts.items.get(values["asin"]), texts.tables
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
        timestamp=texts.times.ms(values["timestamp"]),
    )


def fetch(folder: Path, categories: Iterable[str] = CATEGORIES, *, revision: str | None = None) -> None:
    """Makes a saved copy in `folder`, at `revision` or at the commits of the first fetch.

    fetched.json keeps the commits and the sha256 of every file. Raises UserError where the hub cannot be reached,
    saying what to download and where to put it.
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
    except Exception as error:  # the hub's client raises errors of many types; the user's way out is the same
        raise UserError(_by_hand(folder, error)) from error
    files = sorted(path for name in REPOSITORIES for path in (folder / name).rglob("*.arrow"))
    digests = {str(path.relative_to(folder)): source(path.name, path)["sha256"] for path in files}
    fetched = {"revisions": commits, "sha256": digests}
    (folder / FETCHED).write_text(f"{json.dumps(fetched, indent=2)}\n", "utf-8")


def _by_hand(folder: Path, error: Exception) -> str:
    cause = (str(error).strip().splitlines() or [""])[0][:200] or type(error).__name__
    return (
        f"DPL's data cannot be fetched from huggingface.co ({cause}); where it can be reached, download the data sets "
        f"{' and '.join(REPOSITORIES.values())}, put each category's files into {folder}/DPL-main/CATEGORY "
        f"(train*.parquet, val*.parquet, test*.parquet) and {folder}/DPL-meta/CATEGORY (full*.parquet), "
        f"and run `bench data import {folder} --out OUT`"
    )


def _fetched(folder: Path) -> dict[str, Any]:
    """fetched.json of a copy, or nothing for a copy that was made by hand."""
    path = folder / FETCHED
    try:
        fetched: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON; delete it and run `bench data fetch dpl` again") from error
    return fetched


def _revisions(folder: Path) -> dict[str, Any]:
    """The commits of a fetched copy, for dataset.json. Raises UserError where a file was changed since."""
    fetched = _fetched(folder)
    for name, expected in sorted(fetched.get("sha256", {}).items()):
        path = folder / name
        if not path.is_file() or source(name, path)["sha256"] != expected:
            raise UserError(f"{path} is not the file that was fetched; run `bench data fetch dpl` again")
    return {"revisions": fetched["revisions"]} if "revisions" in fetched else {}
