"""`--dry-run`: counts what is left to do, by the methods themselves.

Every pending sample is written with stand-ins (bench.run.rehearsal). So requests and prompt tokens are counted as in
the real run, and what cannot be known before it is said. Nothing is trained, generated or embedded, and no run folder
is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, cast

from pydantic import ValidationError

from bench import registry
from bench.context import prefetch
from bench.context.context import SlotEncoder
from bench.data import swap
from bench.data.corpus import Corpus
from bench.generate.service import GenerationService
from bench.models import light
from bench.protocols import SoftPromptMethod
from bench.record import runs
from bench.record.contents import EngineUse
from bench.run.cells import Cell
from bench.run.rehearsal import Guesses, KnownVectors, Rehearsal, Speeds, Stage
from bench.run.selection import Selection
from bench.run.writing import write_sample
from bench.types import Sample

UNCHOSEN = "which epoch its validation will choose is not known; none of its answers counts as stored"


@dataclass(frozen=True)
class Plan:
    """What one cell, or the validation of one epoch, still needs.

    `seconds` is None where no earlier run has measured this engine's speed. `unknown`: what cannot be known, in lines.
    """

    cell: Cell
    pending: int
    stages: Mapping[str, Stage]
    seconds: float | None
    unknown: tuple[str, ...] = ()


def speeds(out: Path, engine: Mapping[str, Any]) -> Speeds:
    """Speeds of all finished runs below `out` that the same generator wrote."""
    found = Speeds()
    for folder in runs.find(out):
        if not folder.done or folder.read(runs.CONFIG)["generator"] != dict(engine):
            continue
        summary = folder.summary()
        with suppress(ValidationError):
            use = EngineUse.model_validate(summary.get("engine_use") or {})
            found.per_second += [use.tokens_per_second] if use.requests and use.tokens_per_second else []
        for stage, cost in summary["stages"].items():
            found.per_request.setdefault(stage, []).append(cost["new_tokens"] / max(1, cost["requests"]))
    return found


def plan(cells: Sequence[Cell], corpus: Corpus, service: GenerationService, out: Path) -> list[Plan]:
    """What each cell still needs, in order; before a trained one the validation that chooses its epoch.

    A request that several cells share is new in the first of them.
    """
    planner = _Planner(corpus, service, speeds(out, service.identity), out, set())
    if any(not cell.folder.done for cell in cells):
        with light.without_torch():
            _ = service.generator.encoder
    validated: set[str] = set()
    return [found for cell in cells for found in planner.of(cell, validated)]


@dataclass(frozen=True)
class _Planner:
    corpus: Corpus
    service: GenerationService
    measured: Speeds
    out: Path
    asked: set[str]

    def of(self, cell: Cell, validated: set[str]) -> Iterator[Plan]:
        """`validated`: the names of the selections that are planned already, as cells may share one."""
        checkpoint = cell.checkpoint
        if checkpoint is None or cell.folder.done:
            yield self._plan(cell, None, ())
            return
        selection = Selection.of(cell, self.corpus, self.service.identity)
        first = self._training(cell) if not checkpoint.trained else ""
        if not selection.chosen and selection.name not in validated:
            validated.add(selection.name)
            for one in selection.cells:
                yield self._plan(one, one.epoch if checkpoint.trained else None, (first,) if first else ())
        epoch = selection.choice.epoch if selection.chosen else None
        later = "" if selection.chosen else f"{checkpoint.path.name}: {UNCHOSEN}"
        yield self._plan(cell, epoch, tuple(filter(None, (first, later))))

    def _training(self, cell: Cell) -> str:
        train = cell.config.profile.train
        n = len(self.corpus.training_samples(limit=train.limit))
        steps = train.epochs * -(-n // train.batch)
        name = cell.checkpoint.path.name if cell.checkpoint else cell.name
        return (
            f"{name}: trained first, {train.epochs} x {n:,} samples, at most {steps:,} steps; for how long is not known"
        )

    def _plan(self, cell: Cell, epoch: int | None, unknown: tuple[str, ...]) -> Plan:
        """`epoch`: whose module a trained cell has; None where that is not known yet."""
        guesses = Guesses()
        vectors = partial(KnownVectors, guesses=guesses)
        if swap.is_open(cell.config, cell.folder):
            chosen = prefetch.histories(cell.config, self.corpus, out=self.out, vectors=vectors)
            cell.show(swap.with_histories(swap.own(cell.config, self.corpus), self.corpus, chosen))
        pending = _pending(cell)
        trained = self._module(cell, epoch) if pending else None
        rehearsal = Rehearsal(self.service, self.measured, guesses, self.asked, trained)
        resources = prefetch.resources(cell.config, pending, self.corpus, rehearsal, out=self.out, vectors=vectors)
        resources = replace(resources, slot_encoder=rehearsal.slots)
        method = registry.create("method", cell.config.method, cell.config.method_options)
        for sample in pending:
            rehearsal.begin()
            row = asyncio.run(write_sample(method, sample, resources))
            guesses.failures.update([row["error"]] if row["error"] else [])
        tokens = sum(stage.new_tokens for stage in rehearsal.stages.values())
        seconds = tokens / median(self.measured.per_second) if self.measured.per_second else None
        said = (*unknown, *(f"{cell.name}: {line}" for line in _guessed(guesses)))
        return Plan(cell, len(pending), rehearsal.stages, seconds if tokens else 0.0, said)

    def _module(self, cell: Cell, epoch: int | None) -> SlotEncoder | None:
        """Not loaded, as that takes seconds, where no answer is stored."""
        if cell.checkpoint is None or epoch is None or not len(self.service.store):
            return None
        return cell.checkpoint.slot_encoder(cast("SoftPromptMethod", cell.method), epoch)


def _pending(cell: Cell) -> list[Sample]:
    if cell.folder.done:
        return []
    finished = {row["sample_id"] for row in cell.folder.rows(runs.SAMPLES) if row["error"] is None}
    return [sample for sample in cell.samples if sample.sample_id not in finished]


def _guessed(guesses: Guesses) -> Iterator[str]:
    if guesses.texts:
        n = len(guesses.texts)
        yield f"{n:,} texts are not embedded yet; what is retrieved or compared by them is a guess and not stored"
    if guesses.stages:
        yield f"prompt tokens of {', '.join(guesses.stages)} are a guess: they hold answers that are not generated yet"
    if guesses.failures:
        (reason, n), *_ = guesses.failures.most_common(1)
        yield f"{guesses.failures.total():,} samples cannot be planned; {n:,} of them: {reason}"
