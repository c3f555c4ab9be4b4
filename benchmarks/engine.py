"""How much of the engine's speed the pipeline keeps: `make bench-engine`.

The whole pipeline and the bare engine take turns on RAG with BM25 and up to 100 samples. The bare engine gets the same
token ids, sampling and seeds, all at once. Both use the same running engine, with its prefix cache emptied before each
turn; the order alternates. Prints new tokens a second and their ratio.
"""

from __future__ import annotations

import asyncio
import sys
from statistics import median

from bench.config import RunConfig
from bench.data.corpus import Corpus
from benchmarks.throughput import arguments, at_once, forget_prefixes, one_run, pipeline, started


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
    options = arguments(__doc__, limit=100, turns=3).parse_args()
    config, corpus = one_run(options, "rag", "bm25")
    asyncio.run(measure(config, corpus, options.turns))


if __name__ == "__main__":
    main()
