"""One grid on one engine, from planned cells to their summaries. `run` shows the whole job in order.

Finished work is never repeated: a command that was stopped continues where it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from bench import registry
from bench.config import Profile, RunConfig
from bench.console.progress import Progress
from bench.data import caveats
from bench.data.corpus import Corpus
from bench.generate.service import GenerationService
from bench.generate.store import RequestStore
from bench.record import day
from bench.run.cells import Cell, lock, unfinished, without_scores
from bench.run.jobs import prefetched
from bench.run.scoring import Scorer
from bench.run.selection import Choice
from bench.run.training import trained
from bench.run.writing import task, write
from bench.score.judging import Judges
from bench.types import EngineUse


def open_service(config: RunConfig, out: Path, *, progress: Progress, date: str = "") -> GenerationService:
    """The generator of a configuration, not started yet, over the output folder's request store.

    `date` is what chat templates that print it are told; by default the profile's, or the first day of this folder.
    """
    kept = out / ".store"
    make = registry.load("generator", config.generator)
    profile = config.profile.model_copy(update={"date": date or config.profile.date or day.of(out)})
    generator = make(profile, deterministic=config.deterministic, log=kept / "engine.log", **config.generator_options)
    store = RequestStore(kept / "requests.sqlite")
    service = GenerationService(generator, store, say=progress.say, date=str(profile.date))
    progress.follow(service.use, service.waiting)
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
    """Trains, opens, prefetches, writes and scores the cells that are not finished; returns all summaries, in order.

    Each stage takes cells and hands them on (bench/run/*.py, a file a stage). Writing closes the service. With `retry`,
    finished cells with failed samples are opened again for these samples. Raises BenchError where the run cannot go on.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        judges = stack.enter_context(Judges(say=progress.say))
        for cell in cells:
            judges.check(cell.config, out=out)
        todo = unfinished(cells, retry=retry)
        for line in _opening(todo, corpus, service):
            progress.say(line)
        selections, validated = trained(todo, corpus, service, say=progress.say)
        lock([*validated, *todo], stack)
        todo = unfinished(todo, retry=retry)  # another command may have finished some meanwhile
        opened = [cell.open(service) for cell in [*validated, *todo]]
        to_score = without_scores(cells, todo)
        progress.expect(map(task, [*cells, *validated]))
        jobs = prefetched(opened, corpus, service, out, progress=progress)
        scorer = stack.enter_context(Scorer(corpus, service, judges, progress.say))
        write(jobs, selections, service, scorer, progress)
        done = what_was_done(service.use, n_before=len(cells) - len(todo), n=len(cells))
        progress.say(f"{done}; {time.monotonic() - began:.0f} s in all")
        scorer.finish(to_score)
        return [cell.folder.summary() for cell in cells]


def _opening(todo: Sequence[Cell], corpus: Corpus, service: GenerationService) -> Iterator[str]:
    """What is worth knowing before hours of work: what is odd about the data and model, values that no profile gives,
    and memory that is short.
    """
    yield from warnings(todo, corpus)
    yield from dict.fromkeys(filter(None, (fitted(cell.config.profile) for cell in todo)))
    if todo and (foreseen := service.warning()):
        yield foreseen


def warnings(cells: Sequence[Cell], corpus: Corpus) -> Iterator[str]:
    """What is odd about data and model. The first cell stands for all of one engine and dataset."""
    for cell in cells[:1]:
        yield from (f"warning: {line}" for line in caveats.lines(caveats.of(cell.config, corpus)))


def fitted(profile: Profile) -> str:
    """One line on the values that were chosen for this machine; "" where the profile gives all of them."""
    values = profile.model_dump(mode="json")
    said = ", ".join(f"{key}={json.dumps(reduce(getitem, key.split('.'), values))}" for key in profile.fitted)
    return f"for a CPU, as profile {profile.name} says nothing of it: {said}; --set changes it" if said else ""


def train(
    cells: Sequence[Cell], corpus: Corpus, service: GenerationService, out: Path, *, progress: Progress
) -> list[tuple[Cell, Choice]]:
    """The first half of `run`: trains and validates. Returns every trained cell with the chosen epoch, in order."""
    with ExitStack() as stack:
        judges = stack.enter_context(Judges(say=progress.say))
        for line in warnings(cells, corpus):
            progress.say(line)
        selections, validated = trained(cells, corpus, service, say=progress.say)
        lock(validated, stack)
        opened = [cell.open(service) for cell in validated]
        progress.expect(map(task, opened))
        jobs = prefetched(opened, corpus, service, out, progress=progress)
        scorer = stack.enter_context(Scorer(corpus, service, judges, progress.say))
        write(jobs, selections, service, scorer, progress)
    return [(cell, selections[cell.identity].choice) for cell in cells if cell.identity in selections]


def what_was_done(use: EngineUse, *, n_before: int, n: int) -> str:
    """One line: how many requests were answered, by the engine and from the store, and how long the engine worked."""
    parts = [f"{n_before} of {n} cells were finished before"] if n_before else []
    parts.append(f"{use.requests} requests: {use.generated} generated, {use.from_store} from the store")
    if use.generated:
        speed = f"{use.new_tokens} new tokens in {use.engine_seconds:.1f} s of the engine"
        parts.append(f"{speed} ({use.tokens_per_second:.0f} a second)")
    return "; ".join(parts)
