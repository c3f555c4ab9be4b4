"""How far a long piece of data work is, on stderr: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PLAIN_SECONDS = 15.0


class Meter:
    """`start` names what is done and how much of it there is; `advance` says that some of it is. Quiet by default."""

    def __init__(self, *, shown: bool = False) -> None:
        self._shown = shown
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._what, self._total, self._done, self._last = "", 0, 0, time.monotonic()

    def __enter__(self) -> Meter:
        if self._shown and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
            from rich.progress import TimeRemainingColumn as Remaining

            columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, Remaining(), console=Console(stderr=True), transient=True)
            self._bar.start()
        return self

    def start(self, what: str, total: int | None = None) -> None:
        """`total` may be in any unit; None where it is not known."""
        self._what, self._total, self._done = what, total or 0, 0
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(what, total=total)

    def advance(self, n: int) -> None:
        self._done += n
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, n)
        elif self._shown and time.monotonic() - self._last >= PLAIN_SECONDS:
            self._last = time.monotonic()
            share = f" {self._done / self._total:.0%}" if self._total else ""
            print(f"{self._what}{share}", file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
