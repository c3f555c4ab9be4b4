"""Progress to stderr: a live view (bench.console.live) on a terminal, a plain line now and then elsewhere.

Both show the same: cells, samples, stages of the methods in work, tokens a second, time left.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from bench.console.terminal import inert
from bench.types import EngineUse, StageCost

if TYPE_CHECKING:
    from rich.live import Live

PLAIN_SECONDS = 15.0

State = Literal["finished", "being written", "waiting", "failed"]
STATES: tuple[State, ...] = ("finished", "being written", "waiting", "failed")


@dataclass
class Task:
    """How far one cell is, or one epoch's validation: `done` of its `total` samples, `failed` of the done."""

    name: str
    method: str
    total: int
    done: int = 0
    failed: int = 0
    validates: bool = False
    begun: bool = False
    broken: bool = False  # it cannot be run

    @property
    def state(self) -> State:
        if self.broken:
            return "failed"
        if self.done == self.total:
            return "finished"
        return "being written" if self.begun else "waiting"


@dataclass
class Pace:
    """Of a method: samples written here, and the requests that they took."""

    samples: int = 0
    requests: int = 0


class Progress:
    """What the commands that write samples tell of themselves.

    `later` counts cells that wait for another engine, `unplanned` those that could not even be planned.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.tasks: dict[str, Task] = {}
        self.stages: dict[tuple[str, str], StageCost] = {}  # (method, stage) -> cost so far
        self.use = EngineUse()
        self.later = self.unplanned = 0
        self.doing = ""  # what keeps samples waiting
        self._paces: dict[str, Pace] = {}
        self._quiet = quiet
        # A copy of stderr: while an engine starts, the descriptor itself points to the engine's log.
        self._stderr = os.fdopen(os.dup(sys.stderr.fileno()), "w")
        self._live: Live | None = None
        self._last = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    # ---------------------------------------------------------------- what happens

    def follow(self, use: EngineUse) -> None:
        """The engine whose tokens a second are shown."""
        self.use = use

    def expect(self, tasks: Iterable[Task]) -> None:
        """What is to be written, and what is finished already. The live view starts when something is to be written."""
        self.tasks.update((task.name, task) for task in tasks)
        if self._live is None and self.done < self.total and sys.stderr.isatty() and not self._quiet:
            from bench.console import live

            self._live = live.start(self, self._stderr)

    def begin(self, task: Task) -> None:
        """The first or another sample of a task is being written."""
        task.begun = True

    def answered(self, method: str, stage: str, cost: StageCost) -> None:
        """One request is answered: methods of several stages finish no sample for a long time."""
        self.stages.setdefault((method, stage), StageCost()).add(cost)
        self._show()

    def step(self, task: Task, *, failed: bool, requests: int) -> None:
        """One sample is written, or has failed, after so many requests."""
        task.done += 1
        task.failed += failed
        pace = self._paces.setdefault(task.method, Pace())
        pace.samples += 1
        pace.requests += requests
        self._show(last=self.done == self.total)

    def embedding(self, done: int, total: int) -> None:
        """`bench.embed.store.Progress`: texts whose vectors are computed."""
        self.doing = "" if done == total else f"embedding {done} of {total} texts"
        if self._live is None and (done == total or self._is_time()):
            self.say(f"{done} of {total} texts embedded")

    def fail(self, name: str) -> None:
        """A cell cannot be run."""
        if name in self.tasks:
            self.tasks[name].broken = True
        else:
            self.unplanned += 1

    def say(self, message: str) -> None:
        if self._quiet:
            return
        if self._live is not None:
            self._live.console.print(inert(message), highlight=False, markup=False)
        else:
            print(inert(message), file=self._stderr, flush=True)

    def close(self) -> None:
        """Nothing is being written any more."""
        for task in self.tasks.values():
            task.begun = False
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._stderr.close()

    # ---------------------------------------------------------------- what is known

    @property
    def total(self) -> int:
        return sum(task.total for task in self.runnable())

    @property
    def done(self) -> int:
        return sum(task.done for task in self.runnable())

    @property
    def failed(self) -> int:
        return sum(task.failed for task in self.runnable())

    def runnable(self) -> list[Task]:
        return [task for task in list(self.tasks.values()) if not task.broken]

    def in_work(self) -> list[Task]:
        return [task for task in self.runnable() if task.state == "being written"]

    def stages_in_work(self) -> dict[tuple[str, str], StageCost]:
        methods = {task.method for task in self.in_work()}
        return {key: cost for key, cost in list(self.stages.items()) if key[0] in methods}

    def cells(self) -> str:
        """'12 finished, 20 waiting, 1 failed'"""
        count = Counter(task.state for task in list(self.tasks.values()) if not task.validates)
        count["waiting"] += self.later
        count["failed"] += self.unplanned
        return ", ".join(f"{count[state]} {state}" for state in STATES if count[state])

    def speed(self) -> str:
        if self.doing or not self.use.requests:
            return self.doing
        return f"{self.use.requests} requests, {self.use.tokens_per_second:.0f} tokens/s"

    def seconds_left(self) -> float | None:
        """By the requests that are left, as many a sample as its method took so far, at the speed of the engine so far.

        None before each method in work or waiting has finished a sample.
        """
        unwritten: Counter[str] = Counter()
        for task in self.runnable():
            unwritten[task.method] += task.total - task.done
        left = 0.0
        for method, samples in unwritten.items():
            pace = self._paces.get(method, Pace())
            if samples and not pace.samples:
                return None
            asked = sum(cost.requests for (name, _), cost in list(self.stages.items()) if name == method)
            if samples:
                left += max(0.0, samples * pace.requests / pace.samples - (asked - pace.requests))
        return left * self.use.seconds / self.use.requests if self.use.requests else None

    def left(self) -> str:
        seconds = self.seconds_left()
        if not seconds:
            return ""
        return f"about {clock(seconds)} left{' for this engine' if self.later else ''}"

    def lines(self) -> list[str]:
        """The plain form."""
        parts = [
            f"{self.done} of {self.total} samples" + (f", {self.failed} failed" if self.failed else ""),
            f"cells: {self.cells()}" if len(self.tasks) + self.later > 1 else "",
            self.speed(),
            self.left(),
        ]
        stages = [f"{method} {stage} {briefly(cost)}" for (method, stage), cost in self.stages_in_work().items()]
        return ["; ".join(filter(None, parts)), *(["  " + "; ".join(stages)] if stages else [])]

    def _show(self, *, last: bool = False) -> None:
        if self._live is None and not self._quiet and (last or self._is_time()):
            self.say("\n".join(self.lines()))

    def _is_time(self) -> bool:
        """Whether another plain line is due; it is said then."""
        now = time.monotonic()
        due = now - self._last >= PLAIN_SECONDS
        self._last = now if due else self._last
        return due


def briefly(cost: StageCost) -> str:
    return f"{cost.requests} requests ({cost.prompt_tokens:,} + {cost.new_tokens:,} tokens)"


def clock(seconds: float) -> str:
    """1:02:03, or 2:03"""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
