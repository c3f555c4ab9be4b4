"""Writes the samples of many cells at the same time, so that the engine's batch stays full.

One failing sample is a row with its reason, never a crash. A trained method's test samples start as soon as its own
validation has chosen an epoch, while other methods' samples are being written.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bench import registry
from bench.console.progress import Progress, Task
from bench.context import prefetch
from bench.context.context import CellResources, SampleContext
from bench.data.corpus import Corpus
from bench.errors import EngineError, PluginError, SampleFailure, UserError
from bench.generate.service import GenerationService
from bench.protocols import Method
from bench.record import runs
from bench.run.cells import Cell
from bench.run.selection import Choice, Selection
from bench.types import Sample

if TYPE_CHECKING:
    from bench.protocols import SoftPromptMethod

# Samples in flight at once, over all cells: enough to fill any engine, few enough to stay small in memory.
IN_FLIGHT = 512

Chosen = Mapping[str, asyncio.Task[Choice]]


@dataclass(frozen=True)
class Writer:
    """What the cells of one command share while they are written."""

    corpus: Corpus
    service: GenerationService
    progress: Progress
    out: Path
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_FLIGHT))

    async def write(self, cells: Sequence[Cell], selections: Sequence[Selection] = ()) -> None:
        """Every pending sample of every cell. Raises what ends the run: a dead engine, a full disk."""
        self.progress.expect(map(task, [*cells, *(cell for selection in selections for cell in selection.cells)]))
        # What is looked up is looked up for all before the first request: encoders go before the engine comes.
        jobs = [(cell, *self._looked_up(cell)) for cell in cells if cell.pending or cell.checkpoint]
        to_choose = [(selection, *self._looked_up(selection.cells[0])) for selection in selections]
        async with asyncio.TaskGroup() as group:
            choices = {
                selection.name: group.create_task(self._choose(selection, method, resources))
                for selection, method, resources in to_choose
            }
            for cell, method, resources in jobs:
                if cell.checkpoint is None:
                    self._start(group, cell, method, resources)
                else:
                    group.create_task(self._after_choice(group, choices, cell, method, resources))

    def _looked_up(self, cell: Cell) -> tuple[Method, CellResources]:
        method = registry.create("method", cell.config.method, cell.config.method_options)
        resources = prefetch.resources(cell.config, cell.samples, self.corpus, self.service, out=self.out)
        prefetch.embed(method, cell.config, cell.samples, resources, out=self.out, progress=self.progress.embedding)
        return method, replace(resources, answered=partial(self.progress.answered, cell.config.method))

    def _start(self, group: asyncio.TaskGroup, cell: Cell, method: Method, resources: CellResources) -> None:
        for sample in cell.pending:
            group.create_task(self._one(cell, method, resources, sample))

    async def _one(self, cell: Cell, method: Method, resources: CellResources, sample: Sample) -> None:
        task = self.progress.tasks[cell.name]
        async with self.room:
            self.progress.begin(task)
            row = await write_sample(method, sample, resources)
        cell.folder.append(runs.SAMPLES, row)
        self.progress.step(task, failed=row["error"] is not None, requests=len(row["requests"]))

    async def _choose(self, selection: Selection, method: Method, resources: CellResources) -> Choice:
        """Writes the validation samples of every epoch, then compares the epochs."""
        async with asyncio.TaskGroup() as group:
            for cell in selection.cells:
                self._start(group, cell, method, with_slot_encoder(cell, method, resources, cell.epoch or 0))
        choice = await asyncio.to_thread(selection.choose, self.corpus)
        self.progress.say(choice.line(selection.checkpoint.path.name))
        return choice

    async def _after_choice(
        self, group: asyncio.TaskGroup, choices: Chosen, cell: Cell, method: Method, resources: CellResources
    ) -> None:
        selection = Selection.of(cell, self.corpus, self.service.identity)
        choice = await choices[selection.name] if selection.name in choices else selection.choice
        cell.note(trained=choice.summary(selection.checkpoint))
        self._start(group, cell, method, with_slot_encoder(cell, method, resources, choice.epoch))


def task(cell: Cell) -> Task:
    """How far a cell is, for those who look on."""
    n = len(cell.samples)
    return Task(cell.name, cell.config.method, n, n - len(cell.pending), validates=cell.epoch is not None)


def with_slot_encoder(cell: Cell, method: Method, resources: CellResources, epoch: int) -> CellResources:
    """With the rows of the cell's checkpoint after this epoch."""
    assert cell.checkpoint is not None
    return replace(resources, slot_encoder=cell.checkpoint.slot_encoder(cast("SoftPromptMethod", method), epoch))


def _checked(text: Any, ctx: SampleContext) -> str:
    """What a method gave, if a row can hold it: else this sample fails, and not the run."""
    if not isinstance(text, str):
        raise TypeError(f"the method gave {type(text).__name__}, not a text")
    try:
        runs.dump(ctx.trace.notes)
    except (TypeError, ValueError) as error:
        ctx.trace.notes = {}
        raise TypeError(f"a note of the method is no JSON value: {error}") from error
    return text


def facts(sample: Sample) -> dict[str, Any]:
    """What a row says of its sample, whatever is written."""
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
    """The sample's row. A failure of this sample, a bug in a method included, is recorded on it."""
    ctx = SampleContext(sample, resources)
    text, error, trace = "", None, None
    started = time.perf_counter()
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
        "dropped": asdict(ctx.trace.dropped),
        "stages": {stage: asdict(cost) for stage, cost in ctx.trace.stages.items()},
        "requests": [list(request) for request in ctx.trace.requests],
        "notes": ctx.trace.notes,
        "seconds": round(time.perf_counter() - started, 3),
    }
