"""The samples of finished runs as data for the report's page: a small index, and details in compressed blocks.

The page holds the index as JSON. Details (prompts, histories, peers, texts) are gzipped JSON, BLOCK samples at a time.
The web browser unpacks a block when a sample is opened, so that a page with 4,000 samples opens at once.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bench.console.meter import Meter
from bench.data.corpus import Corpus, load
from bench.data.swap import samples_of
from bench.errors import UserError
from bench.generate.store import RequestStore
from bench.record import runs
from bench.score.written import read_config
from bench.types import Review, Sample
from results.tables import finished_runs, run_settings, scored
from results.tables.assemble import leaderboards
from results.tables.finished_runs import FinishedRun

if TYPE_CHECKING:
    from bench.score.score_arrays import ScoreArrays

BLOCK = 20  # samples
PEERS = 3  # that are shown for each retrieved review
START = 160  # characters of the real review that the list shows
Row = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """One run that the page shows: the first seed of a table's row."""

    label: str
    run: FinishedRun

    @cached_property
    def rows(self) -> dict[str, Row]:
        return {row["sample_id"]: row for row in self.run.folder.rows(runs.SAMPLES)}

    @cached_property
    def store(self) -> RequestStore | None:
        path = self.run.folder.path.parent / ".store" / "requests.sqlite"
        return RequestStore(path) if path.is_file() else None


@dataclass(frozen=True)
class Samples:
    """The samples of one dataset and limit, with all runs on them. `blocks`: gzipped JSON as base64."""

    index: dict[str, Any]
    blocks: tuple[str, ...]


def collect(found: Sequence[FinishedRun], *, prompts: bool, meter: Meter | None = None) -> list[Samples]:
    """One item for each dataset and limit. Raises UserError if a dataset has changed or is missing."""
    tables: dict[str, list[Shown]] = {}
    groups = finished_runs.comparable(found)
    for group, distinctions in zip(groups, run_settings.all_distinctions(groups), strict=True):
        (board,) = leaderboards(group, intervals=False)
        for row, same in zip(board.rows, finished_runs.by_row(finished_runs.newest(group)), strict=True):
            key = json.dumps(same[0].summary["data"], sort_keys=True)
            shown = tables.setdefault(key, [])
            if same[0].imported:  # whatever tables it stands in, it is shown once
                distinctions = []
            if not any(one.run is same[0] for one in shown):
                shown.append(Shown(" · ".join([row.label, *distinctions]), same[0]))
    return [_samples(shown, meter or Meter(), prompts=prompts) for shown in tables.values()]


def _samples(shown: Sequence[Shown], meter: Meter, *, prompts: bool) -> Samples:
    meter.start("report: reading the dataset")
    config = read_config(shown[0].run.folder)
    corpus = load(config.data)
    if corpus.fingerprint != config.data_fingerprint:
        name = shown[0].run.folder.path.name
        raise UserError(f"data '{config.data}' has changed since {name} was written; run it again")
    samples = samples_of(config, corpus, shown[0].run.folder)
    every = scored.together([one.run.summary for one in shown])["columns"]
    columns = [column for column in every if column["digits"]]
    index = {
        "title": f"{corpus.title} ({config.split} split)",
        "synthetic": corpus.synthetic,
        "block": BLOCK,
        "runs": [one.label for one in shown],
        "columns": [{key: column[key] for key in ("key", "label", "digits", "higher_is_better")} for column in columns],
        "samples": [_entry(sample, corpus) for sample in samples],
        "scores": [_scores(one.run.scores, [column["key"] for column in columns]) for one in shown],
    }
    meter.start(f"report: {len(samples):,} samples of {len(shown)} rows", len(samples))
    blocks = []
    for start in range(0, len(samples), BLOCK):
        block = samples[start : start + BLOCK]
        blocks.append(_packed([_detail(sample, corpus, shown, prompts=prompts) for sample in block]))
        meter.advance(len(block))
    return Samples(index, tuple(blocks))


def _entry(sample: Sample, corpus: Corpus) -> list[Any]:
    """id, category, user, item, rating, review title, history length, start of the real review."""
    start = " ".join(corpus.reference(sample.sample_id)[:START].split())
    about = [sample.sample_id, sample.category, sample.user_id, sample.item.title, sample.rating, sample.title]
    return [*about, len(sample.history), start]


def _scores(scores: ScoreArrays | None, keys: Sequence[str]) -> dict[str, list[float | None]]:
    """column -> the value of each sample by itself."""
    from bench.score import score_arrays

    found: dict[str, list[float | None]] = {}
    if scores is None:
        return found
    for metric in scores.places:
        for key, values in score_arrays.values(metric, scores.statistics(metric), scores.keys[metric]).items():
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
