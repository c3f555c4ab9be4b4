"""The scores of a run as arrays, which tables resample and slice. Reading them takes a millisecond.

    scores.npz      header (JSON as bytes), codes (2, n) int32: category and user of each sample,
                    values (n, c) float64: each metric's statistics, then the samples' properties

The file is made from scores.jsonl whenever it is missing or outdated, so deleting it loses nothing. The header holds
checksums of scores.jsonl and of the arrays. They find every accident and every change of one file. `bench verify` finds
changed arrays whose checksums were changed as well.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import registry
from bench.errors import UserError
from bench.record import files, runs
from bench.record.runs import RunFolder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FORMAT = 2
FILE = "scores.npz"
ABOUT = ("sample_id", "category", "user_id", "properties")
# What reading a damaged or foreign file may raise.
UNREADABLE = (OSError, EOFError, ValueError, TypeError, AttributeError, LookupError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class ScoreArrays:
    """The scores of n samples in corpus order. `user` numbers the pairs (category, user) by first appearance."""

    samples: str  # sha256 of the sample ids: equal if the samples of two runs pair up
    categories: tuple[str, ...]
    category: NDArray[np.int32]
    user: NDArray[np.int32]
    numbers: Array  # (n, c): the statistics of all metrics
    places: Mapping[str, slice]  # metric -> its columns in `numbers`
    keys: Mapping[str, tuple[str, ...]]  # metric -> its columns that are plain means over rows
    properties: Mapping[str, Array]  # name -> (n,), NaN where a sample has none

    def statistics(self, metric: str) -> Array:
        """The (n, m) numbers of one metric."""
        return self.numbers[:, self.places[metric]]


def load(folder: RunFolder) -> ScoreArrays | None:
    """The arrays of a finished run; None without scores.jsonl. Raises UserError if that file is damaged."""
    try:
        source = _checksum((folder.path / runs.SCORES).read_bytes())
    except OSError:
        return None
    with suppress(*UNREADABLE):
        header, codes, values = _read(folder)
        arrays = _checksum(_content(header, codes, values))
        if (header["format"], header["source"], header["arrays"]) == (FORMAT, source, arrays):
            return _unpack(header, codes, values)
    return build(folder, _rows(folder))


def build(folder: RunFolder, rows: Sequence[dict[str, Any]]) -> ScoreArrays:
    """Keeps the arrays of `rows`, the content of scores.jsonl, if the folder is writable and all metrics are known."""
    source = _checksum((folder.path / runs.SCORES).read_bytes())
    header, codes, values = _pack(rows)
    if all(_metric(name) is not None for name in header["metrics"]):
        _keep(folder, {**header, "source": source, "arrays": _checksum(_content(header, codes, values))}, codes, values)
    return _unpack(header, codes, values)


def of_rows(rows: Sequence[dict[str, Any]], *, left_out: Sequence[int] = ()) -> ScoreArrays:
    """The arrays of rows that stand in no run folder. Samples at the places `left_out` add nothing to any sum."""
    header, codes, values = _pack(rows)
    made = _unpack(header, codes, values)
    made.numbers[list(left_out)] = 0.0
    return made


def _keep(folder: RunFolder, header: Mapping[str, Any], codes: NDArray[np.int32], values: Array) -> None:
    # In a read-only folder nothing is kept: tables take longer, and are the same.
    with suppress(OSError), files.replacing(folder.path / FILE) as temporary, temporary.open("wb") as file:
        np.savez(file, header=np.frombuffer(json.dumps(header).encode(), np.uint8), codes=codes, values=values)


def agrees(folder: RunFolder) -> bool:
    """Whether the kept arrays are those of scores.jsonl. True if there are none of this format. Writes nothing."""
    try:
        header, codes, values = _read(folder)
        return header["format"] != FORMAT or _content(header, codes, values) == _content(*_pack(_rows(folder)))
    except FileNotFoundError:
        return True
    except UNREADABLE:
        return False


def _read(folder: RunFolder) -> tuple[dict[str, Any], NDArray[np.int32], Array]:
    with np.load(folder.path / FILE) as file:
        return json.loads(file["header"].tobytes()), file["codes"], file["values"]


def _rows(folder: RunFolder) -> list[dict[str, Any]]:
    rows = list(folder.rows(runs.SCORES))
    if not rows:
        raise UserError(f"{folder.path / runs.SCORES} holds no scores; `bench score {folder.path}` writes them")
    return rows


def _checksum(content: bytes) -> list[int]:
    """Length and CRC-32: a tenth of a second for hundreds of megabytes. A digest would take most of a table's time."""
    return [len(content), zlib.crc32(content)]


