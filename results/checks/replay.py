"""Checks `identity`, `vectors`, `histories`, `texts`: the run is planned and written again from the stored answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.config import RunConfig
from bench.console.progress import Progress
from bench.context import prefetch
from bench.data.corpus import Corpus
from bench.embed.store import VectorStore
from bench.errors import BenchError
from bench.record import runs
from bench.record.runs import RunFolder
from bench.run import cells, runner
from bench.run.selection import Selection
from bench.run.writing import with_slot_encoder, write_sample
from results.checks.check import Check, differing_keys, differing_rows, listed, without
from results.checks.stand_ins import CheckedVectors, StoredAnswers

if TYPE_CHECKING:
    from bench.context.context import CellResources
    from bench.generate.service import GenerationService
    from bench.protocols import Embedder, Method
    from bench.run.cells import Cell
    from bench.types import Sample

Row = Mapping[str, Any]

# Keys of a row that differ each time: times, and the places in the code where a method failed.
TIMED = ("began", "seconds", "traceback")
# Keys of a stage's cost that depend on neither cache nor clock.
COUNTED = ("requests", "prompt_tokens", "new_tokens")
# Keys of a failed row that depend on how far its other stages had come.
ON_THE_WAY = ("retrieved", "uncompared", "dropped", "stages", "requests", "finish", "notes")


def checks(
    folder: RunFolder,
    config: RunConfig,
    corpus: Corpus,
    rows: Sequence[Row],
    samples: list[Sample],
    own: VectorStore,
) -> Iterator[Check]:
    """Whether today's configuration makes this run, and whether its rows follow from the stored answers.

    `samples`: with the histories that the run shows. `own`: the store for vectors that are computed again.
    """
    about, out = folder.read(runs.CONFIG), folder.path.parent
    kept = out / ".store" / "requests.sqlite"
    if not kept.is_file():
        yield Check("texts", None, f"{kept} is missing, and with it all answers")
        return
    try:
        with _service(config, out, str(about.get("date", ""))) as service:
            (cell,) = cells.plan([config], corpus, out, generator=service.identity)
            cell = replace(cell, folder=folder, samples=samples)
            yield _identity(cell, about, service.identity, corpus)
            answers = StoredAnswers(service.generator, about["generator"], service.store)
            yield from _vectors_and_texts(cell, about, corpus, rows, answers, own)
    except BenchError as error:  # the model, a checkpoint or a server is not here
        yield Check("texts", None, str(error))


@contextmanager
def _service(config: RunConfig, out: Path, date: str) -> Iterator[GenerationService]:
    with Progress(quiet=True) as progress:
        service = runner.open_service(config, out, progress=progress, date=date)
        try:
            yield service
        finally:
            asyncio.run(service.close())


def _identity(cell: Cell, about: Row, generator: Row, corpus: Corpus) -> Check:
    """Compares sources, generator and identity with today's plan, and the record's generator and training with both."""
    then = {**about["sources"], **{f"generator.{key}": value for key, value in about["generator"].items()}}
    now = {**cell.sources, **{f"generator.{key}": value for key, value in runs.plain(generator).items()}}
    changed = differing_keys(then, now)
    if not changed and cell.identity != about["identity"]:
        changed = ["configuration"]
    recorded = cell.folder.read(runs.PROVENANCE)["generator"]
    changed += [f"{runs.PROVENANCE}, {key}" for key, value in about["generator"].items() if recorded.get(key) != value]
    if cell.checkpoint is not None and not changed:
        selection = Selection.of(cell, corpus, generator)
        if selection.chosen:
            trained = runs.plain(selection.choice.summary(cell.checkpoint))
            changed += [f"trained.{key}" for key in differing_keys(about["trained"], trained)]
    says = f"changed since: {listed(changed)}" if changed else "the same configuration makes this run today"
    return Check("identity", not changed, says)


def _vectors_and_texts(
    cell: Cell, about: Row, corpus: Corpus, rows: Sequence[Row], answers: StoredAnswers, own: VectorStore
) -> Iterator[Check]:
    used: list[CheckedVectors] = []

    def vectors(store: VectorStore, embedder: Embedder) -> CheckedVectors:
        used.append(CheckedVectors(store, embedder, own))
        return used[-1]

    method = registry.create("method", cell.config.method, cell.config.method_options)
    out = cell.folder.path.parent
    resources = prefetch.resources(cell.config, cell.samples, corpus, answers, out=out, vectors=vectors)
    if texts := prefetch.compared(method, cell.config, cell.samples, resources):
        resources.vectors.embed(texts)
    again = prefetch.histories(cell.config, corpus, out=out, vectors=vectors) if cell.config.chooses_by_vectors else {}
    if any(one.vectors for one in used):
        yield _vectors(used)
    if again:
        yield _histories(cell.folder, again)
    if cell.checkpoint is not None:
        resources = with_slot_encoder(cell, method, resources, about["trained"]["epoch"])
    yield asyncio.run(_texts(method, cell.samples, resources, rows, answers))


def _vectors(used: Sequence[CheckedVectors]) -> Check:
    n, wrong = sum(len(one.vectors) for one in used), [text for one in used for text in one.wrong]
    if wrong:
        says = f"{len(wrong)} of {n} stored vectors are not what the encoder computes: delete vectors.sqlite"
        return Check("vectors", False, says)
    return Check("vectors", True, f"{n} computed again, no stored one differs")


def _histories(folder: RunFolder, again: Row) -> Check:
    wrong = differing_keys(folder.read(runs.HISTORIES), again)
    says = f"vectors choose other users for {listed(wrong)}" if wrong else f"{len(again)} chosen again, the same users"
    return Check("histories", not wrong, says)


async def _texts(
    method: Method, samples: Sequence[Sample], resources: CellResources, rows: Sequence[Row], answers: StoredAnswers
) -> Check:
    """Writes every row again, failed ones too: a row that the stored answers can write has not failed."""
    known = {sample.sample_id: sample for sample in samples}
    pairs, unstored, unexplained = [], [], []
    for row in rows:
        if row["sample_id"] not in known:  # the check `samples` finds it
            continue
        answers.missing.clear()
        written = runs.plain(await write_sample(method, known[row["sample_id"]], resources))
        then, now = _without_clock(row), _without_clock(written)
        if then["error"] is None and answers.missing:
            unstored.append(then["sample_id"])
        elif then["error"] is None or not now["error"]:
            pairs.append((then, now))
        else:
            left_out = (*ON_THE_WAY, *(["error"] if answers.missing else []))
            pairs.append((without(left_out, then), without(left_out, now)))
            if then != now:
                unexplained.append(then["sample_id"])
    wrong = differing_rows(pairs)
    if unstored:
        wrong.append(f"{len(unstored)} of {len(rows)} have no stored answer, {unstored[0]} first")
    if wrong:
        return Check("texts", False, "; ".join(wrong))
    if unexplained:
        says = f"{len(unexplained)} of {len(rows)} failed, and nothing stored shows why, {unexplained[0]} first"
        return Check("texts", None, says)
    return Check("texts", True, f"{len(rows)} written again from the stored answers, all equal")


def _without_clock(row: Row) -> dict[str, Any]:
    """The row without times. Requests are sorted, since those of one stage may be answered in any order."""
    stages = {stage: {key: cost[key] for key in COUNTED} for stage, cost in row["stages"].items()}
    answered = {key: sorted(row[key]) for key in ("requests", "finish")}
    return {**without(TIMED, row), "stages": stages, **answered}
