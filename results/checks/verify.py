"""`bench verify`: does a finished run still prove its row of the table?

Generates nothing, writes nothing into the run, and believes nothing that it can compute: the files against the digests
that were taken when the run was scored; the data; the same configuration planned once more, so that a changed source,
weight or engine shows; every vector from its text; every row of samples.jsonl again by its method from the stored
answers alone, whole but for what a clock decides; the scores from the texts; and the summary from all of these.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.config import RunConfig
from bench.console.progress import Progress
from bench.context import prefetch
from bench.data.corpus import Corpus, load
from bench.embed.store import VectorStore
from bench.errors import BenchError, SampleFailure, UserError
from bench.generate.store import RequestStore, request_key
from bench.record import runs
from bench.record.runs import RunFolder
from bench.run import cells, runner
from bench.run.selection import Selection
from bench.run.writing import facts, with_slot_encoder, write_sample
from bench.score import keep, matrix, scoring, written
from bench.score.judging import AskingMetric, Judges
from bench.score.summary import describe

if TYPE_CHECKING:
    from bench.context.context import CellResources
    from bench.generate.service import GenerationService
    from bench.protocols import Embedder, Generator, Method, Vectors
    from bench.run.cells import Cell
    from bench.types import Completion, Prompt, Request, Sample

DISPROVED, UNKNOWN = 3, 1  # exit codes

ROUNDING = 1e-4  # of a vector's length: another batch or processor sums in another order

# Of a row: what a clock decides, and the places in the code where a method failed.
TIMED = ("seconds", "traceback")
# Of a stage's cost: what no cache and no clock decides.
COUNTED = ("requests", "prompt_tokens", "new_tokens")
# Of a row that failed: how far its stages had come when one of them failed.
ON_THE_WAY = ("retrieved", "dropped", "stages", "requests", "notes")
# Of a summary: what only the one who wrote it can know.
TOLD = ("files", "digest", "engine_use", "finished", "metric_options")


@dataclass(frozen=True)
class Check:
    """`holds` None: it could not be checked, and `says` why."""

    name: str
    holds: bool | None
    says: str


@dataclass(frozen=True)
class StoredAnswers:
    """Takes a generation service's place: answers what is stored under a generator's identity, and asks nobody.

    `missing`: the keys that were asked for in vain.
    """

    generator: Generator
    identity: Mapping[str, Any]
    store: RequestStore
    missing: list[str] = field(default_factory=list)

    async def complete(self, prompt: Prompt, request: Request) -> tuple[Completion, bool, str]:
        key = request_key(request, self.identity)
        stored = self.store.get(key)
        if stored is None:
            self.missing.append(key)
            raise SampleFailure("not stored")
        return stored, True, key


@dataclass
class CheckedVectors:
    """`bench.protocols.TextVectors` that are computed anew, into a store of `verify`'s own, and compared.

    One that is stored is handed on where it is the same up to rounding: a trained row of it is part of a request's key.
    """

    kept: VectorStore
    embedder: Embedder
    own: VectorStore
    wrong: list[str] = field(default_factory=list)
    vectors: dict[str, Vectors] = field(default_factory=dict)

    def embed(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        new = [text for text in dict.fromkeys(texts) if text not in self.vectors]
        if new:
            computed = self.own.ensure(self.embedder, new)
            kept = self.kept.vectors(self.embedder.identity(), new) if self.kept.path.is_file() else {}
            self.wrong += [text for text, vector in kept.items() if not _close(vector, computed[text])]
            self.vectors |= {**computed, **{text: kept[text] for text in kept.keys() - set(self.wrong)}}
        return np.stack([self.vectors[text] for text in texts]) if texts else np.empty((0, 0), np.float32)


def _close(one: Vectors, other: Vectors) -> bool:
    import numpy as np

    return one.shape == other.shape and bool(np.linalg.norm(one - other) <= ROUNDING * np.linalg.norm(other))


class Verifier:
    """Verifies runs one after the other; computes a vector once for all of them. A context."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        self._vectors = VectorStore(Path(self._folder.name) / "vectors.sqlite")

    def __enter__(self) -> Verifier:
        return self

    def __exit__(self, *error: object) -> None:
        self._folder.cleanup()

    def verify(self, folder: RunFolder) -> Iterator[Check]:
        """The checks of one run, each as soon as it is made."""
        if not folder.done:
            again = f"`bench score {folder.path}`" if keep.interrupted(folder) else "its command again"
            yield Check("finished", None, f"it is not; run {again}, then verify it")
            return
        try:
            yield from _checks(folder, folder.summary(), written.read_config(folder), self._vectors)
        except UserError as error:
            yield Check("contents", False, str(error))
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            says = f"a file of the run does not hold what it must: {type(error).__name__}: {error}"
            yield Check("contents", False, says)


def _checks(folder: RunFolder, summary: Mapping[str, Any], config: RunConfig, own: VectorStore) -> Iterator[Check]:
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
    yield _samples(rows, samples)
    yield from _texts(folder, config, corpus, rows, own)
    yield from _scores(folder, config, corpus, rows, samples, summary)


