"""Scores written runs in a process beside the engine, at a low priority: a grid's results come one by one.

The process starts with the first run, and loads each dataset once. It ends with the command, however that ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench import plugins
from bench.data.corpus import Corpus, load
from bench.generate.engine import reaper
from bench.record.runs import RunFolder
from bench.score.finish import score_folder
from bench.score.judging import Judges
from bench.score.written import read_config
from bench.types import EngineUse

# On a machine whose cores the engine fills: a tenth of one core, enough to keep up with it, too little to slow it down
# (benchmarks/scoring.py). At the lowest priority, 19, scores come when the grid is over.
NICE = 10
SECONDS_TO_END = 2.0

Summary = dict[str, Any]


class ScoringProcess:
    """One process with a queue of runs to score."""

    def __init__(self, *, nice: int = NICE) -> None:
        self._nice = nice
        self._pool: ProcessPoolExecutor | None = None
        self._reaper: subprocess.Popen[bytes] | None = None

    @property
    def started(self) -> bool:
        return self._pool is not None

    def submit(
        self, folder: Path, *, metrics: list[str] | None = None, engine: EngineUse | None = None
    ) -> Future[Summary]:
        """The summary of a completely written run. `metrics` None: the profile's.

        The future raises what `score_folder` raises, BrokenProcessPool where the process was ended from outside, and
        OSError where it cannot be started.
        """
        try:
            return self._start().submit(_score, folder, metrics, engine)
        except (RuntimeError, OSError) as error:  # the process is gone, or the machine has room for no other
            gone: Future[Summary] = Future()
            gone.set_exception(error)
            return gone

    def _start(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._reaper = self._reaper or reaper.start()
            # Spawned, not forked: this process may hold an engine's threads.
            self._pool = ProcessPoolExecutor(
                1, get_context("spawn"), initializer=_begin, initargs=(plugins.loaded(), self._nice)
            )
        return self._pool

    def close(self) -> None:
        """Ends the process, even in the middle of a run, which is then scored by the next command."""
        if self._pool is not None:
            processes = list((self._pool._processes or {}).values())
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                with suppress(ProcessLookupError, ValueError):
                    process.terminate()
                    process.join(SECONDS_TO_END)
                    process.kill()
        if self._reaper is not None:
            self._reaper.kill()
            self._reaper.wait()
        self._pool = self._reaper = None


# ---------------------------------------------------------------- in the process


def _begin(files: tuple[str, ...], nice: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the command's to answer
    os.nice(nice)
    reaper.start()  # what this process starts ends with it: metrics of one pair at a time are spread over processes
    plugins.load(files)


_corpus = cache(load)
_judges = cache(Judges)  # as long as the process: a metric's model is loaded once


def _score(path: Path, metrics: list[str] | None, engine: EngineUse | None) -> Summary:
    folder = RunFolder(path)
    corpus: Corpus = _corpus(read_config(folder).data)
    return score_folder(folder, corpus, metrics=metrics, engine=engine, judges=_judges())
