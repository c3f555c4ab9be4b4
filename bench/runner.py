"""Cells to finished run folders: load -> retrieve -> write -> score -> store.

All samples of all cells that share an engine are written at the same time, so that the engine's batch stays
full; one failing sample is a row with its reason, never a crash. What is finished is never done again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import lookups, provenance, registry, runs, scoring
from bench.config import RunConfig, identity
from bench.context import CellResources, SampleContext
from bench.data.corpus import Corpus
from bench.embed.encoders import create as create_encoder
from bench.errors import EngineError, SampleFailure, UserError
from bench.finish import score_folder
from bench.generate.service import GenerationService
from bench.generate.store import RequestStore
from bench.judging import Judges
from bench.progress import Progress
from bench.protocols import Method
from bench.runs import RunFolder
from bench.types import Sample

# Samples in flight at once, over all cells: enough to fill any engine, few enough to stay small in memory.
IN_FLIGHT = 512


@dataclass
class Cell:
    """One run: its configuration, its folder and its samples."""

    config: RunConfig
    folder: RunFolder
    identity: str
    sources: dict[str, str]
    samples: list[Sample]
    pending: list[Sample] = field(default_factory=list)

    @property
    def state(self) -> str:
        if self.folder.done:
            return "finished"
        return "new" if not self.folder.path.exists() else "started"


def open_service(config: RunConfig, out: Path, *, progress: Progress) -> GenerationService:
    """The generator that a cell asks for (not started yet) over the output folder's request store."""
    kept = out / ".store"
    make = registry.load("generator", config.generator)
    generator = make(
        config.profile, deterministic=config.deterministic, log=kept / "engine.log", **config.generator_options
    )
    store = RequestStore(kept / "requests.sqlite")
    service = GenerationService(generator, store, say=progress.say, tick=progress.tick)
    progress.follow(service.use)
    return service


def plan(configs: Iterable[RunConfig], corpus: Corpus, out: Path, *, generator: Mapping[str, Any]) -> list[Cell]:
    """Configurations to cells with folders named by label and identity. Equal cells appear once."""
    cells: dict[str, Cell] = {}
    for config in configs:
        sources = _sources(config)
        name = identity(config, generator=generator, sources=sources)
        samples = corpus.samples(config.split, limit=config.limit, limit_seed=config.limit_seed)
        if not samples:
            raise UserError(f"data '{config.data}' has no samples in split '{config.split}'")
        cells.setdefault(name, Cell(config, RunFolder(out / f"{config.label}-{name[:8]}"), name, sources, samples))
    return list(cells.values())


def _sources(config: RunConfig) -> dict[str, str]:
    """What decides a cell's texts beside its configuration: its plugs' code and the weights of the encoders it uses."""
    method = registry.load("method", config.method)
    sources = {"method": provenance.source_hash(method)}
    if method.uses_embeddings:  # type: ignore[attr-defined]
        sources["embedder"] = create_encoder(config.profile.embedder).identity()
    if config.retriever:
        retriever = registry.load("retriever", config.retriever)
        sources["retriever"] = provenance.source_hash(retriever)
        if retriever.uses_embeddings:  # type: ignore[attr-defined]
            sources["encoder"] = create_encoder(config.profile.retrieval_encoder).identity()
    return sources


async def write_cells(
    cells: Sequence[Cell], corpus: Corpus, service: GenerationService, *, progress: Progress, out: Path
) -> None:
    """Writes every pending sample of every cell. Raises what ends the run: a dead engine, a full disk."""
    room = asyncio.Semaphore(IN_FLIGHT)

    async def one(cell: Cell, method: Method, resources: CellResources, sample: Sample) -> None:
        async with room:
            row = await write_sample(method, sample, resources)
        cell.folder.append(runs.SAMPLES, row)
        progress.step(failed=row["error"] is not None)

    async with asyncio.TaskGroup() as group:
        for cell in cells:
            method = registry.create("method", cell.config.method, cell.config.method_options)
            resources = lookups.resources(cell.config, cell.pending, corpus, service, out=out)
            lookups.embed(method, cell.config, cell.pending, resources, out=out)
            for sample in cell.pending:
                group.create_task(one(cell, method, resources, sample))


