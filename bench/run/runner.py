"""One grid on one engine, from planned cells to their summaries: the whole job is `run`.

What is finished is never done again. A command that was stopped, at whatever point, goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import registry
from bench.config import RunConfig
from bench.console.progress import Progress
from bench.data.corpus import Corpus
from bench.generate.service import GenerationService
from bench.generate.store import RequestStore
from bench.run.cells import Cell
from bench.run.scoring import Scorer
from bench.run.selection import Choice, Selection
from bench.run.training import trained, validations
from bench.run.writing import Job, Writer, prefetched, task
from bench.score.finish import score_folder, with_those_before
from bench.score.judging import Judges


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
    with ExitStack() as stack:
        judges = stack.enter_context(Judges(say=progress.say))
        for cell in cells:
            judges.check(cell.config, out=out)
        todo = unfinished(cells, retry=retry)
        selections = trained(todo, corpus, service, say=progress.say)
        validated = opened(validations(selections), service, stack)
        todo = opened(todo, service, stack, retry=retry)
        progress.expect(map(task, [*cells, *validated]))
        jobs = prefetched([*validated, *todo], corpus, service, out, progress=progress)
        scorer = stack.enter_context(Scorer(corpus, service, judges, progress.say))
        write(jobs, selections, service, scorer, progress)
        progress.say(what_was_done(cells, todo, service))
        scorer.finish(todo)
        add_metrics(cells, corpus, judges, say=progress.say)
    return [cell.folder.summary() for cell in cells]


def train(
    cells: Sequence[Cell], corpus: Corpus, service: GenerationService, out: Path, *, progress: Progress
) -> list[tuple[Cell, Choice]]:
    """The first half of `run`: trains and validates what is not yet; every trained cell with its choice, in order."""
    with ExitStack() as stack:
        judges = stack.enter_context(Judges(say=progress.say))
        selections = trained(cells, corpus, service, say=progress.say)
        validated = opened(validations(selections), service, stack)
        progress.expect(map(task, validated))
        jobs = prefetched(validated, corpus, service, out, progress=progress)
        scorer = stack.enter_context(Scorer(corpus, service, judges, progress.say))
        write(jobs, selections, service, scorer, progress)
    return [(cell, selections[cell.identity].choice) for cell in cells if cell.identity in selections]


def unfinished(cells: Sequence[Cell], *, retry: bool) -> list[Cell]:
    return [cell for cell in cells if not cell.folder.done or (retry and cell.folder.summary()["failed"])]


def opened(cells: Sequence[Cell], service: GenerationService, stack: ExitStack, *, retry: bool = False) -> list[Cell]:
    """Locks the cells until the stack is closed; without those that another process has finished meanwhile."""
    for cell in cells:
        stack.enter_context(cell.locked())
    return [cell.open(service) for cell in unfinished(cells, retry=retry)]


def write(
    jobs: Sequence[Job],
    selections: Mapping[str, Selection],
    service: GenerationService,
    scorer: Scorer,
    progress: Progress,
) -> None:
    """Writes all samples, validation first where an epoch has to be chosen, and hands each written cell to the scorer.

    Raises what ends a run: EngineError, UserError of a full disk.
    """
    if any(job.cell.pending for job in jobs):
        _ = service.generator.encoder  # a model without a chat template says so once, not once a sample
    writer = Writer(service, progress, scorer)
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
    """The many samples that a dead engine or a full disk stops all say the same; the first is enough."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def what_was_done(cells: Sequence[Cell], todo: Sequence[Cell], service: GenerationService) -> str:
    """One line: requests that were generated, answers that were there already."""
    before = len(cells) - len(todo)
    parts = [f"{before} of {len(cells)} cells were finished before"] if before else []
    use = service.use
    speed = f" ({use.new_tokens} new tokens, {use.tokens_per_second:.0f} a second)" if use.requests else ""
    parts.append(f"{use.requests} requests generated{speed}, {use.from_store} answers from the store")
    return "; ".join(parts)


def add_metrics(cells: Sequence[Cell], corpus: Corpus, judges: Judges, *, say: Callable[[str], None]) -> None:
    """Scores runs that were finished before by the metrics that are asked for now and that they lack."""
    for cell in cells:
        has, profile = cell.folder.summary()["metric_versions"], cell.config.profile
        lacking = {name: dict(profile.options.get(name, {})) for name in profile.metrics if name not in has}
        if not lacking:
            continue
        say(f"scoring {cell.name} by {', '.join(lacking)} ...")
        with cell.locked():
            names, options = with_those_before(cell.folder, lacking, lacking)
            score_folder(cell.folder, corpus, metrics=names, options=options, judges=judges)