def _files(folder: RunFolder, summary: Mapping[str, Any]) -> Check:
    kept, sealed = summary.get("files"), summary.get("digest")
    if not kept or not sealed:
        return Check("files", None, "no digests were kept when this run was scored; `bench score` keeps them")
    changed = [*_differing(kept, keep.digests(folder)), *([runs.SUMMARY] if keep.digest(summary) != sealed else [])]
    return Check("files", not changed, f"{', '.join(changed)} changed since" if changed else f"{len(kept)} as scored")


def _samples(rows: Sequence[Mapping[str, Any]], samples: Sequence[Sample]) -> Check:
    """Every sample once, in order, as the dataset has it."""
    wanted = [runs.plain(facts(sample)) for sample in samples]
    bad = [
        *([f"{len(rows)} rows of {len(samples)} samples"] if len(rows) != len(samples) else []),
        *_unlike((sample, {key: row[key] for key in sample}) for sample, row in zip(wanted, rows, strict=False)),
    ]
    return Check("samples", not bad, "; ".join(bad) or f"all {len(rows)}, as the dataset has them")


def _texts(
    folder: RunFolder, config: RunConfig, corpus: Corpus, rows: Sequence[Mapping[str, Any]], own: VectorStore
) -> Iterator[Check]:
    """Whether this is what the configuration makes here and now, and whether its rows come from the stored answers."""
    about, out = folder.read(runs.CONFIG), folder.path.parent
    kept = out / ".store" / "requests.sqlite"
    if not kept.is_file():
        yield Check("texts", None, f"{kept} is not there, and so none of the answers")
        return
    try:
        with _service(config, out) as service:
            (cell,) = cells.plan([config], corpus, out, generator=service.identity)
            yield _plan(replace(cell, folder=folder), about, service.identity, corpus)
            answers = StoredAnswers(service.generator, about["generator"], service.store)
            yield from _replay(cell, about, corpus, rows, answers, out, own)
    except BenchError as error:  # the model, a checkpoint or a server is not here
        yield Check("texts", None, str(error))


@contextmanager
def _service(config: RunConfig, out: Path) -> Iterator[GenerationService]:
    with Progress(quiet=True) as progress:
        service = runner.open_service(config, out, progress=progress)
        try:
            yield service
        finally:
            asyncio.run(service.close())


def _plan(cell: Cell, about: Mapping[str, Any], generator: Mapping[str, Any], corpus: Corpus) -> Check:
    """The configuration, as it is planned today; what is told of the engine and the training, as far as it is here."""
    then = {**about["sources"], **{f"generator.{key}": value for key, value in about["generator"].items()}}
    now = {**cell.sources, **{f"generator.{key}": value for key, value in runs.plain(generator).items()}}
    moved = _differing(then, now)
    if not moved and cell.identity != about["identity"]:
        moved = ["configuration"]
    told = cell.folder.read(runs.PROVENANCE)["generator"]
    moved += [f"{runs.PROVENANCE}, {key}" for key, value in about["generator"].items() if told.get(key) != value]
    if cell.checkpoint is not None and not moved:
        selection = Selection.of(cell, corpus, generator)
        if selection.chosen:
            trained = runs.plain(selection.choice.summary(cell.checkpoint))
            moved += [f"trained.{key}" for key in _differing(about["trained"], trained)]
    says = f"changed since: {_named(moved)}" if moved else "the same configuration makes this run today"
    return Check("identity", not moved, says)


def _replay(
    cell: Cell,
    about: Mapping[str, Any],
    corpus: Corpus,
    rows: Sequence[Mapping[str, Any]],
    answers: StoredAnswers,
    out: Path,
    own: VectorStore,
) -> Iterator[Check]:
    used: list[CheckedVectors] = []

    def vectors(store: VectorStore, embedder: Embedder) -> CheckedVectors:
        used.append(CheckedVectors(store, embedder, own))
        return used[-1]

    method = registry.create("method", cell.config.method, cell.config.method_options)
    resources = prefetch.resources(cell.config, cell.samples, corpus, answers, out=out, vectors=vectors)
    if texts := prefetch.compared(method, cell.config, cell.samples, resources):
        resources.vectors.embed(texts)
    if any(one.vectors for one in used):
        yield _vectors(used)
    if cell.checkpoint is not None:
        resources = with_slot_encoder(cell, method, resources, about["trained"]["epoch"])
    yield asyncio.run(_rows(method, cell.samples, resources, rows, answers))


def _vectors(used: Sequence[CheckedVectors]) -> Check:
    n, wrong = sum(len(one.vectors) for one in used), [text for one in used for text in one.wrong]
    differ = f"{len(wrong)} of {n} are stored otherwise than the encoder makes them: delete vectors.sqlite"
    return Check("vectors", not wrong, differ if wrong else f"{n} encoded again, none stored otherwise")


