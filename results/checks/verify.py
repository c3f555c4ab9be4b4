"""`bench verify`: does a finished run still prove its row of the table?

It generates nothing, writes nothing into the run, and trusts nothing that it can compute. The checks, in order:

    files     the files have the digests that were taken when the run was scored
    data      the dataset is the same
    samples   samples.jsonl has every sample of the dataset once, in order
    identity  the same configuration makes this run today: sources, weights, engine (results.checks.replay)
    vectors   every stored vector is what the encoder computes
    histories the users whose histories the run shows are those that vectors choose
    texts     every row is what the method writes from the stored answers, except for durations
              (of an imported run nothing can show how its texts were made: results.checks.elsewhere)
    scores    the scores are those of the texts (results.checks.rescore)
    summary   the summary follows from all of these
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bench.config import RunConfig
from bench.data.corpus import load
from bench.data.swap import samples_of
from bench.embed.store import VectorStore
from bench.errors import UserError
from bench.record import runs
from bench.record.runs import RunFolder
from bench.run.writing import facts
from bench.score import keep
from bench.score.judging import Judges
from bench.score.written import read_config
from results.checks import elsewhere, replay, rescore
from results.checks.check import Check, differing_keys, differing_rows
from results.checks.stand_ins import StoredAnswers

if TYPE_CHECKING:
    from bench.types import Sample

DISPROVED, UNKNOWN = 3, 1  # exit codes


class Verifier:
    """Verifies runs one after the other, and computes a vector once for all of them. A context manager."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        self._vectors = VectorStore(Path(self._folder.name) / "vectors.sqlite")
        self._judges = Judges(stored=StoredAnswers)

    def __enter__(self) -> Verifier:
        return self

    def __exit__(self, *error: object) -> None:
        self._judges.__exit__(None, None, None)
        self._folder.cleanup()

    def verify(self, folder: RunFolder) -> Iterator[Check]:
        """The checks of one run, each as soon as it is made."""
        if not folder.done:
            again = f"`bench score {folder.path}`" if keep.interrupted(folder) else "its command again"
            yield Check("finished", None, f"it is not; run {again}, then verify it")
            return
        try:
            yield from _checks(folder, folder.summary(), read_config(folder), self._vectors, self._judges)
        except UserError as error:
            yield Check("contents", False, str(error))
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            says = f"a file of the run does not hold what it must: {type(error).__name__}: {error}"
            yield Check("contents", False, says)


def _checks(
    folder: RunFolder, summary: Mapping[str, Any], config: RunConfig, own: VectorStore, judges: Judges
) -> Iterator[Check]:
    yield _files(folder, summary)
    try:
        corpus = load(config.data)
    except UserError as error:
        yield Check("data", None, str(error))
        return
    same = corpus.fingerprint == config.data_fingerprint
    yield Check("data", same, f"{corpus.name}, {'the same' if same else 'another'} fingerprint")
    if not same:
        return
    rows = list(folder.rows(runs.SAMPLES))
    samples = samples_of(config, corpus, folder)
    yield _samples(rows, samples)
    if config.imported is None:
        yield from replay.checks(folder, config, corpus, rows, samples, own)
    else:
        yield from elsewhere.checks(folder, config, corpus, rows)
    yield from rescore.checks(folder, config, corpus, rows, samples, summary, judges)


def _files(folder: RunFolder, summary: Mapping[str, Any]) -> Check:
    kept, digest = summary.get("files"), summary.get("digest")
    if not kept or not digest:
        return Check("files", None, "no digests were kept when this run was scored; `bench score` keeps them")
    changed = differing_keys(kept, keep.digests(folder))
    if keep.digest(summary) != digest:
        changed.append(runs.SUMMARY)
    return Check("files", not changed, f"{', '.join(changed)} changed since" if changed else f"{len(kept)} as scored")


def _samples(rows: Sequence[Mapping[str, Any]], samples: Sequence[Sample]) -> Check:
    """Every sample once, in order, as the dataset has it."""
    wanted = [runs.plain(facts(sample)) for sample in samples]
    wrong = [f"{len(rows)} rows for {len(samples)} samples"] if len(rows) != len(samples) else []
    wrong += differing_rows(
        (sample, {key: row[key] for key in sample}) for sample, row in zip(wanted, rows, strict=False)
    )
    return Check("samples", not wrong, "; ".join(wrong) or f"all {len(rows)}, as the dataset has them")
