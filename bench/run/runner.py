"""Cells to finished run folders: train -> load -> retrieve -> write -> score -> store.

Training comes first, each in a process of its own, so that its memory is free again when the engine starts. What is
finished is never done again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import plugins, registry
from bench.config import RunConfig
from bench.console.progress import Progress
from bench.data.corpus import Corpus
from bench.generate.service import GenerationService
from bench.generate.store import RequestStore
from bench.run.cells import Cell, conclude, prepare
from bench.run.selection import Choice, Selection
from bench.run.writing import Writer, task
from bench.score import scoring
from bench.score.finish import score_folder, with_those_before
from bench.score.judging import Judges
from bench.train import launch


def open_service(config: RunConfig, out: Path, *, progress: Progress) -> GenerationService:
    """The generator that a cell asks for (not started yet) over the output folder's request store."""
    kept = out / ".store"
    make = registry.load("generator", config.generator)
    generator = make(
        config.profile, deterministic=config.deterministic, log=kept / "engine.log", **config.generator_options
    )
    store = RequestStore(kept / "requests.sqlite")
    service = GenerationService(generator, store, say=progress.say)
    progress.follow(service.use)
    return service


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
        todo = unfinished(cells, retry=retry)
        selections = _trained(todo, corpus, service, progress=progress, stack=stack)
        for cell in todo:
            stack.enter_context(cell.folder.locked())
        todo = unfinished(todo, retry=retry)  # another process may have finished one meanwhile
        for cell in todo:
            prepare(cell, service)
        progress.expect(map(task, cells))
        _write(todo, selections, corpus, service, progress=progress, out=out)
        progress.say(what_was_done(cells, todo, service))
        for number, cell in enumerate(todo, start=1):
            progress.say(f"scoring {cell.name}{_place(number, len(todo))} ...")
            conclude(cell, service)
            with plugins.traced(cell.folder.path):
                score_folder(cell.folder, corpus, engine=service.use, judges=judges)
        for cell in cells:
            if lacking := _unscored(cell):
                progress.say(f"scoring {cell.name} by {', '.join(lacking)} ...")
                stack.enter_context(cell.folder.locked())
                names, options = with_those_before(cell.folder, lacking, lacking)
                with plugins.traced(cell.folder.path):
                    score_folder(cell.folder, corpus, metrics=names, options=options, judges=judges)
    return [cell.folder.summary() for cell in cells]


def unfinished(cells: Sequence[Cell], *, retry: bool) -> list[Cell]:
    return [cell for cell in cells if not cell.folder.done or (retry and cell.folder.summary()["failed"])]


def _unscored(cell: Cell) -> dict[str, dict[str, Any]]:
    """Metrics that are asked for now, with their options, and that a run finished before lacks."""
    has, profile = cell.folder.summary()["metric_versions"], cell.config.profile
    return {name: dict(profile.options.get(name, {})) for name in profile.metrics if name not in has}


def train(
    cells: Sequence[Cell], corpus: Corpus, service: GenerationService, out: Path, *, progress: Progress
) -> list[tuple[Cell, Choice]]:
    """Trains and validates what is not yet; the choice of every trained cell, in order."""
    trained = [cell for cell in cells if cell.checkpoint is not None]
    with contextlib.ExitStack() as stack:
        selections = _trained(trained, corpus, service, progress=progress, stack=stack)
        _write([], selections, corpus, service, progress=progress, out=out)
    return [(cell, Selection.of(cell, corpus, service.identity).choice) for cell in trained]


def _trained(
    cells: Sequence[Cell],
    corpus: Corpus,
    service: GenerationService,
    *,
    progress: Progress,
    stack: contextlib.ExitStack,
) -> list[Selection]:
    """Trains the checkpoints that these cells lack; the selections that are still to be made, locked and prepared."""
    missing: dict[str, Selection] = {}
    untrained = list(dict.fromkeys(one.path for one in (cell.checkpoint for cell in cells) if one and not one.trained))
    for cell in cells:
        if cell.checkpoint is None:
            continue
        number = untrained.index(cell.checkpoint.path) + 1 if cell.checkpoint.path in untrained else 0
        launch.ensure(cell.checkpoint, cell.config, place=_place(number, len(untrained)), say=progress.say)
        selection = Selection.of(cell, corpus, service.identity)
        if selection.name not in missing and not selection.chosen:
            missing[selection.name] = selection
            for one in selection.cells:
                stack.enter_context(one.folder.locked())
                prepare(one, service)
    return list(missing.values())


def _write(
    todo: Sequence[Cell],
    selections: Sequence[Selection],
    corpus: Corpus,
    service: GenerationService,
    *,
    progress: Progress,
    out: Path,
) -> None:
    if any(cell.pending for cell in [*todo, *(cell for one in selections for cell in one.cells)]):
        _ = service.generator.encoder  # a model without a chat template says so once, not once a sample
    asyncio.run(_write_and_close(todo, selections, corpus, service, progress=progress, out=out))
    progress.close()


def _place(number: int, count: int) -> str:
    return f" ({number} of {count})" if count > 1 else ""


def check_metrics(cells: Sequence[Cell], judges: Judges, out: Path) -> None:
    """A metric that misses its data, or a judge that cannot be reached, says so before anything is generated."""
    for cell in cells:
        metrics = scoring.create(cell.config.profile)
        judges.bind(metrics, cell.config, out=out)
        for name, metric in metrics.items():
            scoring.check_versions(name, metric)


def what_was_done(cells: Sequence[Cell], todo: Sequence[Cell], service: GenerationService) -> str:
    """One line: requests that were generated, answers that were there already."""
    before = len(cells) - len(todo)
    parts = [f"{before} of {len(cells)} cells were finished before"] if before else []
    use = service.use
    speed = f" ({use.new_tokens} new tokens, {use.tokens_per_second:.0f} a second)" if use.requests else ""
    parts.append(f"{use.requests} requests generated{speed}, {use.from_store} answers from the store")
    return "; ".join(parts)


async def _write_and_close(
    cells: Sequence[Cell],
    selections: Sequence[Selection],
    corpus: Corpus,
    service: GenerationService,
    *,
    progress: Progress,
    out: Path,
) -> None:
    try:
        await Writer(corpus, service, progress, out).write(cells, selections)
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
