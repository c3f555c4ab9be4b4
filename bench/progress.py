"""Progress to stderr: a live display on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from bench.generate.service import EngineUse
from bench.terminal import inert

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

PLAIN_SECONDS = 15.0


class Progress:
    """Samples written, engine tokens a second and time left: one line for the whole grid."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.total = self.done = self.failed = 0
        self._use = EngineUse()
        self._quiet = quiet
        # A copy of stderr: while an engine starts, the descriptor itself points to the engine's log.
        self._stderr = os.fdopen(os.dup(sys.stderr.fileno()), "w")
        self._live: RichProgress | None = None
        self._task: TaskID | None = None
        self._last = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def follow(self, use: EngineUse) -> None:
        """The engine whose tokens a second are shown."""
        self._use = use

    def expect(self, total: int) -> None:
        """How many samples there are to write."""
        self.total = total
        if total and sys.stderr.isatty() and not self._quiet:
            self._live = _display(self._stderr)
            self._task = self._live.add_task("writing", total=total, speed="")
            self._live.start()

    def say(self, message: str) -> None:
        if self._quiet:
            return
        if self._live is not None:
            self._live.console.print(inert(message), highlight=False, markup=False)
        else:
            print(inert(message), file=self._stderr, flush=True)

    def embedding(self, done: int, total: int) -> None:
        """`bench.embed.store.Progress`: texts whose vectors are computed."""
        if self._quiet:
            return
        if sys.stderr.isatty() and self._live is not None:
            self._live.update(self._task, speed=f"embedding {done} of {total} texts")  # type: ignore[arg-type]
        elif done == total or time.monotonic() - self._last >= PLAIN_SECONDS:
            self._last = time.monotonic()
            self.say(f"{done} of {total} texts embedded")

    def step(self, *, failed: bool) -> None:
        """One sample is written, or has failed."""
        self.done += 1
        self.failed += failed
        self._show(last=self.done == self.total)

    def tick(self) -> None:
        """One request is answered: methods of several stages finish no sample for a long time."""
        self._show()

    def _show(self, *, last: bool = False) -> None:
        use = self._use
        speed = f"{use.requests} requests, {use.tokens_per_second:.0f} tokens/s" if use.requests else ""
        if self._live is not None and self._task is not None:
            self._live.update(self._task, completed=self.done, speed=speed)
        elif last or time.monotonic() - self._last >= PLAIN_SECONDS:
            self._last = time.monotonic()
            failures = f", {self.failed} failed" if self.failed else ""
            self.say(f"{self.done} of {self.total} samples{failures}  {speed}")

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._stderr.close()


def _display(stderr: TextIO) -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=stderr),
        transient=True,
    )
