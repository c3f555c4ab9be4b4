"""The speed of stages without barriers: `make bench-stages`.

DPL on at least 64 samples with K = 4, three ways on one running engine:

    pipeline   as in `bench run`: every sample continues as soon as its own stage is done
    barriers   the same requests stage by stage: a stage starts when every sample has finished the stage before
    engine     the bare engine, given all requests of all stages at once: the limit

The second and third way replay the requests that the pipeline made. The prefix cache is emptied before each way.
Prints new tokens a second and their ratios.
"""

from __future__ import annotations

import asyncio
import sys

from bench.config import RunConfig
from bench.data.corpus import Corpus
from bench.generate.engine.vllm import VllmGenerator
from bench.types import Request
from benchmarks.throughput import Turn, arguments, at_once, forget_prefixes, one_run, pipeline, started


async def stage_by_stage(generator: VllmGenerator, requests: list[Request]) -> Turn:
    """The bare engine with a barrier after each stage, in the order in which stages first appear."""
    tokens, seconds = 0, 0.0
    for stage in dict.fromkeys(request.stage for request in requests):
        turn = await at_once(generator, [request for request in requests if request.stage == stage])
        tokens, seconds = tokens + turn.tokens, seconds + turn.seconds
    return Turn(tokens, seconds)


async def measure(config: RunConfig, corpus: Corpus, turns: int) -> None:
    print("starting the engine ...", file=sys.stderr)
    generator = await started(config)
    for turn in range(turns):
        ours, requests = await pipeline(config, corpus, generator)
        await forget_prefixes(generator)
        barriers = await stage_by_stage(generator, requests)
        await forget_prefixes(generator)
        engine = await at_once(generator, requests)
        counts = {stage: sum(r.stage == stage for r in requests) for stage in dict.fromkeys(r.stage for r in requests)}
        print(f"turn {turn + 1}: requests {counts}")
        for name, way in (("pipeline", ours), ("barriers", barriers), ("engine", engine)):
            print(f"  {name:9} {way}")
        print(f"  pipeline / engine   {ours.speed / engine.speed:.3f}")
        print(f"  pipeline / barriers {ours.speed / barriers.speed:.3f}", flush=True)
    await generator.close()


def main() -> None:
    parser = arguments(__doc__, limit=64, turns=1)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    options = parser.parse_args()
    settings = {"max_new_tokens": options.max_new_tokens}
    config, corpus = one_run(options, "dpl", "recency", k=4, settings=settings)
    asyncio.run(measure(config, corpus, options.turns))


if __name__ == "__main__":
    main()
