"""One bar for one long piece of work, on stderr: rich on a terminal, a plain line now and then elsewhere.

Work that is done within PATIENCE seconds shows nothing.
"""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from bench.console import terminal
from bench.console.terminal import Throttle, inert, voices

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Meter:
    """`start` names the work and its size, and `advance` counts what is done. Shows nothing unless `shown`.

    With `stays` the bar is there from the start, and the end is seen too: the full bar stays on the terminal, and the
    last plain line is always printed.
    """

    def __init__(self, *, shown: bool = False, stays: bool = False) -> None:
        self._shown = shown
        self._stays = stays
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._what, self._total, self._done = "", 0, 0
        self._plain = Throttle()
        self._began: float | None = None
        self._timer: threading.Timer | None = None
        self._lock = threading.RLock()  # the timer's thread draws too

    def __enter__(self) -> Meter:
        if self._shown:
            voices.append(self.say)
        return self

    def start(self, what: str, total: int | None = None, *, done: int = 0) -> None:
        """`total` may be in any unit. Without it the bar only shows that something goes on."""
        if not self._shown:
            return
        self._cancel()
        with self._lock:
            self._what, self._total, self._done = what, total or 0, done
            self._began = self._began or time.monotonic()
            late = time.monotonic() - self._began >= terminal.PATIENCE
            if sys.stderr.isatty() and (self._stays or late):
                self._draw()
                return
            self._timer = threading.Timer(terminal.PATIENCE, self._appear)
            self._timer.daemon = True
            self._timer.start()

    def advance(self, n: int, note: str = "") -> None:
        """`note` is shown beside the bar, or at the end of the plain line."""
        with self._lock:
            self._done += n
            if self._bar is not None and self._task is not None:
                self._bar.update(self._task, completed=self._done, note=inert(note))
            elif not (self._shown and sys.stderr.isatty()) and (self._plain.due() or self._ends()):
                self.say(self._line(note))

    def say(self, line: str) -> None:
        """A line of its own, above the bar."""
        if self._bar is not None:
            self._bar.console.print(inert(line), highlight=False, markup=False)
        elif self._shown:
            print(inert(line), file=sys.stderr, flush=True)

    def close(self) -> None:
        self._cancel()
        with self._lock:
            if self._bar is not None:
                self._bar.stop()
                self._bar = self._task = None

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self._shown:
            voices.remove(self.say)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _appear(self) -> None:
        """The work takes longer than PATIENCE."""
        with self._lock:
            if self._timer is not threading.current_thread() or terminal.stopping.is_set():
                return  # cancelled while it waited for the lock, or no longer what the command is busy with
            if sys.stderr.isatty():
                self._draw()
            else:
                self.say(self._line())

    def _ends(self) -> bool:
        return self._stays and self._done == self._total

    def _line(self, note: str = "") -> str:
        share = f" {self._done / self._total:.0%}" if self._total else " ..."
        return f"{self._what}{share}  {note}".rstrip()

    def _draw(self) -> None:
        if self._bar is None:
            self._bar = _bar(transient=not self._stays)
            self._bar.start()
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(inert(self._what), total=self._total or None, completed=self._done, note="")


def _bar(*, transient: bool) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as Remaining

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        Remaining(),
        console=Console(stderr=True),
        transient=transient,
        redirect_stdout=False,  # what is piped away must not land on the terminal
    )
