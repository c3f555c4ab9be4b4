"""Ctrl-C and SIGTERM, the same for every command: said at once, gone within seconds, whatever it is doing.

Python answers a signal between two of its own instructions. A tokenizer, torch or the start of an engine can keep it
from the next one for a minute. So the system's handler writes each signal into a pipe, and a thread reads it:

1. "stopping ..." is said at once;
2. the main thread gets its KeyboardInterrupt as ever, and unwinds as far as it comes;
3. what is left after GRACE seconds, or at a second signal, is killed: all that the command started, and itself.

This loses no more than `kill -9` does, which all that is kept survives: rows are appended, files are replaced whole,
stores are SQLite. The exit code is 130.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType

from bench.console import terminal
from bench.generate.engine import reaper

CODE = 130
GRACE = 2.5  # seconds
ONE = 0.3  # seconds: a terminal and a wrapper may both send the same Ctrl-C
LOOKS = 20  # at what the command has started, while it is killed
SIGNALS = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR = b"\x1b[?25h"  # a live view hides it
STOPPED = "stopped; the same command goes on where it was"


@dataclass
class _Listener:
    """`led`: started by a command that listens too, which speaks and counts for both."""

    led: bool
    asked: threading.Event = field(default_factory=threading.Event)
    started: reaper.Started = field(default_factory=dict)  # by the command, when it was asked to stop
    # A copy: while an engine starts, the descriptor itself points to the engine's log.
    stderr: int = field(default_factory=lambda: os.dup(2))
    _pipe: tuple[socket.socket, socket.socket] = field(default_factory=socket.socketpair)
    _parting: threading.Lock = field(default_factory=threading.Lock)
    # A thread of its own: a terminal that takes nothing must not delay the end.
    _speaking: threading.Thread = field(default_factory=lambda: threading.Thread(target=_speak, daemon=True))

    def __post_init__(self) -> None:
        self._pipe[1].setblocking(False)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def wakeup(self) -> int:
        return self._pipe[1].fileno()

    def close(self) -> None:
        self._pipe[1].send(b"\0")
        self._thread.join()
        for end in self._pipe:
            end.close()
        os.close(self.stderr)

    def _watch(self) -> None:
        began = 0.0
        while True:
            left = max(0.0, began + GRACE - time.monotonic()) if began else None
            if not select.select([self._pipe[0]], [], [], left)[0]:
                self.end()
            for number in self._pipe[0].recv(64):
                if number == 0:
                    return
                if number in SIGNALS and not began:
                    began = time.monotonic()
                    self._begin()
                elif number in SIGNALS and not self.led and time.monotonic() - began > ONE:
                    self.end()

    def _begin(self) -> None:
        terminal.stopping.set()
        if not self.led:
            self._speaking.start()
        self.asked.set()  # now the main thread may end it all, and joins the voice: it has begun to speak
        self.started = reaper.descendants({os.getpid()}, reaper.processes())

    def end(self) -> None:
        """Kills what the command started, and ends it. Called by the thread, or by the main thread if that is first."""
        self._parting.acquire()  # never given back: the other one waits here for the end
        for _ in range(LOOKS):
            living = reaper.processes()
            self.started |= reaper.descendants({os.getpid()}, living)
            if not (left := _to_kill(reaper.alive(self.started, living))):
                break
            reaper.kill(left)
            time.sleep(0.01)
        if not self.led:
            self._speaking.join(ONE)
            self.say_stopped()
        os._exit(CODE)

    def say_stopped(self) -> None:
        shown = SHOW_CURSOR if os.isatty(self.stderr) else b""
        with suppress(OSError):  # nobody reads it any more
            os.write(self.stderr, shown + f"bench: {STOPPED}\n".encode())


def _speak() -> None:
    with suppress(OSError, ValueError):  # the voice has just been closed
        terminal.speak("stopping ...")


def _to_kill(started: reaper.Started) -> list[int]:
    """Not the reapers and Python's resource trackers: these clean up after the command, and then end on their own."""
    said = {pid: reaper.words(pid) for pid in started}
    return [pid for pid, words in said.items() if reaper.__file__ not in words and "resource_tracker" not in words]


_listener: _Listener | None = None


def asked() -> bool:
    """Whether this process has been told to stop."""
    return _listener is not None and _listener.asked.is_set()


@contextmanager
def listening(*, led: bool = False) -> Iterator[None]:
    """Within, signals are answered as the module says. Leaving it after one ends the process."""
    global _listener
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    listener = _listener = _Listener(led)
    before = signal.set_wakeup_fd(listener.wakeup, warn_on_full_buffer=False)
    term = signal.signal(signal.SIGTERM, _as_ctrl_c)
    try:
        yield
    except SystemExit as end:
        if end.code == CODE and not listener.asked.wait(ONE):  # a KeyboardInterrupt without a signal
            listener.say_stopped()
        raise
    finally:
        if listener.asked.is_set():
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            listener.end()
        signal.signal(signal.SIGTERM, term)
        signal.set_wakeup_fd(before)
        listener.close()
        _listener = None


@contextmanager
def deferred() -> Iterator[None]:
    """Within, no KeyboardInterrupt: the work looks at `asked` and stops where it loses nothing. GRACE is the same."""
    if _listener is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, _nothing)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _as_ctrl_c(number: int, frame: FrameType | None) -> None:
    """Whatever answers Ctrl-C just now: Python, or an event loop."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)


def _nothing(number: int, frame: FrameType | None) -> None:
    return None


def _forget() -> None:
    """In a fork: it has the parent's pipe, and signals of its own."""
    global _listener
    if _listener is not None:
        _listener = None
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


os.register_at_fork(after_in_child=_forget)