async def _rows(
    method: Method,
    samples: Sequence[Sample],
    resources: CellResources,
    rows: Sequence[Mapping[str, Any]],
    answers: StoredAnswers,
) -> Check:
    """Every row, the failed ones too: one that the stored answers can write has not failed."""
    known = {sample.sample_id: sample for sample in samples}
    pairs, unstored, unexplained = [], [], []
    for row in rows:
        if row["sample_id"] not in known:  # found by another check
            continue
        answers.missing.clear()
        was, now = _timeless(row), _timeless(runs.plain(await write_sample(method, known[row["sample_id"]], resources)))
        if was["error"] is None and answers.missing:
            unstored.append(was["sample_id"])
        elif was["error"] is None or not now["error"]:
            pairs.append((was, now))
        else:
            left_out = (*ON_THE_WAY, *(["error"] if answers.missing else []))
            pairs.append((_without(left_out, was), _without(left_out, now)))
            if was != now:
                unexplained.append(was["sample_id"])
    bad = [
        *_unlike(pairs),
        *([f"{len(unstored)} of {len(rows)} are not in the store, {unstored[0]} first"] if unstored else []),
    ]
    if bad:
        return Check("texts", False, "; ".join(bad))
    if unexplained:
        says = f"{len(unexplained)} of {len(rows)} failed, and nothing stored shows why, {unexplained[0]} first"
        return Check("texts", None, says)
    return Check("texts", True, f"{len(rows)} written again from the stored answers, all equal")


def _timeless(row: Mapping[str, Any]) -> dict[str, Any]:
    """What no clock decides; requests of one stage may have been answered in any order."""
    stages = {stage: {key: cost[key] for key in COUNTED} for stage, cost in row["stages"].items()}
    return {**_without(TIMED, row), "stages": stages, "requests": sorted(row["requests"])}


def _without(keys: Iterable[str], values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys}


def _scores(
    folder: RunFolder,
    config: RunConfig,
    corpus: Corpus,
    rows: list[dict[str, Any]],
    samples: Sequence[Sample],
    summary: Mapping[str, Any],
) -> Iterator[Check]:
    """The scores of the texts, and what the summary says of all."""
    names = list(dict.fromkeys([*summary["metric_versions"], *config.profile.metrics]))
    kept = list(folder.rows(runs.SCORES))
    try:
        metrics = scoring.create(config.profile, names, options=summary.get("metric_options"))
        answers = folder.path.parent / ".store" / "requests.sqlite"
        if not answers.is_file() and any(isinstance(metric, AskingMetric) for metric in metrics.values()):
            raise UserError(f"{answers} is not there, and so none of a judge's answers")
        with Judges(stored=StoredAnswers) as judges:
            judges.bind(metrics, config, out=folder.path.parent)
            run = written.Written.of(folder, config, samples, rows, corpus)
            scores, values = scoring.evaluate(metrics, run.texts, run.references, run.facts)
        says = {**describe(run, corpus), **values}
    except BenchError as error:
        yield Check("scores", None, str(error))
        return
    bad = [
        *([f"{len(kept)} rows of scores for {len(rows)} texts"] if len(kept) != len(rows) else []),
        *_unlike(zip(kept, runs.plain(scores), strict=False)),
        *([f"{matrix.FILE} holds others: delete it"] if kept and not matrix.agrees(folder) else []),
    ]
    yield Check("scores", not bad, "; ".join(bad) or f"{', '.join(names)} computed again, equal to the last bit")
    yield _summary(folder, config, summary, runs.plain(says))


def _summary(folder: RunFolder, config: RunConfig, summary: Mapping[str, Any], computed: Mapping[str, Any]) -> Check:
    """All that a summary says, but what only a clock knew. A run may have been given another name since."""
    first = f"{config.label}-{folder.read(runs.CONFIG)['identity'][:8]}"
    kept = _without(TOLD, summary)
    lacking = computed.keys() - kept.keys()
    name = {"run": first} if kept.get("run") == first else {}
    moved = _differing(kept, _without(lacking, {**computed, **name}))
    if moved:
        return Check("summary", False, f"says otherwise than the rows: {_named(moved)}")
    if lacking:
        return Check("summary", None, f"lacks {_named(sorted(lacking))}; `bench score` writes it anew")
    return Check("summary", True, f"{len(kept)} facts computed again, all equal")


def _unlike(pairs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    """At most one line: how many rows differ, in what, and which is the first."""
    compared = [(was, _differing(was, now)) for was, now in pairs]
    differ = [(was["sample_id"], keys) for was, keys in compared if keys]
    if not differ:
        return []
    keys = sorted({key for _, keys in differ for key in keys})
    return [f"{len(differ)} of {len(compared)} rows differ in {_named(keys)}, {differ[0][0]} first"]


def _differing(then: Mapping[str, Any], now: Mapping[str, Any], within: str = "") -> list[str]:
    """The keys, dotted, of what is not equal."""
    found, absent = [], object()
    for key in sorted({**then, **now}):
        one, other = then.get(key, absent), now.get(key, absent)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += _differing(one, other, f"{within}{key}.")
        elif one != other:
            found.append(f"{within}{key}")
    return found


def _named(keys: Sequence[str], most: int = 5) -> str:
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return f"{', '.join(keys[:most])}{more}"
