"""Samples for code elsewhere: what a method may read of each, and no text that is to be written.

A line a sample, in the corpus's order: its ids, the item, rating, title and time, the user's past reviews, newest
first, and the fingerprint of the data, by which `bench import predictions` knows the texts again. The past reviews are
those that methods here read: the history of a test sample may hold the user's older validation target.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from bench.data.corpus import Corpus
from bench.errors import UserError
from bench.record import files
from bench.types import Item, Prompt, Review, Sample, Split


def export(
    samples: Iterable[Sample], corpus: Corpus, to: Path, *, prompts: Mapping[str, Prompt] | None = None
) -> tuple[int, int]:
    """Writes the file, gzipped where its name ends in .gz. (lines, past reviews left out because they are references).

    `samples` are of one split. `prompts`: sample id -> the prompt that a method of ours would send.
    """
    given = list(samples)
    splits: set[Split] = {"test", *(sample.split for sample in given)}
    references = {corpus.target(one.sample_id).review_id for split in splits for one in corpus.samples(split)}
    lines = left_out = 0
    with _writing(to) as file:
        for sample in given:
            history = [review for review in sample.history if review.review_id not in references]
            row = _row(sample, history, corpus.fingerprint)
            if prompts is not None:
                prompt = prompts[sample.sample_id]
                row["prompt"] = {"system": prompt.system, "user": prompt.text}
            file.write(f"{json.dumps(row)}\n".encode())
            lines += 1
            left_out += len(sample.history) - len(history)
    return lines, left_out


@contextmanager
def _writing(to: Path) -> Iterator[IO[bytes]]:
    """The file that replaces `to` at the end. The same content has the same bytes."""
    if to.is_dir():
        raise UserError(f"--to {to} is a folder; name a file, such as {to / 'samples.jsonl'}")
    with files.naming(to):
        to.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(to) as part, part.open("wb") as plain:
        if to.suffix != ".gz":
            yield plain
            return
        with gzip.GzipFile("", "wb", fileobj=plain, mtime=0) as packed:
            yield packed  # type: ignore[misc]


def _row(sample: Sample, history: Iterable[Review], fingerprint: str) -> dict[str, Any]:
    return {
        "sample_id": sample.sample_id,
        "split": sample.split,
        "category": sample.category,
        "user_id": sample.user_id,
        "item": _item(sample.item),
        "rating": sample.rating,
        "title": sample.title,
        "timestamp": sample.timestamp,
        "history": [_review(review) for review in history],
        "fingerprint": fingerprint,
    }


def _item(item: Item) -> dict[str, str]:
    found: dict[str, str] = asdict(item)
    del found["category"]
    return found


def _review(review: Review) -> dict[str, Any]:
    given = {key: getattr(review, key) for key in ("rating", "title", "text", "timestamp")}
    return {"review_id": review.review_id, "item": _item(review.item), **given}