def _content(header: Mapping[str, Any], codes: NDArray[np.int32], values: Array) -> bytes:
    about = {key: value for key, value in header.items() if key not in ("source", "arrays")}
    return b"".join([json.dumps(about, sort_keys=True).encode(), codes.tobytes(), values.tobytes()])


def _pack(rows: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], NDArray[np.int32], Array]:
    categories = list(dict.fromkeys(row["category"] for row in rows))
    users: dict[tuple[str, str], int] = {}
    for row in rows:
        users.setdefault((row["category"], row["user_id"]), len(users))
    codes = [[categories.index(row["category"]), users[row["category"], row["user_id"]]] for row in rows]
    blocks = {name: statistics(name, [row[name] for row in rows]) for name in rows[0] if name not in ABOUT}
    known = list(rows[0].get("properties", {}))
    properties = [[_number(row["properties"].get(name)) for name in known] for row in rows]
    values = [block for block, _ in blocks.values()] + [np.array(properties, np.float64).reshape(len(rows), len(known))]
    header = {
        "format": FORMAT,
        "samples": hashlib.sha256(json.dumps([row["sample_id"] for row in rows]).encode()).hexdigest(),
        "categories": categories,
        "metrics": {name: [block.shape[1], keys] for name, (block, keys) in blocks.items()},
        "properties": known,
    }
    return header, np.array(codes, np.int32).T, np.concatenate(values, axis=1)


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _unpack(header: Mapping[str, Any], codes: NDArray[np.int32], values: Array) -> ScoreArrays:
    start, places = 0, {}
    for name, (width, _) in header["metrics"].items():
        places[name] = slice(start, start + width)
        start += width
    return ScoreArrays(
        samples=header["samples"],
        categories=tuple(header["categories"]),
        category=codes[0],
        user=codes[1],
        numbers=values[:, :start],
        places=places,
        keys={name: tuple(keys) for name, (_, keys) in header["metrics"].items()},
        properties={name: values[:, start + place] for place, name in enumerate(header["properties"])},
    )


def statistics(name: str, rows: Sequence[Mapping[str, Any]]) -> tuple[Array, list[str]]:
    """The (n, m) numbers of one metric, and the keys of its columns that are plain means.

    `values` computes the columns from sums of these numbers. A mean takes two numbers for each row: the value and 1, or
    0 and 0 if the row has no value. A metric that is not installed has (n, 0).
    """
    metric = _metric(name)
    if metric is None:
        return np.empty((len(rows), 0)), []
    if hasattr(metric, "statistics"):
        return np.array([metric.statistics(row) for row in rows], np.float64), []
    keys = [column.key for column in metric.columns if column.key in rows[0]]
    pairs = [[(0.0, 0.0) if row[key] is None else (float(row[key]), 1.0) for key in keys] for row in rows]
    return np.array(pairs, np.float64).reshape(len(rows), 2 * len(keys)), keys


def values(name: str, sums: Array, keys: Sequence[str]) -> dict[str, Array]:
    """(..., m) sums of `statistics` -> column key -> (...) values; NaN where there is none, as where no row had one."""
    if keys:
        with np.errstate(invalid="ignore", divide="ignore"):
            return {key: sums[..., 2 * place] / sums[..., 2 * place + 1] for place, key in enumerate(keys)}
    metric = _metric(name) if sums.shape[-1] else None
    found: dict[str, Array] = metric.values(sums) if metric else {}
    return {key: np.where(np.isfinite(made), made, np.nan) for key, made in found.items()}


@cache
def _metric(name: str) -> Any:
    try:
        return registry.create("metric", name)
    except UserError:  # a plug-in that is not loaded: its values are in the summary, only its intervals are missing
        return None
