"""What scoring beside the engine costs the engine: `make bench-scoring`.

The same requests in turns by the engine alone, and by the engine while a run of as many samples is scored beside it by
all metrics of the profile: as in a grid, which scores each cell while it writes the next. Prints new tokens a second of
both, their ratio, and how long the scores took.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.config import RunConfig
from bench.data.corpus import Corpus
from bench.generate.engine.vllm import VllmGenerator
from bench.record import runs
from bench.score.process import ScoringProcess
from bench.types import Request
from benchmarks.throughput import Turn, arguments, at_once, forget_prefixes, one_run, pipeline, started


async def disturbed(
    generator: VllmGenerator, requests: list[Request], process: ScoringProcess, folder: Path
) -> tuple[Turn, float]:
    """(the engine's speed, seconds until the run had its scores)."""
    begin, ended = time.perf_counter(), 0.0

    def note(scored: object) -> None:
        nonlocal ended
        ended = time.perf_counter()

    scored = process.submit(folder)
    scored.add_done_callback(note)
    turn = await at_once(generator, requests)
    await asyncio.wrap_future(scored)
    return turn, ended - begin


async def measure(config: RunConfig, corpus: Corpus, folder: Path, turns: int) -> None:
    generator = await started(config)
    _, requests = await pipeline(config, corpus, generator)
    process = ScoringProcess()
    await asyncio.wrap_future(process.submit(folder))  # loads what is loaded once
    ratios = []
    for turn in range(turns):
        ways: dict[str, Turn] = {}
        seconds = 0.0
        for way in ("alone", "beside") if turn % 2 == 0 else ("beside", "alone"):
            await forget_prefixes(generator)
            if way == "alone":
                ways[way] = await at_once(generator, requests)
            else:
                ways[way], seconds = await disturbed(generator, requests, process, folder)
        ratios.append(ways["beside"].speed / ways["alone"].speed)
        print(
            f"turn {turn + 1}: {len(requests)} requests; alone {ways['alone']}; with scoring {ways['beside']}", end=""
        )
        print(f" (scores after {seconds:.1f} s); ratio {ratios[-1]:.3f}", flush=True)
    print(f"ratio, median of {turns}: {median(ratios):.3f}")
    process.close()
    await generator.close()


def written(out: Path, words: list[str]) -> Path:
    """A run to be scored, of texts that need no engine."""
    command = [
        str(Path(sys.executable).with_name("bench")),
        "run",
        "--method",
        "nonperso",
        "--generator",
        "echo",
        *words,
    ]
    subprocess.run([*command, "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    return runs.find(out)[0].path


def main() -> None:
    options = arguments(__doc__, limit=40, turns=3).parse_args()
    config, corpus = one_run(options, "rag", "bm25")
    with TemporaryDirectory() as folder:
        run = written(
            Path(folder), ["--data", options.data, "--profile", options.profile, "--limit", str(options.limit)]
        )
        asyncio.run(measure(config, corpus, run, options.turns))


if __name__ == "__main__":
    main()
