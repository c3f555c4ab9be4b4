"""`bench verify`: does a finished run still prove its row of the table?

Generates nothing, and believes nothing that it can compute: the files against the digests that were taken when the
run was scored; the data; the same configuration planned once more, so that a changed source, weight or engine shows;
every sample written again by its method from the stored answers alone; and the scores from the texts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import cells, finish, lookups, matrix, registry, runner, runs, scoring
from bench.config import RunConfig
from bench.data.corpus import Corpus, load
from bench.errors import BenchError, SampleFailure, UserError
from bench.generate.store import RequestStore, request_key
from bench.judging import Judges
from bench.progress import Progress
from bench.runs import RunFolder
from bench.writing import with_rows, write_sample
from results.finished import summary_of

if TYPE_CHECKING:
    from bench.cells import Cell
    from bench.protocols import Generator
    from bench.types import Completion, Prompt, Request, Sample

DISPROVED, UNKNOWN = 3, 1  # exit codes


@dataclass(frozen=True)
class Check:
    """`holds` None: it could not be checked, and `says` why."""

    name: str
    holds: bool | None
    says: str


@dataclass(frozen=True)
class StoredAnswers:
    """Takes a generation service's place: answers what is stored under a generator's identity, and asks nobody."""

    generator: Generator
    identity: Mapping[str, Any]
    store: RequestStore

    async def complete(self, prompt: Prompt, request: Request) -> tuple[Completion, bool, str]:
        key = request_key(request, self.identity)
        stored = self.store.get(key)
        if stored is None:
            raise SampleFailure("not stored")
        return stored, True, key


def verify(folder: RunFolder) -> Iterator[Check]:
    """The checks of one finished run, each as soon as it is made.

    Raises UserError for a run that is not finished, and for a file of it that cannot be read.
    """
    if not folder.done:
        raise UserError(f"{folder.path} is not finished; run its command again, then verify it")
    try:
        yield from _checks(folder, summary_of(folder), finish.read_config(folder))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        yield Check("contents", False, f"a file of the run does not hold what it must: {type(error).__name__}: {error}")


def _checks(folder: RunFolder, summary: Mapping[str, Any], config: RunConfig) -> Iterator[Check]:
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
    samples = corpus.samples(config.split, limit=config.limit, limit_seed=config.limit_seed)
    yield _samples(rows, samples, summary)
    yield from _texts(folder, config, corpus, rows)
    yield _scores(folder, config, corpus, rows, samples, summary)


def _files(folder: RunFolder, summary: Mapping[str, Any]) -> Check:
    kept = summary.get("files")
    if not kept:
        return Check("files", None, "no digests were kept when this run was scored; `bench score` keeps them")
    now = finish.digests(folder)
    changed = sorted(name for name in {**kept, **now} if kept.get(name) != now.get(name))
    return Check("files", not changed, f"{', '.join(changed)} changed since" if changed else f"{len(kept)} as scored")


def _samples(rows: Sequence[Mapping[str, Any]], samples: Sequence[Sample], summary: Mapping[str, Any]) -> Check:
    """Every sample once, in order, and none of the failed ones forgotten."""
    wanted = [sample.sample_id for sample in samples]
    failed = sum(row["error"] is not None for row in rows)
    whole = [row["sample_id"] for row in rows] == wanted
    counted = sum(summary["n"].values()) == len(wanted) and summary["failed"] == failed
    return Check("samples", whole and counted, f"{len(rows)} rows of {len(wanted)} samples, {failed} failed")


def _texts(folder: RunFolder, config: RunConfig, corpus: Corpus, rows: Sequence[Mapping[str, Any]]) -> Iterator[Check]:
    """Whether this is what the configuration makes here and now, and whether its texts come from the stored answers."""
    about, out = folder.read(runs.CONFIG), folder.path.parent
    kept = out / ".store" / "requests.sqlite"
    if not kept.is_file():
        yield Check("texts", None, f"{kept} is not there, and so none of the answers")
        return
    with Progress(quiet=True) as progress:
        try:
            service = runner.open_service(config, out, progress=progress)
            try:
                (cell,) = cells.plan([config], corpus, out, generator=service.identity)
                yield _plan(cell, about, service.identity)
                answers = StoredAnswers(service.generator, about["generator"], service.store)
                yield asyncio.run(_replay(replace(cell, folder=folder), about, corpus, rows, answers, out))
            finally:
                asyncio.run(service.close())
        except BenchError as error:  # the model, a checkpoint or a server is not here
            yield Check("texts", None, str(error))


def _plan(cell: Cell, about: Mapping[str, Any], generator: Mapping[str, Any]) -> Check:
    then = {**about["sources"], **{f"generator.{key}": value for key, value in about["generator"].items()}}
    now = {**cell.sources, **{f"generator.{key}": value for key, value in generator.items()}}
    moved = sorted(key for key in {**then, **now} if then.get(key) != now.get(key))
    if not moved and cell.identity != about["identity"]:
        moved = ["configuration"]
    says = f"changed since: {', '.join(moved)}" if moved else "the same configuration makes this run today"
    return Check("identity", not moved, says)


async def _replay(
    cell: Cell,
    about: Mapping[str, Any],
    corpus: Corpus,
    rows: Sequence[Mapping[str, Any]],
    answers: StoredAnswers,
    out: Path,
) -> Check:
    method = registry.create("method", cell.config.method, cell.config.method_options)
    resources = lookups.resources(cell.config, cell.samples, corpus, answers, out=out)
    lookups.embed(method, cell.config, cell.samples, resources, out=out)
    if cell.checkpoint is not None:
        resources = with_rows(cell, method, resources, about["trained"]["epoch"])
    samples = {sample.sample_id: sample for sample in cell.samples}
    written = [row for row in rows if row["error"] is None and row["sample_id"] in samples]
    again = [await write_sample(method, samples[row["sample_id"]], resources) for row in written]
    unstored = [row["sample_id"] for row in again if row["error"]]
    differ = [
        was["sample_id"]
        for was, now in zip(written, again, strict=True)
        if not now["error"] and _made(was) != _made(now)
    ]
    bad = [
        f"{len(names)} of {len(written)} {what}, {names[0]} first"
        for names, what in ((differ, "differ"), (unstored, "are not in the store"))
        if names
    ]
    return Check("texts", not bad, "; ".join(bad) or f"{len(written)} written again from the stored answers, all equal")


def _made(row: Mapping[str, Any]) -> tuple[str, list[list[str]]]:
    """The text and what it was made of; requests of one stage may have been answered in any order."""
    return row["text"], sorted(row["requests"])


def _scores(
    folder: RunFolder,
    config: RunConfig,
    corpus: Corpus,
    rows: list[dict[str, Any]],
    samples: Sequence[Sample],
    summary: Mapping[str, Any],
) -> Check:
    kept = list(folder.rows(runs.SCORES))
    names = [name for name in kept[0] if name not in matrix.ABOUT] if kept else []
    try:
        metrics = scoring.create(config.profile, names, options=summary.get("metric_options"))
        with Judges(stored=StoredAnswers) as judges:
            judges.bind(metrics, config, out=folder.path.parent)
            scores = finish.score_rows(metrics, rows, samples, corpus)
        versions = {name: metric.versions() for name, metric in metrics.items()}
    except BenchError as error:
        return Check("scores", None, str(error))
    moved = sorted(name for name in versions if versions[name] != summary["metric_versions"].get(name))
    differ = [was["sample_id"] for was, now in zip(kept, scores, strict=False) if runs.plain(now) != was]
    wrong = [
        *([f"{len(kept)} rows of scores for {len(rows)} texts"] if len(kept) != len(rows) else []),
        *([f"{len(differ)} of {len(kept)} rows differ, {differ[0]} first"] if differ else []),
        *(["the table's values are not those of the rows"] if _means(metrics, kept) != summary["scores"] else []),
        *([f"other versions of {', '.join(moved)}"] if moved else []),
    ]
    matrix.build(folder)  # what intervals are drawn from is made of these rows alone
    return Check("scores", not wrong, "; ".join(wrong) or f"{', '.join(names)} computed again, equal to the last bit")


def _means(metrics: Mapping[str, Any], rows: scoring.Rows) -> Any:
    return runs.plain(scoring.aggregate(metrics, rows)) if rows else None
