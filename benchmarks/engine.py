"""How much of the engine's speed the pipeline keeps: `make bench-engine`.

RAG with BM25 on up to 100 samples, in turns by the whole pipeline (method, budget, seeds, store, rows) and by
the bare engine given the same token ids, sampling and seeds at once. Both use the same running
engine, with its prefix cache emptied before each turn. Prints new tokens a second and their ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench import grid, runner
from bench.config import RunConfig
from bench.data.corpus import Corpus, load
from bench.generate.service import GenerationService
from bench.generate.store import RequestStore
from bench.progress import Progress
from bench.types import Completion, Prompt, Request

Turn = tuple[int, float]  # new tokens, seconds


class Recorder(GenerationService):
    """Remembers the requests that pass, so that the bare engine can be given the same."""

    requests: list[Request]

    async def complete(self, prompt: Prompt, request: Request) -> tuple[Completion, bool, str]:
        self.requests.append(request)
        return await super().complete(prompt, request)


async def pipeline(config: RunConfig, corpus: Corpus, generator: Any, out: Path) -> tuple[Turn, list[Request]]:
    service = Recorder(generator, RequestStore(out / "requests.sqlite"))
    service.requests = []
    service._starting = asyncio.create_task(asyncio.sleep(0))  # the engine runs already
    (cell,) = runner.plan([config], corpus, out, generator=service.identity)
    cell.folder.path.mkdir(parents=True)
    runner.prepare(cell, service)
    started = time.perf_counter()
    await runner.write_cells([cell], corpus, service, progress=Progress(quiet=True), out=out)
    return (service.use.new_tokens, time.perf_counter() - started), service.requests


async def bare(generator: Any, requests: list[Request]) -> Turn:
    started = time.perf_counter()
    completions = await asyncio.gather(*map(generator.generate, requests))
    return sum(completion.n_new for completion in completions), time.perf_counter() - started


async def measure(config: RunConfig, corpus: Corpus, generator: Any, turns: int) -> None:
    print("starting the engine ...", file=sys.stderr)
    await generator.start()
    await bare(generator, [Request(ids=tuple(range(100, 400)), sampling=config.profile.sampling, seed=0)])
    ratios = []
    for turn in range(turns):
        with tempfile.TemporaryDirectory() as folder:
            await generator._engine.reset_prefix_cache()
            ours, requests = await pipeline(config, corpus, generator, Path(folder))
        await generator._engine.reset_prefix_cache()
        theirs = await bare(generator, requests)
        speeds = [tokens / seconds for tokens, seconds in (ours, theirs)]
        ratios.append(speeds[0] / speeds[1])
        print(
            f"turn {turn + 1}: {len(requests)} requests, {ours[0]} new tokens; pipeline {speeds[0]:.1f} tokens/s "
            f"({ours[1]:.1f} s), engine {speeds[1]:.1f} tokens/s ({theirs[1]:.1f} s), ratio {ratios[-1]:.3f}"
        )
    print(f"ratio, median of {turns}: {median(ratios):.3f}")
    await generator.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="bundled")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--profile", default="tiny")
    options = parser.parse_args()
    corpus = load(options.data)
    (config,) = grid.expand(
        corpus,
        data=options.data,
        methods=["rag"],
        retrievers=["bm25"],
        ks=None,
        seeds=[0],
        profile=options.profile,
        set_values={},
        limit=options.limit,
    )
    from bench.generate.vllm import VllmGenerator

    generator = VllmGenerator(config.profile, log=Path(os.devnull))
    asyncio.run(measure(config, corpus, generator, options.turns))


if __name__ == "__main__":
    main()
