"""What is known of a grid at work: its cells, samples, stages, tokens a second and the time left.

`bench.console.progress` keeps it up to date, and `bench.console.live` draws it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from bench.types import EngineUse, StageCost

FEW = 8  # answers from which no time left is told
RECENT = 4096  # at most so many of the last answers say how fast the engine is
PATIENCE = 15.0  # seconds without an answer after which it is said

Status = Literal["finished", "being written", "waiting", "failed"]
STATUSES: tuple[Status, ...] = ("finished", "being written", "waiting", "failed")


@dataclass
class Task:
    """One cell, or the validation of one epoch: `done` of its `total` samples, `failed` of the done."""

    name: str
    method: str
    total: int
    done: int = 0
    failed: int = 0
    validates: bool = False
    begun: bool = False
    broken: bool = False  # it cannot be run

    @property
    def status(self) -> Status:
        if self.broken:
            return "failed"
        if self.done == self.total:
            return "finished"
        return "being written" if self.begun else "waiting"


@dataclass
class Pace:
    """The samples of a method that this command wrote, and the requests that they took."""

    samples: int = 0
    requests: int = 0


@dataclass
class GridState:
    """`later` counts cells that wait for another engine, `unplanned` those that could not even be planned.

    `use` is that of the engine at work, `waiting` gives (the requests in it, seconds in which it has answered none),
    `answers` are the last (engine seconds, requests generated), one for each answer. `embedded` is (texts done, texts
    in all) while vectors are computed.
    """

    tasks: dict[str, Task] = field(default_factory=dict)
    stages: dict[tuple[str, str], StageCost] = field(default_factory=dict)  # (method, stage) -> cost so far
    paces: dict[str, Pace] = field(default_factory=dict)  # by method
    use: EngineUse = field(default_factory=EngineUse)
    waiting: Callable[[], tuple[int, float]] = lambda: (0, 0.0)
    answers: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=RECENT))
    embedded: tuple[int, int] | None = None
    later: int = 0
    unplanned: int = 0

    # The live view reads from another thread, so it iterates over copies.

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
        return [task for task in self.runnable() if task.status == "being written"]

    def stages_in_work(self) -> dict[tuple[str, str], StageCost]:
        methods = {task.method for task in self.in_work()}
        return {key: cost for key, cost in list(self.stages.items()) if key[0] in methods}

    def cells(self) -> str:
        """'12 finished, 20 waiting, 1 failed'"""
        count = Counter(task.status for task in list(self.tasks.values()) if not task.validates)
        count["waiting"] += self.later
        count["failed"] += self.unplanned
        return ", ".join(f"{count[status]} {status}" for status in STATUSES if count[status])

    def samples(self) -> str:
        """'9 of 21 samples, 1 failed'"""
        return f"{self.done} of {self.total} samples" + (f", {self.failed} failed" if self.failed else "")

    def speed(self) -> str:
        if embedded := self.embedded:
            return "embedding {} of {} texts".format(*embedded)
        if not self.use.generated:
            return ""
        return f"{self.use.generated} requests generated, {self.use.tokens_per_second:.0f} tokens/s"

    def in_engine(self) -> str:
        """'36 requests in the engine, none answered for 1:20', so that long answers do not look like a dead engine."""
        inside, seconds = self.waiting()
        silent = f", none answered for {clock(seconds)}" if seconds >= PATIENCE else ""
        return f"{inside} requests in the engine{silent}" if inside else ""

    def seconds_each(self) -> float | None:
        """Seconds of the engine for one request: of the later half of its answers, as the first ones wait for a batch
        to fill.

        None while more requests are in the engine than have come out of it: those that are almost done count for
        nothing yet.
        """
        generated = self.use.generated
        if generated < max(FEW, self.waiting()[0]):
            return None
        earlier = [mark for mark in list(self.answers) if mark[1] <= generated // 2]
        seconds, before = earlier[-1] if earlier else (0.0, 0)
        if len(self.answers) == RECENT and not earlier:
            seconds, before = self.answers[0]
        return (self.use.engine_seconds - seconds) / (generated - before)

    def seconds_left(self) -> float | None:
        """The requests that are left, at the recent speed of the engine. A sample takes as many requests as its
        method's samples took so far.

        None until each method that has work left has finished a sample, and while the speed is not known.
        """
        each = self.seconds_each()
        if each is None:
            return None
        unwritten: Counter[str] = Counter()
        for task in self.runnable():
            unwritten[task.method] += task.total - task.done
        left = 0.0
        for method, samples in unwritten.items():
            pace = self.paces.get(method, Pace())
            if samples and not pace.samples:
                return None
            asked = sum(cost.requests for (name, _), cost in list(self.stages.items()) if name == method)
            if samples:
                left += max(0.0, samples * pace.requests / pace.samples - (asked - pace.requests))
        return left * each

    def left(self) -> str:
        """'about 0:02 left'"""
        seconds = self.seconds_left()
        if not seconds:
            return ""
        return f"about {clock(seconds)} left{' for this engine' if self.later else ''}"

    def lines(self) -> list[str]:
        """The plain form of the live view."""
        cells = f"cells: {self.cells()}" if len(self.tasks) + self.later > 1 else ""
        parts = [self.samples(), cells, self.speed(), self.in_engine(), self.left()]
        stages = [f"{method} {stage} {briefly(cost)}" for (method, stage), cost in self.stages_in_work().items()]
        return ["; ".join(filter(None, parts)), *(["  " + "; ".join(stages)] if stages else [])]


def briefly(cost: StageCost) -> str:
    return f"{cost.requests} requests ({cost.prompt_tokens:,} + {cost.new_tokens:,} tokens)"


def clock(seconds: float) -> str:
    """1:02:03, or 2:03"""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
