"""The scoring stage of a grid: takes written cells one by one and leaves each with its scores and summary.

While the engine writes other cells, a written cell is scored in a process beside it (bench.score.process). The rest is
scored in this process, once the engine is closed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Any

from bench.data.corpus import Corpus
from bench.errors import BenchError
from bench.generate.service import GenerationService
from bench.run.cells import Cell
from bench.score.finish import score_folder
from bench.score.judging import Judges, asks_a_model
from bench.score.process import ScoringProcess

# Seconds of writing after which a scoring process is worth its start, which takes a few seconds of a core.
PATIENCE = 20.0


@dataclass
class Scorer:
    """A context manager: leaving it ends the scoring process."""

    corpus: Corpus
    service: GenerationService
    judges: Judges
    say: Callable[[str], None]
    _process: ScoringProcess = field(default_factory=ScoringProcess)
    _waiting: list[Cell] = field(default_factory=list)
    _beside: dict[str, Future[dict[str, Any]]] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    def __enter__(self) -> Scorer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, BenchError):  # say, the engine died: the cells that are written still get their scores
            futures.wait(self._beside.values())
        self._process.close()

    def take(self, cell: Cell) -> None:
        """Scores a written cell beside the engine if that is possible. Returns at once.

        A cell with a metric that asks a model waits for `finish`: the engine holds the memory that the model needs.
        """
        if not asks_a_model(cell.config.profile):
            self._waiting.append(cell)
        if self._is_worth_it():
            for ready in self._waiting:
                self._beside[ready.identity] = self._process.submit(ready.folder.path, engine=replace(self.service.use))
                self._beside[ready.identity].add_done_callback(partial(self._scored, ready))
            self._waiting.clear()

    def _is_worth_it(self) -> bool:
        return self._process.running or time.monotonic() - self._began >= PATIENCE

    def _scored(self, cell: Cell, done: Future[dict[str, Any]]) -> None:
        if not done.cancelled() and done.exception() is None:
            cell.lock.close()
            self.say(f"{cell.name} is scored")

    def validate(self, cell: Cell, metric: str) -> dict[str, Any]:
        """The summary of a validation cell by one metric. Blocks, so it is called in a thread."""
        if self._is_worth_it():
            try:
                return self._process.submit(cell.folder.path, metrics=[metric]).result()
            except BenchError:
                raise
            except Exception as error:
                self._say_why(cell, error)
        return score_folder(cell.folder, self.corpus, metrics=[metric])

    def _say_why(self, cell: Cell, error: BaseException) -> None:
        self.say(f"{cell.name} could not be scored beside the engine ({type(error).__name__}: {error})")

    def finish(self, cells: Sequence[Cell]) -> None:
        """Waits for the scoring process, then scores the rest here. Every cell is tried.

        Raises the first failure: UserError, PluginError or EngineError of a judge.
        """
        failures: list[BenchError] = []
        rest = [cell for cell in cells if not self._is_done(cell, failures)]
        for number, cell in enumerate(rest, start=1):
            place = f" ({number} of {len(rest)})" if len(rest) > 1 else ""
            lacking = cell.lacks_metrics()
            self.say(f"scoring {cell.name}{' by ' if lacking else ''}{', '.join(lacking)}{place} ...")
            try:
                score_folder(
                    cell.folder,
                    self.corpus,
                    metrics=list(lacking) or None,
                    options=lacking,
                    engine=self.service.use,
                    judges=self.judges,
                )
                cell.lock.close()
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
        except Exception as error:  # say, the process was killed because memory ran out
            self._say_why(cell, error)
            return False
        return True
