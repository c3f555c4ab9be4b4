"""A file of texts that were made elsewhere: JSON lines of a sample and its text. What is wrong with it is counted.

A line names its sample by `sample_id`, or by `user_id` and `item_id`, with `category` where ids repeat over categories.
`text` is what was written. A `fingerprint`, which `bench export samples` writes, must be that of the data. All else on
the line is ignored.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.corpus import Corpus
from bench.data.folder import jsonl
from bench.data.link import SPLITS
from bench.errors import UserError, shown
from bench.record.files import check_regular
from bench.types import Sample

UTF16 = (b"\xff\xfe", b"\xfe\xff")
FORM = '{"sample_id": "...", "text": "..."}'
ONE_A_LINE = f"one JSON object a line is expected, such as {FORM}"


@dataclass(frozen=True)
class Rules:
    """What is let pass: samples without a text (they fail), lines of no sample, several texts (the last counts)."""

    allow_missing: bool = False
    ignore_unknown: bool = False
    last: bool = False


@dataclass(frozen=True)
class Predictions:
    """`texts`: sample id -> text in the samples' order, None for a missing one. The counts say what was let pass."""

    texts: dict[str, str | None]
    sha256: str  # of the file
    missing: int
    unknown: int  # lines
    doubles: int  # lines whose text was replaced by a later one


@dataclass(frozen=True)
class Line:
    number: int
    values: dict[str, Any]


def read(path: Path, samples: Sequence[Sample], corpus: Corpus, rules: Rules) -> Predictions:
    """The texts of these samples of the corpus. Raises UserError for the first kind of mistake that the rules forbid:
    how many lines have it, the first of them, and what mends it.
    """
    lines = list(_lines(path))
    said = _Mistakes(path, len(lines))
    said.refuse(
        _without_text(lines), "have no text", "give text as a string; leave failed samples out: --allow-missing"
    )
    said.refuse(_without_id(lines), "name no sample", "give sample_id, or user_id and item_id")
    said.refuse(
        _of_other_data(lines, corpus),
        f"are of other data than '{corpus.name}'",
        "name the data that the samples were exported from by --data, or export them again",
    )
    wanted = _Index(samples)
    found = [(line, wanted.named_by(line.values)) for line in lines]
    said.refuse(
        [
            (line.number, f"{_who(line)} is {', '.join(one.sample_id for one in some)}")
            for line, some in found
            if len(some) > 1
        ],
        "name several samples",
        "give category, or sample_id",
    )
    unknown = [line for line, some in found if not some]
    if not rules.ignore_unknown or len(unknown) == len(lines):
        _refuse_unknown(said, unknown, corpus)
    texts: dict[str, str] = {}
    doubles: list[tuple[int, str]] = []
    for line, some in found:
        for sample in some:
            doubles += [(line.number, sample.sample_id)] if sample.sample_id in texts else []
            texts[sample.sample_id] = line.values["text"]
    if not rules.last:
        said.refuse(doubles, "give a sample a second text", "keep one of them, or add --last")
    missing = [sample.sample_id for sample in samples if sample.sample_id not in texts]
    if missing and not rules.allow_missing:
        raise UserError(
            f"{path}: {len(missing):,} of {len(samples):,} samples have no text, first {shown(missing[0])}; add "
            "--allow-missing to count them as failed (score 0), or import with the --split and --limit of the export"
        )
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    in_order = {sample.sample_id: texts.get(sample.sample_id) for sample in samples}
    return Predictions(in_order, sha256, len(missing), len(unknown), len(doubles))


def _lines(path: Path) -> Iterator[Line]:
    """Raises UserError for a file that is none, is empty, or has lines that are no JSON objects."""
    check_regular(path, "name a file of JSON lines")
    wrong: list[tuple[int, str]] = []
    lines = []
    for number, line in jsonl.lines(path):
        if number == 1 and line.startswith(UTF16):
            raise UserError(f"{path} is UTF-16, and JSON lines are UTF-8; save it as UTF-8")
        try:
            lines.append(Line(number, jsonl.parse(line)))
        except UnicodeDecodeError as error:
            wrong.append((number, f"byte {line[error.start]:#04x} is no UTF-8"))
        except ValueError as error:
            wrong.append((number, str(error)))
    if not lines and not wrong:
        raise UserError(f"{path} is empty; {ONE_A_LINE}")
    _Mistakes(path, len(lines) + len(wrong)).refuse(wrong, "cannot be read", f"{ONE_A_LINE}, in UTF-8")
    yield from lines


