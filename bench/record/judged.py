"""What `bench judge` keeps beside the runs: judged/A-vs-B-HASH.jsonl.

The first line says who was judged by whom (`About`), every further line is one pair of texts (`Pair`): those of the
runs, then those with known answers.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.errors import UserError
from bench.record import files, runs
from bench.record.contents import Content, Count, Number, Object, Text

FOLDER = "judged"
NAME = 40  # characters of each label in a file's name
WRONG = "`bench judge` without --again writes it anew"


class About(Content):
    """`a`, `b`: labels. `runs`: the names of all run folders -> sha256 of their samples. `options`: of the judge."""

    format: Literal[1] = 1
    a: Text
    b: Text
    runs: dict[Text, Text]
    data: Text
    judge: Text
    version: Text
    options: Object


class Pair(Content):
    """One pair of texts and its verdict (`metrics.pairwise.Verdict`).

    `known`: "" for texts of runs; else the id of the peer's review that the user's own was compared with. `near`:
    whether its rating is within 1. `words`: of the one text and of the other.
    """

    sample_id: Text
    category: Text
    user_id: Text
    known: Text = ""
    near: bool = True
    seed: int | None = None
    words: list[Count]
    score: Number | None
    settled: Literal["asked", "empty", "same"]
    answers: list[Text | None]
    choices: list[Literal["one", "other", "tie"] | None]
    reviews: Count
    shortened: bool


@dataclass(frozen=True)
class Judgement:
    """`pairs` are of the runs, `known` those with known answers."""

    about: About
    pairs: tuple[Pair, ...]
    known: tuple[Pair, ...]


def place(out: Path, a: str, b: str, names: Sequence[str], options: dict[str, Any]) -> Path:
    """The file of this judgement: of these runs (`names`, A's then B's) by a judge with these options."""
    digest = hashlib.sha256(json.dumps([*names, options], sort_keys=True).encode()).hexdigest()[:8]
    return out / FOLDER / f"{_slug(a)}-vs-{_slug(b)}-{digest}.jsonl"


def _slug(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", label.casefold())[:NAME].strip("-")


def write(path: Path, judgement: Judgement) -> None:
    """Replaces the file, completely or not at all."""
    rows = [one.model_dump() for one in (judgement.about, *judgement.pairs, *judgement.known)]
    files.write(path, "".join(f"{runs.dump(row)}\n" for row in rows))


def heads(out: Path) -> Iterator[tuple[Path, About]]:
    """Every file beside these runs and whom it judged, without its pairs. What cannot be read is left out."""
    for path in sorted((out / FOLDER).glob("*.jsonl")):
        with path.open() as file, suppress(ValueError):
            yield path, About.model_validate_json(file.readline())


def read(path: Path) -> Judgement:
    """Raises UserError where it is missing, or a line is not what `write` wrote."""
    if not path.is_file():
        raise UserError(f"{path} is not there: nothing is kept of these runs and this judge; leave out --again")
    lines = path.read_text().splitlines()
    head: list[About] = []
    pairs: list[Pair] = []
    for number, line in enumerate(lines, start=1):
        try:
            if number == 1:
                head.append(About.model_validate(json.loads(line)))
            else:
                pairs.append(Pair.model_validate(json.loads(line)))
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{path}, line {number} is not what `bench judge` wrote: {reason}; {WRONG}") from error
    if not head:
        raise UserError(f"{path} is empty; {WRONG}")
    known = tuple(pair for pair in pairs if pair.known)
    return Judgement(head[0], tuple(pair for pair in pairs if not pair.known), known)