async def write_sample(method: Method, sample: Sample, resources: CellResources) -> dict[str, Any]:
    """The sample's row. A failure of this sample, a bug in a method included, is recorded on it."""
    ctx = SampleContext(sample, resources)
    text, error, trace = "", None, None
    started = time.perf_counter()
    try:
        text = await method.write(sample, ctx)
    except (EngineError, UserError):
        raise
    except SampleFailure as failure:
        error = str(failure)
    except Exception as failure:
        error, trace = f"{type(failure).__name__}: {failure}", traceback.format_exc()
    return {
        "sample_id": sample.sample_id,
        "category": sample.category,
        "user_id": sample.user_id,
        "item_id": sample.item.item_id,
        "rating": sample.rating,
        "title": sample.title,
        "history": len(sample.history),
        "text": text,
        "error": error,
        "traceback": trace,
        "retrieved": list(ctx.trace.retrieved),
        "dropped": asdict(ctx.trace.dropped),
        "stages": {stage: asdict(cost) for stage, cost in ctx.trace.stages.items()},
        "requests": [list(request) for request in ctx.trace.requests],
        "seconds": round(time.perf_counter() - started, 3),
    }


def run(
    cells: Sequence[Cell],
    corpus: Corpus,
    service: GenerationService,
    out: Path,
    *,
    progress: Progress,
    retry: bool = False,
) -> list[dict[str, Any]]:
    """Runs what is not finished; the summaries of all cells, in order. The service is closed afterwards.

    With `retry`, finished cells whose samples failed are opened again for those samples.
    """
    with contextlib.ExitStack() as stack:
        judges = stack.enter_context(Judges(say=progress.say))
        check_metrics(cells, judges, out)
        todo = []
        for cell in cells:
            if cell.folder.done and not (retry and cell.folder.read(runs.SUMMARY)["failed"]):
                continue
            stack.enter_context(cell.folder.locked())
            prepare(cell, service)
            todo.append(cell)
        if any(cell.pending for cell in todo):
            _ = service.generator.encoder  # a model without a chat template says so once, not once a sample
        progress.expect(sum(len(cell.pending) for cell in todo))
        asyncio.run(_write_and_close(todo, corpus, service, progress=progress, out=out))
        progress.close()
        progress.say(what_was_done(cells, todo, service))
        for cell in todo:
            progress.say(f"scoring {cell.folder.path.name} ...")
            score_folder(cell.folder, corpus, engine=service.use, judges=judges)
    return [cell.folder.read(runs.SUMMARY) for cell in cells]


def check_metrics(cells: Sequence[Cell], judges: Judges, out: Path) -> None:
    """A metric that misses its data, or a judge that cannot be reached, says so before anything is generated."""
    for cell in cells:
        metrics = scoring.create(cell.config.profile)
        judges.bind(metrics, cell.config, out=out)
        for metric in metrics.values():
            metric.versions()


def what_was_done(cells: Sequence[Cell], todo: Sequence[Cell], service: GenerationService) -> str:
    """One line: requests that were generated, answers that were there already."""
    before = len(cells) - len(todo)
    parts = [f"{before} of {len(cells)} cells were finished before"] if before else []
    use = service.use
    speed = f" ({use.new_tokens} new tokens, {use.tokens_per_second:.0f} a second)" if use.requests else ""
    parts.append(f"{use.requests} requests generated{speed}, {use.from_store} answers from the store")
    return "; ".join(parts)


def prepare(cell: Cell, service: GenerationService) -> None:
    """Opens the folder: what is finished stays, the rest is pending."""
    (cell.folder.path / runs.SUMMARY).unlink(missing_ok=True)
    about = {"identity": cell.identity, "generator": service.identity, "sources": cell.sources}
    cell.folder.write(runs.CONFIG, {**about, "config": cell.config.model_dump(mode="json")})
    if not (cell.folder.path / runs.PROVENANCE).is_file():
        cell.folder.write(runs.PROVENANCE, provenance.collect(service.identity))
    finished = cell.folder.keep_finished()
    cell.pending = [sample for sample in cell.samples if sample.sample_id not in finished]


async def _write_and_close(
    cells: Sequence[Cell], corpus: Corpus, service: GenerationService, *, progress: Progress, out: Path
) -> None:
    try:
        await write_cells(cells, corpus, service, progress=progress, out=out)
    except BaseExceptionGroup as group:
        raise first_error(group) from None
    finally:
        await service.close()


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The many samples that a dead engine or a full disk stops all say the same; the first is enough."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
