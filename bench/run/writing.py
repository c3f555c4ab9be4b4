"""The writing stage of a grid: the samples of all cells at the same time, so that the engine's batch stays full.

A sample that fails becomes a row with the reason, never a crash. A trained method's test samples start as soon as its
own validation has chosen an epoch, while the samples of other methods are being written.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from bench.console.progress import Progress
from bench.console.state import Task
from bench.context.context import CellResources, SampleContext
from bench.errors import EngineError, PluginError, SampleFailure, UserError
from bench.generate.service import GenerationService
from bench.protocols import Method
from bench.record import runs
from bench.run.cells import Cell
from bench.run.jobs import Job
from bench.run.selection import METRIC, Choice, Selection
from bench.types import Sample

if TYPE_CHECKING:
    from bench.protocols import SoftPromptMethod

# Samples in flight at once, over all cells: enough to fill any engine, few enough to stay small in memory.
IN_FLIGHT = 512


class NextStage(Protocol):
    """Where the writer hands its cells on to."""

    def take(self, cell: Cell) -> None:
        """Takes a cell whose samples are all written. Returns at once."""
        ...

    async def validate(self, cell: Cell, metric: str) -> Mapping[str, Any]:
        """The summary of a written validation cell by one metric."""
        ...


def write(
    jobs: Sequence[Job],
    selections: Mapping[str, Selection],
    service: GenerationService,
    next_stage: NextStage,
    progress: Progress,
) -> None:
    """Writes all samples and hands each written cell on. Trained cells wait until their epoch is chosen.

    Raises what ends a run: EngineError, UserError of a full disk.
    """
    if any(job.cell.pending for job in jobs):
        _ = service.generator.encoder  # so that a missing chat template is reported once, not once a sample
    writer = Writer(service, progress, next_stage)
    try:
        asyncio.run(_and_close(writer.write(jobs, selections), service))
    except BaseExceptionGroup as group:
        raise first_error(group) from None
    finally:
        progress.close()


async def _and_close(work: Awaitable[None], service: GenerationService) -> None:
    try:
        await work
    finally:
        await service.close()


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """A dead engine or a full disk stops many samples with the same error: the first is enough."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@dataclass(frozen=True)
class Writer:
    """Writes the cells of one command, all at once, and hands each one on as soon as it is written."""

    service: GenerationService
    progress: Progress
    next_stage: NextStage
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_FLIGHT))

    async def write(self, jobs: Sequence[Job], selections: Mapping[str, Selection] | None = None) -> None:
        """`selections`: cell identity -> how a trained cell's epoch is chosen.

        Raises an exception group of what ends the run: a dead engine, a full disk.
        """
        chosen_by = dict(selections or {})
        epochs = {job.cell.identity: job for job in jobs if job.cell.epoch is not None}
        async with asyncio.TaskGroup() as group:
            choices = {
                one.name: group.create_task(self._chosen(one, [epochs[cell.identity] for cell in one.cells]))
                for one in {one.name: one for one in chosen_by.values()}.values()
                if not one.chosen
            }
            for job in jobs:
                if job.cell.epoch is None:
                    selection = chosen_by.get(job.cell.identity)
                    group.create_task(self._cell(job, selection, choices.get(selection.name) if selection else None))

    async def _cell(self, job: Job, selection: Selection | None, choosing: asyncio.Task[Choice] | None) -> None:
        """The way of one cell: choose its epoch, write its samples, hand it on."""
        if selection is not None:
            choice = await choosing if choosing else selection.choice
            job.cell.note(trained=choice.summary(selection.checkpoint))
            job = at_epoch(job, choice.epoch)
        await self._samples(job)
        self.next_stage.take(job.cell.written(self.service))

    async def _chosen(self, selection: Selection, jobs: Sequence[Job]) -> Choice:
        """Writes the validation samples of every epoch, then compares the epochs."""
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(self._samples(at_epoch(job, job.cell.epoch or 0)))
        choice = selection.choose([await self.next_stage.validate(cell, METRIC) for cell in selection.cells])
        self.progress.say(choice.line(selection.checkpoint.path.name))
        return choice

    async def _samples(self, job: Job) -> None:
        async with asyncio.TaskGroup() as group:
            for sample in job.cell.pending:
                group.create_task(self._sample(job, sample))

    async def _sample(self, job: Job, sample: Sample) -> None:
        task = self.progress.state.tasks[job.cell.name]
        async with self.room:
            self.progress.begin(task)
            row = await write_sample(job.cell.method, sample, job.resources)
        job.cell.folder.append(runs.SAMPLES, row)
        self.progress.step(task, failed=row["error"] is not None, requests=len(row["requests"]))


