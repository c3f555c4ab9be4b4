"""Tokens a second of the pipeline, which records its requests, and of the bare engine given the same requests."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.config import RunConfig
from bench.console.progress import Progress
from bench.data.corpus import Corpus, load
from bench.generate.engine.vllm import VllmGenerator
from bench.generate.service import GenerationService
from bench.generate.store import RequestStore
from bench.run import cells
from bench.run.cells import Cell
from bench.run.jobs import prefetched
from bench.run.writing import Writer, task
from bench.suite import grid
from bench.types import Completion, Prompt, Request


def arguments(doc: str | None, *, limit: int, turns: int) -> argparse.ArgumentParser:
    """The options that all engine benchmarks take, with these defaults."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="bundled")
    parser.add_argument("--limit", type=int, default=limit)
    parser.add_argument("--turns", type=int, default=turns)
    parser.add_argument("--profile", default="tiny")
    return parser


def one_run(
    options: argparse.Namespace,
    method: str,
    retriever: str,
    *,
    k: int | None = None,
    settings: dict[str, Any] | None = None,
) -> tuple[RunConfig, Corpus]:
    """The configuration of one run by these options, and its corpus. `k` None: the profile's."""
    corpus = load(options.data)
    (config,) = grid.expand(
        corpus,
        data=options.data,
        methods=[method],
        retrievers=[retriever],
        ks=None if k is None else [k],
        seeds=[0],
        profile=options.profile,
        set_values=settings or {},
        limit=options.limit,
    )
    return config, corpus


@dataclass(frozen=True)
class Turn:
    """One measured way: new tokens and seconds, engine start not counted."""

    tokens: int
    seconds: float

    @property
    def speed(self) -> float:
        return self.tokens / self.seconds

    def __str__(self) -> str:
        return f"{self.tokens} new tokens in {self.seconds:.1f} s: {self.speed:.1f} tokens/s"


class Recorder(GenerationService):
    """A generation service on a running engine that keeps the requests it generates."""

    def __init__(self, generator: VllmGenerator, store: RequestStore) -> None:
        super().__init__(generator, store)
        self.requests: list[Request] = []
        self._starting = asyncio.create_task(asyncio.sleep(0))

    async def complete(self, prompt: Prompt, request: Request) -> tuple[Completion, bool, str]:
        answer = await super().complete(prompt, request)
        if not answer[1]:
            self.requests.append(request)
        return answer


async def started(config: RunConfig) -> VllmGenerator:
    """A running, warmed-up engine."""
    generator = VllmGenerator(config.profile, log=Path(os.devnull))
    await generator.start()
    warm = Request(ids=tuple(range(100, 400)), sampling=config.profile.sampling, seed=0)
    await asyncio.gather(*(generator.generate(warm) for _ in range(8)))
    return generator


async def forget_prefixes(generator: VllmGenerator) -> None:
    await generator._engine.reset_prefix_cache()


class Unscored:
    """`bench.run.writing.NextStage` that leaves a written cell as it is."""

    def take(self, cell: Cell) -> None:
        pass

    async def validate(self, cell: Cell, metric: str) -> dict[str, Any]:
        raise AssertionError("nothing is trained here")


async def pipeline(config: RunConfig, corpus: Corpus, generator: VllmGenerator) -> tuple[Turn, list[Request]]:
    """The whole pipeline on an empty store: retrieval, method, budget, seeds, store, rows. Embedding comes before."""
    with TemporaryDirectory() as folder:
        out = Path(folder)
        service = Recorder(generator, RequestStore(out / "requests.sqlite"))
        (cell,) = cells.plan([config], corpus, out, generator=service.identity)
        progress = Progress(quiet=True)
        with cell.locked():
            jobs = prefetched([cell.open(service)], corpus, service, out, progress=progress)
            progress.expect([task(cell)])
            await forget_prefixes(generator)
            begin = time.perf_counter()
            await Writer(service, progress, Unscored()).write(jobs)
            return Turn(service.use.new_tokens, time.perf_counter() - begin), service.requests


async def at_once(generator: VllmGenerator, requests: list[Request]) -> Turn:
    """The bare engine, all requests handed in at once."""
    begin = time.perf_counter()
    completions = await asyncio.gather(*map(generator.generate, requests))
    return Turn(sum(completion.n_new for completion in completions), time.perf_counter() - begin)
