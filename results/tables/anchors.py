"""Anchors of a table (`bench table --anchors`): rows of real texts, between which and beside which runs are read.

Their texts (results.tables.anchor_texts) are scored by the metrics of the runs, with the runs' options, on the runs'
samples, so that they are resampled and tested like every row. Nothing is generated. Rows of scores are kept in the
output folder's store, OUT/.store/anchors, under a hash of all that decides them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.config import fingerprint
from bench.data.corpus import Corpus, load
from bench.errors import UserError
from bench.protocols import Metric
from bench.record import files, runs
from bench.score import score_arrays, scoring
from bench.score.judging import AskingMetric, Judges
from bench.score.targets import Targets
from bench.score.written import facts, read_config
from bench.types import Column, Sample, StageCost
from results.tables import anchor_notes, anchor_texts
from results.tables.finished_runs import FinishedRun, Summary
from results.tables.leaderboard import Cell, Leaderboard, Row

if TYPE_CHECKING:
    from bench.score.score_arrays import ScoreArrays

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Anchor:
    """One anchor of a table. `missing`: samples without such a text, which count in no value of it."""

    name: str
    values: Mapping[Cell, float]
    scores: ScoreArrays
    missing: int

    @property
    def row(self) -> Row:
        return Row(
            label=f"Anchor: {self.name}",
            method=self.name,
            retriever=None,
            k=0,
            seeds=(),
            n=len(self.scores.user) - self.missing,
            failed=0,
            values=dict(self.values),
            cost=StageCost(),
            kind="anchor",
            missing=self.missing,
        )


@dataclass(frozen=True)
class Anchors:
    """Those of one table, and the notes on them."""

    every: tuple[Anchor, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def scores(self) -> list[list[ScoreArrays]]:
        return [[one.scores] for one in self.every]

    def below(self, board: Leaderboard) -> Leaderboard:
        rows = (*board.rows, *(one.row for one in self.every))
        return replace(board, rows=rows, notes=(*board.notes, *self.notes))


@dataclass(frozen=True)
class Scorer:
    """Makes the anchors of every table of one command. `begin` is told what is being done."""

    judges: Judges
    begin: Callable[[str], None] = lambda text: None

    def of(self, found: Sequence[FinishedRun], shared: Summary, columns: Sequence[Column], *, ask: bool) -> Anchors:
        """Scored by the metrics of these columns. `ask`: metrics that ask a language model too.

        Raises UserError where the data of the runs are not here any more, and what scoring raises.
        """
        config = read_config(found[0].folder)
        corpus = _corpus(config.data)
        if corpus.fingerprint != config.data_fingerprint:
            raise UserError(f"data '{config.data}' has changed since the runs were written: no anchors can be scored")
        samples = corpus.samples(config.split, limit=config.limit, limit_seed=config.limit_seed)
        keys = {column.key for column in columns}
        names = list(dict.fromkeys(one["metric"] for one in shared["columns"] if one["key"] in keys))
        out = found[0].folder.path.parent
        metrics, lacking = self._metrics(names, found[0], shared, out, ask=ask)
        texts = anchor_texts.texts(samples, corpus)
        about = [facts(sample, corpus) for sample in samples]
        made = []
        for name, own in texts.items():
            self.begin(f"anchors: scoring {name}, {len(samples)} texts")
            work = _Work(name, own, samples, corpus, shared, out)
            rows = {metric: work.rows(metric, one) for metric, one in metrics.items()}
            whole = [{**fact, **{key: of[at] for key, of in rows.items()}} for at, fact in enumerate(about)]
            made.append(_anchor(name, own, whole, metrics))
        missing = {one.name: one.missing for one in made}
        said = anchor_notes.of(found, shared, missing=missing, lacking=lacking, n=len(samples))
        return Anchors(tuple(made), said)

    def _metrics(
        self, names: Sequence[str], run: FinishedRun, shared: Summary, out: Path, *, ask: bool
    ) -> tuple[dict[str, Metric], dict[str, str]]:
        """(the metrics as the runs have them, name -> why an anchor has no value of it)."""
        known = [name for name in names if name in registry.names("metric")]
        lacking = {name: "is of a plug-in that is not loaded (--plugin)" for name in names if name not in known}
        settings = shared["metric_settings"]
        config = read_config(run.folder)
        asking = [] if ask else [name for name in known if isinstance(registry.create("metric", name), AskingMetric)]
        lacking |= {name: f"asks a language model (--metric {name} lets it)" for name in asking}
        wanted = [name for name in known if name not in asking]
        metrics = self.judges.metrics(config, wanted, options={name: settings[name] for name in wanted}, out=out)
        lacking |= {name: why for name, metric in metrics.items() if (why := _unlike(metric, name, shared))}
        return {name: metric for name, metric in metrics.items() if name not in lacking}, lacking


def _unlike(metric: Metric, name: str, shared: Summary) -> str:
    """Why the metric cannot give here what the runs were scored with; "" where it can."""
    try:
        same = metric.versions() == shared["metric_versions"][name]
    except UserError as error:
        return f"cannot be computed here ({error})"
    return "" if same else "has other versions now than the runs were scored with (`bench score` scores them again)"


@cache
def _corpus(data: str) -> Corpus:
    return load(data)


def _anchor(name: str, texts: anchor_texts.Texts, rows: Rows, metrics: Mapping[str, Metric]) -> Anchor:
    missing = [place for place, text in enumerate(texts) if text is None]
    there = [row for row, text in zip(rows, texts, strict=True) if text is not None]
    values = scoring.aggregate(metrics, there)
    cells = {(category, key): value for category, own in values.items() for key, value in own.items()}
    return Anchor(name, cells, score_arrays.of_rows(rows, left_out=missing), len(missing))


@dataclass(frozen=True)
class _Work:
    """One anchor to be scored, metric by metric."""

    name: str
    texts: anchor_texts.Texts
    samples: Sequence[Sample]
    corpus: Corpus
    shared: Summary
    out: Path

    def rows(self, name: str, metric: Metric) -> Rows:
        """A row a sample; kept ones where there are any. A missing text passes as empty; its row is left out later."""
        file = self._file(name)
        with suppress(OSError, ValueError):
            kept = [json.loads(line) for line in file.read_text().splitlines()]
            if len(kept) == len(self.samples) and all(isinstance(row, dict) for row in kept):
                return kept
        ids = [sample.sample_id for sample in self.samples]
        references = [self.corpus.reference(one) for one in ids]
        filled = [text or "" for text in self.texts]
        targets = Targets(self.samples, self.corpus)
        made = scoring.score({name: metric}, ids, filled, references, targets=targets)[name]
        with suppress(OSError):  # in a read-only folder nothing is kept
            files.write(file, "".join(runs.dump(row) + "\n" for row in made))
        return [json.loads(runs.dump(row)) for row in made]

    def _file(self, metric: str) -> Path:
        decides = {
            "texts": self.texts,
            "samples": [sample.sample_id for sample in self.samples],
            "data": [self.corpus.fingerprint, self.corpus.truth_digest],
            "metric": [metric, self.shared["metric_settings"][metric], self.shared["metric_versions"][metric]],
        }
        return self.out / ".store" / "anchors" / f"{self.name}-{metric}-{fingerprint(decides)[:16]}.jsonl"