def task(cell: Cell) -> Task:
    """How far a cell is, for the progress view."""
    n = len(cell.samples)
    return Task(cell.name, cell.config.method, n, n - len(cell.pending), validates=cell.epoch is not None)


def at_epoch(job: Job, epoch: int) -> Job:
    """The job with the trained module of this epoch. The module is not loaded where nothing is left to write."""
    if not job.cell.pending:
        return job
    return replace(job, resources=with_slot_encoder(job.cell, job.cell.method, job.resources, epoch))


def with_slot_encoder(cell: Cell, method: Method, resources: CellResources, epoch: int) -> CellResources:
    """The resources with the trained module of this epoch of the cell's checkpoint."""
    assert cell.checkpoint is not None
    return replace(resources, slot_encoder=cell.checkpoint.slot_encoder(cast("SoftPromptMethod", method), epoch))


def _checked(text: Any, ctx: SampleContext) -> str:
    """The method's text, if a row can hold it and its notes. Raises TypeError, which fails the sample, not the run."""
    if not isinstance(text, str):
        raise TypeError(f"the method gave {type(text).__name__}, not a text")
    try:
        runs.dump(ctx.trace.notes)
    except (TypeError, ValueError) as error:
        ctx.trace.notes = {}
        raise TypeError(f"a note of the method is no JSON value: {error}") from error
    return text


def facts(sample: Sample) -> dict[str, Any]:
    """The part of a row that does not depend on the written text."""
    return {
        "sample_id": sample.sample_id,
        "category": sample.category,
        "user_id": sample.user_id,
        "item_id": sample.item.item_id,
        "rating": sample.rating,
        "title": sample.title,
        "history": len(sample.history),
    }


async def write_sample(method: Method, sample: Sample, resources: CellResources) -> dict[str, Any]:
    """Writes one sample and returns its row. A failure, be it a bug in the method, is recorded on the row."""
    ctx = SampleContext(sample, resources)
    text, error, trace = "", None, None
    began, started = time.time(), time.perf_counter()
    try:
        if failure := resources.failed.get(sample.sample_id):
            raise failure
        text = _checked(await method.write(sample, ctx), ctx)
    except (EngineError, UserError):
        raise
    except SampleFailure as failure:
        error = str(failure)
    except PluginError as failure:
        error, trace = str(failure), traceback.format_exc()
    except (Exception, SystemExit) as failure:
        error, trace = f"{type(failure).__name__}: {failure}", traceback.format_exc()
    return {
        **facts(sample),
        "text": text,
        "error": error,
        "traceback": trace,
        "retrieved": list(ctx.trace.retrieved),
        "uncompared": ctx.trace.uncompared or None,
        "kept": ctx.trace.kept,
        "dropped": asdict(ctx.trace.dropped),
        "dropped_before": asdict(ctx.trace.dropped_before),
        "stages": {stage: asdict(cost) for stage, cost in ctx.trace.stages.items()},
        "requests": [list(request) for request in ctx.trace.requests],
        "soft": {name: asdict(one) for name, one in ctx.trace.soft.items()},
        "finish": [list(ended) for ended in ctx.trace.finish],
        "reasoning": [list(thought) for thought in ctx.trace.reasoning],
        "notes": ctx.trace.notes,
        "began": round(began, 3),
        "seconds": round(time.perf_counter() - started, 3),
    }