@dataclass(frozen=True)
class _Mistakes:
    """Says what is wrong with a file of `n` lines."""

    path: Path
    n: int

    def refuse(self, found: Iterable[tuple[int, str]], what: str, cure: str) -> None:
        """`found`: the number of each wrong line, and why. Raises UserError if there is any."""
        listed = list(found)
        if listed:
            number, why = listed[0]
            raise UserError(
                f"{self.path}: {len(listed):,} of {self.n:,} lines {what}, first line {number}: {why}; {cure}"
            )


def _without_text(lines: Iterable[Line]) -> Iterator[tuple[int, str]]:
    for line in lines:
        if not isinstance(text := line.values.get("text"), str):
            yield line.number, f"text is {shown(text)}" if "text" in line.values else f"it has {_keys(line)}"


def _without_id(lines: Iterable[Line]) -> Iterator[tuple[int, str]]:
    for line in lines:
        if _id(line.values, "sample_id") is None and None in (_id(line.values, "user_id"), _id(line.values, "item_id")):
            yield line.number, f"it has {_keys(line)}"


def _keys(line: Line) -> str:
    return ", ".join(map(str, list(line.values)[:6])) or "no field"


def _of_other_data(lines: Iterable[Line], corpus: Corpus) -> Iterator[tuple[int, str]]:
    for line in lines:
        given = line.values.get("fingerprint", corpus.fingerprint)
        if given != corpus.fingerprint:
            yield line.number, f"fingerprint {str(given)[:12]}, not {corpus.fingerprint[:12]}"


def _id(values: dict[str, Any], key: str) -> str | None:
    """An id as text, whatever made a number of it."""
    value = values.get(key)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def _who(line: Line) -> str:
    """The sample as the line names it."""
    values = {key: _id(line.values, key) for key in ("sample_id", "category", "user_id", "item_id")}
    if values["sample_id"] is not None:
        return shown(values["sample_id"])
    return ", ".join(f"{key.removesuffix('_id')} {shown(value)}" for key, value in values.items() if value is not None)


class _Index:
    """Finds samples by what a line says of them."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._by_id: dict[str, Sample] = {}
        self._by_pair: defaultdict[tuple[str | None, str | None], list[Sample]] = defaultdict(list)
        for sample in samples:
            self._by_id[sample.sample_id] = sample
            self._by_pair[sample.user_id, sample.item.item_id].append(sample)

    def named_by(self, values: dict[str, Any]) -> list[Sample]:
        """None, one or several samples. A `sample_id` decides alone."""
        if (sample_id := _id(values, "sample_id")) is not None:
            return [self._by_id[sample_id]] if sample_id in self._by_id else []
        found = self._by_pair.get((_id(values, "user_id"), _id(values, "item_id")), [])
        category = _id(values, "category")
        return [sample for sample in found if category in (None, sample.category)]


def _refuse_unknown(said: _Mistakes, unknown: Sequence[Line], corpus: Corpus) -> None:
    """Raises UserError for lines of no sample: those of other samples of the data get another cure."""
    every = _Index(sample for split in SPLITS for sample in corpus.samples(split))
    other = [(line, some[0]) for line in unknown if (some := every.named_by(line.values))]
    if unknown and not other and len(unknown) == said.n:
        said.refuse(
            [(line.number, _who(line)) for line in unknown],
            f"are of samples that data '{corpus.name}' does not have",
            "name the data that they were made for by --data",
        )
    said.refuse(
        [(line.number, f"{_who(line)}, of split {sample.split}") for line, sample in other],
        "are of other samples of the data than those that are imported",
        "give the --split, --limit and --limit-seed of the export, or add --ignore-unknown",
    )
    said.refuse(
        [(line.number, _who(line)) for line in unknown],
        f"are of samples that data '{corpus.name}' does not have",
        "correct the ids, or add --ignore-unknown to leave these lines out",
    )
