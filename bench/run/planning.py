"""`bench run --dry-run`: counts what is left to do, by the methods themselves.

Every pending sample is written with a service that answers from the store and invents the missing answers. So requests
and prompt tokens are counted as in the real run, unless they depend on texts that are not generated yet. Nothing is
generated or embedded, and no run folder is made.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from bench import registry
from bench.context import prefetch
from bench.data.corpus import Corpus
from bench.embed.store import VectorStore
from bench.generate.service import GenerationService
from bench.generate.store import request_key
from bench.protocols import Embedder
from bench.record import runs
from bench.record.contents import EngineUse
from bench.run.cells import Cell
from bench.run.writing import write_sample
from bench.seeds import derive
from bench.types import Completion, Prompt, Request

if TYPE_CHECKING:
    from bench.protocols import Vectors


@dataclass
class Stage:
    """The requests of one stage of one cell. New tokens of answers that are not stored are estimated."""

    requests: int = 0
    stored: int = 0
    prompt_tokens: int = 0
    new_tokens: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What one cell still needs. `seconds` is None where no earlier run has measured this engine's speed."""

    cell: Cell
    pending: int
    stages: Mapping[str, Stage]
    seconds: float | None


@dataclass
class Speeds:
    """Measured by earlier runs of this engine in this folder: new tokens a second, and of a request by stage."""

    per_second: list[float] = field(default_factory=list)
    per_request: dict[str, list[float]] = field(default_factory=dict)

    def expected(self, stage: str, limit: int) -> float:
        """Expected new tokens of a request: the median of earlier runs, else the limit."""
        return min(limit, median(self.per_request[stage])) if stage in self.per_request else limit


@dataclass(frozen=True)
class KnownVectors:
    """Stored vectors, and random ones for the rest. Stands in for the embedder, which is not loaded."""

    store: VectorStore
    embedder: Embedder

    def embed(self, texts: Sequence[str]) -> Vectors:
        known = self.store.vectors(self.embedder.identity(), texts) if self.store.path.exists() else {}
        size = len(next(iter(known.values()))) if known else 8
        rows = [known[t] if t in known else np.random.default_rng(derive("plan", t)).normal(size=size) for t in texts]
        return np.asarray(rows, np.float32).reshape(len(texts), size)


class Rehearsal:
    """Stands in for the generation service: counts, and invents missing answers of the expected length."""

    def __init__(self, service: GenerationService, speeds: Speeds) -> None:
        self.generator = service.generator
        self._service = service
        self._speeds = speeds
        self.stages: dict[str, Stage] = {}

    async def complete(self, prompt: Prompt, request: Request) -> tuple[Completion, bool, str]:
        key = request_key(request, self._service.identity)
        seen = self.stages.setdefault(request.stage, Stage())
        seen.requests += 1
        stored = self._service.store.get(key)
        if stored is not None:
            seen.stored += 1
            return stored, True, key
        length = round(self._speeds.expected(request.stage, request.sampling.max_new_tokens))
        seen.prompt_tokens += len(request.ids)
        seen.new_tokens += length
        words = random.Random(request.seed).choices(("word", "review", "style", "tone"), k=length)
        return Completion(" ".join(words), (0,) * length, "stop", n_prompt=len(request.ids)), False, key


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
    """What each cell still needs, in order. A request that several cells share counts in each of them."""
    measured = speeds(out, service.identity)
    return [_plan(cell, corpus, service, measured, out) for cell in cells]


def _plan(cell: Cell, corpus: Corpus, service: GenerationService, measured: Speeds, out: Path) -> Plan:
    rows = [] if cell.folder.done else list(cell.folder.rows(runs.SAMPLES))
    finished = {row["sample_id"] for row in rows if row["error"] is None}
    pending = [] if cell.folder.done else [s for s in cell.samples if s.sample_id not in finished]
    rehearsal = Rehearsal(service, measured)
    method = registry.create("method", cell.config.method, cell.config.method_options)
    resources = prefetch.resources(cell.config, pending, corpus, rehearsal, out=out, vectors=KnownVectors)
    resources = replace(resources, slot_encoder=lambda slots: np.zeros((len(slots), 1), np.float32))
    for sample in pending:
        asyncio.run(write_sample(method, sample, resources))
    tokens = sum(stage.new_tokens for stage in rehearsal.stages.values())
    seconds = tokens / median(measured.per_second) if measured.per_second else None
    return Plan(cell, len(pending), rehearsal.stages, seconds if tokens else 0.0)
