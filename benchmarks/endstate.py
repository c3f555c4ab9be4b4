"""The state of an output folder without times and speeds, and how the state after kills differs from it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Set
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bench.record import runs
from bench.record.runs import RunFolder
from bench.train import checkpoint as checkpoints
from bench.train.checkpoint import STEPS, TRAINING

Contents = Mapping[str, Any]  # name -> content that must be equal in two runs

# The fields of a sample's row without costs, and of a training step without speeds.
ROW = ("error", "retrieved", "dropped", "requests", "notes")
STEP = ("step", "epoch", "loss", "grad_norm", "lr", "tokens")


@dataclass(frozen=True)
class EndState:
    """Rows, texts and scores of all runs, validation included; stored requests; weights and steps of trainings."""

    rows: Contents
    texts: Contents
    scores: Contents
    requests: Contents
    weights: Contents
    steps: Contents


@dataclass(frozen=True)
class Difference:
    """Names that are missing, extra, or there with another content."""

    lost: tuple[str, ...]
    extra: tuple[str, ...]
    changed: tuple[str, ...]

    def __str__(self) -> str:
        found = {"lost": self.lost, "too many": self.extra, "changed": self.changed}
        parts = [f"{len(names)} {what} ({names[0]})" for what, names in found.items() if names]
        return ", ".join(parts) or "equal"


def read(out: Path) -> EndState:
    """The state of an output folder, finished or not."""
    rows, folders = dict(_rows(out)), checkpoints.find(out)
    return EndState(
        rows={name: {key: row[key] for key in ROW} for name, row in rows.items()},
        texts={name: row["text"] for name, row in rows.items()},
        scores={_name(folder, out): _scores(folder) for folder in _folders(out) if folder.done}
        | {_name(file, out): _choice(file) for one in folders for file in one.path.glob("selection-*.json")},
        requests=stored(out),
        weights={
            _name(file, out): hashlib.sha256(file.read_bytes()).hexdigest()
            for one in folders
            for file in one.path.glob("epoch-*.safetensors")
        },
        steps={
            f"{_name(one.path, out)} {number}": {key: step[key] for key in STEP}
            for one in folders
            if (one.path / TRAINING).is_file()
            for number, step in enumerate(one.folder.rows(STEPS), 1)
        },
    )


def compare(unbroken: EndState, broken: EndState) -> dict[str, Difference]:
    """Part of the state -> its difference."""
    return {part.name: _difference(getattr(unbroken, part.name), getattr(broken, part.name)) for part in fields(broken)}


def stored(out: Path) -> dict[str, Any]:
    """key -> (text, ids) of every request that has completed."""
    path = out / ".store" / "requests.sqlite"
    if not path.is_file():
        return {}
    with closing(sqlite3.connect(path, timeout=60)) as db:
        answers = {key: json.loads(answer) for key, answer in db.execute("SELECT key, completion FROM completions")}
    return {key: (answer["text"], answer["ids"]) for key, answer in answers.items()}


def made_again(out: Path, *, rows: Set[str], requests: Set[str]) -> list[str]:
    """New rows with a request that was generated although it had completed before.

    `rows` and `requests` are the names of those that existed when the command that wrote the new rows started.
    """
    return [
        f"{name} {stage}"
        for name, row in _rows(out)
        if name not in rows
        for stage, cost in row["stages"].items()
        if cost["from_store"] < sum(key in requests for asked, key in row["requests"] if asked == stage)
    ]


def _folders(out: Path) -> list[RunFolder]:
    validations = [found for one in checkpoints.find(out) for found in sorted(one.path.glob("validation-*/epoch-*"))]
    return [*runs.find(out), *map(RunFolder, validations)]


def _rows(out: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for folder in _folders(out):
        for row in folder.rows(runs.SAMPLES):
            yield f"{_name(folder, out)} {row['sample_id']}", row


def _scores(folder: RunFolder) -> dict[str, Any]:
    return {"table": folder.read(runs.SUMMARY)["scores"], "rows": list(folder.rows(runs.SCORES))}


def _choice(file: Path) -> dict[str, Any]:
    kept = json.loads(file.read_text())
    return {key: kept[key] for key in ("epoch", "meteor", "n", "failed")}


def _name(place: RunFolder | Path, out: Path) -> str:
    path = place.path if isinstance(place, RunFolder) else place
    return str(path.relative_to(out))


def _difference(unbroken: Contents, broken: Contents) -> Difference:
    return Difference(
        lost=tuple(sorted(unbroken.keys() - broken.keys())),
        extra=tuple(sorted(broken.keys() - unbroken.keys())),
        changed=tuple(name for name, content in unbroken.items() if name in broken and broken[name] != content),
    )
