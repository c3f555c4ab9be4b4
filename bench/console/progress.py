"""Progress to stderr: a live view (bench.console.live) on a terminal, a plain line now and then elsewhere.

Both show the same state (bench.console.state).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING

from bench.console import terminal
from bench.console.state import GridState, Pace, Task
from bench.console.terminal import Throttle, inert, voices
from bench.types import EngineUse, StageCost

if TYPE_CHECKING:
    from rich.live import Live


class Progress:
    """The commands that write samples report here, and the user sees it."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.state = GridState()
        self._quiet = quiet
        self._stderr = sys.stderr
        self._live: Live | None = None
        self._plain = Throttle()
        self._closed = threading.Event()

    def __enter__(self) -> Progress:
        # A copy of stderr: while an engine starts, the descriptor itself points to the engine's log.
        self._stderr = os.fdopen(os.dup(sys.stderr.fileno()), "w")
        voices.append(self.say)
        return self

    def follow(self, use: EngineUse, waiting: Callable[[], tuple[int, float]] = lambda: (0, 0.0)) -> None:
        """The engine whose speed is shown. `waiting` gives (the requests in it, seconds without an answer)."""
        self.state.use, self.state.waiting = use, waiting
        self.state.answers.clear()

    def expect(self, tasks: Iterable[Task]) -> None:
        """Names all work, finished work included. The live view starts when some is left."""
        state = self.state
        state.tasks.update((task.name, task) for task in tasks)
        if self._quiet or state.done == state.total:
            return
        if not sys.stderr.isatty():
            self._watch()
        elif self._live is None:
            from bench.console import live

            self._live = live.start(state, self._stderr)

    def begin(self, task: Task) -> None:
        """A sample of the task is being written."""
        task.begun = True

    def answered(self, method: str, stage: str, cost: StageCost) -> None:
        """One request is answered. Methods of several stages finish no sample for a long time."""
        state = self.state
        state.stages.setdefault((method, stage), StageCost()).add(cost)
        if not state.answers or state.answers[-1][1] != state.use.generated:
            state.answers.append((state.use.engine_seconds, state.use.generated))
        self._show()

    def step(self, task: Task, *, failed: bool, requests: int) -> None:
        """One sample is written, or has failed, after so many requests."""
        task.done += 1
        task.failed += failed
        pace = self.state.paces.setdefault(task.method, Pace())
        pace.samples += 1
        pace.requests += requests
        self._show(last=self.state.done == self.state.total)

    def embedding(self, done: int, total: int) -> None:
        """`bench.embed.store.Progress`: texts whose vectors are computed."""
        self.state.embedded = None if done == total else (done, total)
        if self._live is None and (done == total or self._plain.due()):
            self.say(f"{done} of {total} texts embedded")

    def fail(self, name: str) -> None:
        """A cell cannot be run."""
        if name in self.state.tasks:
            self.state.tasks[name].broken = True
        else:
            self.state.unplanned += 1

    def say(self, message: str) -> None:
        if self._quiet:
            return
        live = self._live  # of one moment: scores are reported by another thread
        if live is not None:
            live.console.print(inert(message), highlight=False, markup=False)
        else:
            print(inert(message), file=self._stderr, flush=True)

    def close(self) -> None:
        """Nothing is being written any more."""
        self._closed.set()
        for task in self.state.tasks.values():
            task.begun = False
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        voices.remove(self.say)
        self._stderr.close()
        self._stderr = sys.stderr

    def _watch(self) -> None:
        """From now on also shows lines while the engine answers nothing: long answers may take minutes."""
        self._closed.set()  # one watch at a time
        self._closed = closed = threading.Event()

        def watch() -> None:
            while not closed.wait(terminal.PLAIN_SECONDS) and not terminal.stopping.is_set():
                if self.state.waiting()[0]:
                    self._show()

        threading.Thread(target=watch, daemon=True).start()

    def _show(self, *, last: bool = False) -> None:
        if self._live is None and not self._quiet and (last or self._plain.due()):
            self.say("\n".join(self.state.lines()))
