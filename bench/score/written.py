"""A completely written run, read whole before it is scored: configuration, samples, texts and references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from bench.config import RunConfig
from bench.data.corpus import Corpus
from bench.data.swap import samples_of
from bench.errors import UserError, mistake
from bench.record import runs
from bench.record.runs import RunFolder
from bench.score.targets import Targets
from bench.types import Sample

Rows = list[dict[str, Any]]


def read_config(folder: RunFolder) -> RunConfig:
    """The resolved configuration of a run folder. Raises UserError where it is damaged."""
    from pydantic import ValidationError

    try:
        return RunConfig.model_validate(folder.read(runs.CONFIG)["config"])
    except (ValidationError, KeyError) as error:
        reason = mistake(error) if isinstance(error, ValidationError) else str(error)
        raise UserError(f"{folder.path / runs.CONFIG} is not a configuration of this version: {reason}") from error


@dataclass(frozen=True)
class Written:
    """All that scores and summary are made of. `texts` and all after it go row by row with `rows`."""

    name: str
    config: RunConfig
    about: Mapping[str, Any]  # config.json
    origin: Mapping[str, Any]  # provenance.json; empty where it is missing
    samples: Sequence[Sample]
    rows: Rows  # of samples.jsonl
    texts: list[str]
    references: list[str]
    facts: list[dict[str, Any]]  # what a row of scores says of its sample
    targets: Targets  # what metrics that see samples or users get

    @property
    def commit(self) -> str:
        """The commit that wrote the run, short; "" where it is not known."""
        git = self.origin.get("git", {})
        changed = " with local changes" if git.get("dirty") else ""
        return f"{git['commit'][:10]}{changed}" if git.get("commit") else ""

    @classmethod
    def of(cls, folder: RunFolder, config: RunConfig, samples: Sequence[Sample], rows: Rows, corpus: Corpus) -> Written:
        """Rows in any order. Raises KeyError for a row of an unknown sample."""
        known = {sample.sample_id: sample for sample in samples}
        return cls(
            name=folder.path.name,
            config=config,
            about=folder.read(runs.CONFIG),
            origin=folder.read(runs.PROVENANCE) if (folder.path / runs.PROVENANCE).is_file() else {},
            samples=samples,
            rows=rows,
            texts=[row["text"] or "" for row in rows],
            references=[corpus.reference(row["sample_id"]) for row in rows],
            facts=[facts(known[row["sample_id"]], corpus) for row in rows],
            targets=Targets([known[row["sample_id"]] for row in rows], corpus),
        )


def read(folder: RunFolder, corpus: Corpus) -> Written:
    """With the rows in the samples' order, whatever order they were written in.

    Raises UserError where rows are missing, a file is damaged or the data has changed.
    """
    config = read_config(folder)
    if corpus.fingerprint != config.data_fingerprint:
        raise UserError(f"data '{config.data}' has changed since {folder.path.name} was written; run the cell again")
    samples = samples_of(config, corpus, folder)
    written = {row["sample_id"]: row for row in folder.rows(runs.SAMPLES)}
    missing = sum(sample.sample_id not in written for sample in samples)
    if missing:
        again = f"delete its {runs.SUMMARY} and run its command again" if folder.done else "run its command again"
        raise UserError(f"{folder.path.name} lacks {missing} of {len(samples)} samples; {again}")
    return Written.of(folder, config, samples, [written[sample.sample_id] for sample in samples], corpus)


def facts(sample: Sample, corpus: Corpus) -> dict[str, Any]:
    """Whose a sample is, and the numbers that tables may be sliced by: the corpus's, whatever the written row says."""
    properties = {
        "rating": sample.rating,
        "history": len(sample.history),
        "peers": fmean(len(corpus.peers(review)) for review in sample.history) if sample.history else 0.0,
        "words": len(corpus.reference(sample.sample_id).split()),
    }
    who = {"sample_id": sample.sample_id, "category": sample.category, "user_id": sample.user_id}
    return {**who, "properties": properties}
