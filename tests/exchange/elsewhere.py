"""Somebody else's code: it copies the user's newest review; and the two commands on the tests' dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.fakes import World, bench

Row = dict[str, Any]


def export(world: World, *words: object) -> list[Row]:
    to = world.path / "samples.jsonl"
    assert bench("export", "samples", "--data", world.data, "--to", to, *words) == 0
    return [json.loads(line) for line in to.read_text().splitlines()]


def written(samples: list[Row]) -> list[Row]:
    return [{"sample_id": one["sample_id"], "text": one["history"][0]["text"]} for one in samples]


def save(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def bring_in(world: World, *words: object, name: str = "Copier") -> int:
    given = ["--data", world.data, "--profile", world.profile, "--out", world.out, "--name", name]
    return bench("import", "predictions", *words, *given)
