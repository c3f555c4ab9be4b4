"""How much of the engine's speed the pipeline keeps: `make bench-engine`.

The whole pipeline and the bare engine take turns on RAG with BM25 and up to 100 samples. The bare engine gets the same
token ids, sampling and seeds, all at once. Both use the same running engine, with its prefix cache emptied before each
turn; the order alternates. Prints new tokens a second and their ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from statistics import median

from bench.config import RunConfig
from bench.data.corpus import Corpus, load
from bench.suite import grid
from benchmarks.throughput import at_once, forget_prefixes, pipeline, started


async def measure(config: RunConfig, corpus: Corpus, turns: int) -> None:
    print("starting the engine ...", file=sys.stderr)
    generator = await started(config)
    _, requests = await pipeline(config, corpus, generator)  # not counted: gives the requests
    ratios = []
    for turn in range(turns):
        ways = {}
        for way in ("pipeline", "engine") if turn % 2 == 0 else ("engine", "pipeline"):
            await forget_prefixes(generator)
            if way == "pipeline":
                ways[way], _ = await pipeline(config, corpus, generator)
            else:
                ways[way] = await at_once(generator, requests)
        ratios.append(ways["pipeline"].speed / ways["engine"].speed)
        print(
            f"turn {turn + 1}: {len(requests)} requests; pipeline {ways['pipeline']}; engine {ways['engine']}", end=""
        )
        print(f"; ratio {ratios[-1]:.3f}", flush=True)
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
    asyncio.run(measure(config, corpus, options.turns))


if __name__ == "__main__":
    main()
