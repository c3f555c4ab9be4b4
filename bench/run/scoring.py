"""The scoring stage of a grid: takes written cells one by one and leaves each with its scores and summary.

While the engine writes other cells, a written cell is scored in a process beside it (bench.score.process). The rest is
scored in this process, once the engine is closed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Any

from bench.data.corpus import Corpus
from bench.errors import BenchError, EngineError
from bench.generate.service import GenerationService
from bench.run.cells import Cell
from bench.score.finish import score_folder
from bench.score.judging import Judges, waiting
from bench.score.process import ScoringProcess

# Seconds of writing after which a scoring process is worth its start, which takes a few seconds of a core.
PATIENCE = 20.0


@dataclass
class Scorer:
    """A context manager: leaving it ends the scoring processes."""

    corpus: Corpus
    service: GenerationService
    judges: Judges
    say: Callable[[str], None]
    _process: ScoringProcess = field(default_factory=ScoringProcess)
    # Generation may wait for a validation, so that it waits behind no other cell and for no processor.
    _validations: ScoringProcess = field(default_factory=lambda: ScoringProcess(nice=0))
    _waiting: list[Cell] = field(default_factory=list)
    _beside: dict[str, Future[dict[str, Any]]] = field(default_factory=dict)
    _locks: ExitStack = field(default_factory=ExitStack)
    _began: float = field(default_factory=time.monotonic)
    _closed: bool = False

    def __enter__(self) -> Scorer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, BenchError):  # say, the engine died: the cells that are written still get their scores
                self._hand_over()
                futures.wait(self._beside.values())
        finally:
            self._closed = True
            self._process.close()
            self._validations.close()
            self._locks.close()

    def take(self, cell: Cell) -> None:
        """Scores a written cell beside the engine, now or once a process is worth its start. Returns at once.

        Metrics that need memory which the engine holds are added by `finish`.
        """
        self._waiting.append(cell)
        if self._is_worth_it():
            self._hand_over()
        else:
            asyncio.get_running_loop().call_later(self._began + PATIENCE - time.monotonic(), self._hand_over)

    def _is_worth_it(self) -> bool:
        return self._process.started or time.monotonic() - self._began >= PATIENCE

    def _hand_over(self) -> None:
        for cell in self._waiting:
            late = waiting(cell.config.profile)
            metrics = [name for name in cell.config.profile.metrics if name not in late]
            if metrics:
                future = self._process.submit(cell.folder.path, metrics=metrics, engine=replace(self.service.use))
                future.add_done_callback(partial(self._report, cell))
                self._beside[cell.identity] = future
        self._waiting.clear()

    def _report(self, cell: Cell, done: Future[dict[str, Any]]) -> None:
        """Called in a thread of the pool."""
        if self._closed or done.cancelled():
            return
        if (error := done.exception()) is None:
            self.say(f"{cell.name} is scored")
        elif isinstance(error, BenchError):
            self.say(f"{cell.name} cannot be scored: {error}")

    async def validate(self, cell: Cell, metric: str) -> dict[str, Any]:
        """The summary of a validation cell by one metric."""
        if self._is_worth_it():
            try:
                return await asyncio.wrap_future(self._validations.submit(cell.folder.path, metrics=[metric]))
            except BenchError:
                raise
            except Exception as error:
                self._say_why(cell, error)
        return await asyncio.to_thread(score_folder, cell.folder, self.corpus, metrics=[metric])

    def _say_why(self, cell: Cell, error: BaseException) -> None:
        self.say(f"{cell.name} could not be scored beside the engine ({type(error).__name__}: {error})")

    def finish(self, cells: Sequence[Cell]) -> None:
        """Waits for the scoring process, then scores here what is left. Every cell is tried.

        Raises the first failure, UserError or PluginError. EngineError of a judge is raised at once, as other
        cells would ask the same judge.
        """
        self._waiting.clear()  # they are scored here
        failures: list[BenchError] = []
        rest = [cell for cell in cells if not self._is_done(cell, failures)]
        for number, cell in enumerate(rest, start=1):
            place = f" ({number} of {len(rest)})" if len(rest) > 1 else ""
            try:
                self._locks.enter_context(cell.locked())
                self._score(cell, place)
            except EngineError:
                raise
            except BenchError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _is_done(self, cell: Cell, failures: list[BenchError]) -> bool:
        """Whether nothing is left to do: the cell was scored beside the engine, or it cannot be scored at all."""
        if cell.identity not in self._beside:
            return False
        try:
            self._beside[cell.identity].result()
        except BenchError as error:
            failures.append(error)
            return True
        except Exception as error:  # say, the process was killed because memory ran out
            self._say_why(cell, error)
            return False
        return not cell.lacks_metrics()

    def _score(self, cell: Cell, place: str) -> None:
        lacking = cell.lacks_metrics()
        self.say(f"scoring {cell.name}{' by ' if lacking else ''}{', '.join(lacking)}{place} ...")
        score_folder(
            cell.folder,
            self.corpus,
            metrics=list(lacking) or None,
            options=lacking,
            engine=self.service.use,
            judges=self.judges,
            again="changed",
        )
