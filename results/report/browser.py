"""The samples of finished runs as data for the report's page: a light index, and details in compressed blocks.

The page holds the index as JSON; the details (prompts, histories, peers, texts) of BLOCK samples at a time are gzipped
JSON, unpacked by the browser when a sample is opened. So a page of 4,000 samples opens at once.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bench.data.corpus import Corpus, load
from bench.errors import UserError
from bench.generate.store import RequestStore
from bench.record import runs
from bench.score.written import read_config
from bench.types import Review, Sample
from results.tables import finished, settings
from results.tables.finished import Finished
from results.tables.leaderboard import leaderboards

if TYPE_CHECKING:
    from bench.score.matrix import Scores

BLOCK = 20  # samples
PEERS = 3  # of each retrieved review
START = 160  # characters of the real review in the list
Row = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """One run of the browser: the first seed of a table's row."""

    label: str
    run: Finished

    @cached_property
    def rows(self) -> dict[str, Row]:
        return {row["sample_id"]: row for row in self.run.folder.rows(runs.SAMPLES)}

    @cached_property
    def store(self) -> RequestStore | None:
        path = self.run.folder.path.parent / ".store" / "requests.sqlite"
        return RequestStore(path) if path.is_file() else None


@dataclass(frozen=True)
class Samples:
    """The samples of one dataset and limit, with every run on them. `blocks` are base64 of gzipped JSON."""

    index: dict[str, Any]
    blocks: tuple[str, ...]


def collect(found: Sequence[Finished], *, prompts: bool) -> list[Samples]:
    """One for each dataset and limit among the runs. Raises UserError where a dataset has changed or is gone."""
    tables: dict[str, list[Shown]] = {}
    groups = finished.comparable(found)
    for group, apart in zip(groups, settings.telling(groups), strict=True):
        (board,) = leaderboards(group, intervals=False)
        for row, same in zip(board.rows, finished.by_row(finished.newest(group)), strict=True):
            key = json.dumps(same[0].summary["data"], sort_keys=True)
            tables.setdefault(key, []).append(Shown(" · ".join([row.label, *apart]), same[0]))
    return [_samples(shown, prompts=prompts) for shown in tables.values()]


def _samples(shown: Sequence[Shown], *, prompts: bool) -> Samples:
    config = read_config(shown[0].run.folder)
    corpus = load(config.data)
    if corpus.fingerprint != config.data_fingerprint:
        raise UserError(f"data '{config.data}' has changed since {shown[0].run.folder.path.name} was written")
    samples = corpus.samples(config.split, limit=config.limit, limit_seed=config.limit_seed)
    columns = [column for column in shown[0].run.summary["columns"] if column["digits"]]
    index = {
        "title": f"{corpus.title} ({config.split} split)",
        "synthetic": corpus.synthetic,
        "block": BLOCK,
        "runs": [one.label for one in shown],
        "columns": [{key: column[key] for key in ("key", "label", "digits")} for column in columns],
        "samples": [_entry(sample, corpus) for sample in samples],
        "scores": [_scores(one.run.scores, [column["key"] for column in columns]) for one in shown],
    }
    details = (
        [_detail(sample, corpus, shown, prompts=prompts) for sample in samples[start : start + BLOCK]]
        for start in range(0, len(samples), BLOCK)
    )
    return Samples(index, tuple(map(_packed, details)))


def _entry(sample: Sample, corpus: Corpus) -> list[Any]:
    """id, category, user, item, rating, review title, history length, start of the real review."""
    start = " ".join(corpus.reference(sample.sample_id)[:START].split())
    about = [sample.sample_id, sample.category, sample.user_id, sample.item.title, sample.rating, sample.title]
    return [*about, len(sample.history), start]


def _scores(scores: Scores | None, keys: Sequence[str]) -> dict[str, list[float | None]]:
    """column -> a value a sample: what the metric says of this sample alone."""
    from bench.score import matrix

    found: dict[str, list[float | None]] = {}
    if scores is None:
        return found
    for metric in scores.places:
        for key, values in matrix.values(metric, scores.statistics(metric), scores.keys[metric]).items():
            if key in keys:
                found[key] = [None if value != value else round(value, 4) for value in values.tolist()]
    return found


def _detail(sample: Sample, corpus: Corpus, shown: Sequence[Shown], *, prompts: bool) -> Row:
    rows = [one.rows.get(sample.sample_id) for one in shown]
    retrieved = {review_id for row in rows if row for review_id in row["retrieved"]}
    history = [review for review in sample.history if review.review_id in retrieved] or list(sample.history[:PEERS])
    return {
        "reference": corpus.reference(sample.sample_id),
        "item": sample.item.title,
        "description": sample.item.description,
        "history": [_review(review, corpus) for review in history],
        "runs": [_text(one, row, prompts=prompts) for one, row in zip(shown, rows, strict=True)],
    }


def _review(review: Review, corpus: Corpus) -> Row:
    peers = [{"user": peer.user_id, "rating": peer.rating, "text": peer.text} for peer in corpus.peers(review)]
    about = {"id": review.review_id, "item": review.item.title, "rating": review.rating}
    return {**about, "title": review.title, "text": review.text, "peers": peers[:PEERS], "more": len(peers[PEERS:])}


def _text(shown: Shown, row: Row | None, *, prompts: bool) -> Row:
    if row is None:
        return {"text": "", "error": "not in this run", "retrieved": [], "prompts": []}
    asked = list(_prompts(shown, row)) if prompts else []
    return {"text": row["text"], "error": row["error"], "retrieved": row["retrieved"], "prompts": asked}


def _prompts(shown: Shown, row: Row) -> Iterator[list[str]]:
    for stage, key in row["requests"]:
        prompt = shown.store.prompt(key) if shown.store else None
        yield [stage, prompt.system, prompt.text] if prompt else [stage, "", "no longer stored"]


def _packed(details: list[Row]) -> str:
    data = runs.dump(details).encode()
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()
