"""The engine's time, shared among the requests that are in it.

While n requests are in the engine, each of them is given 1/n of the time. So the shares of all requests add up to the
time in which the engine worked, however many requests waited there at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class EngineClock:
    """`worked`: the seconds in which at least one request was in the engine, as of the last entry or exit."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.worked = 0.0
        self._now = now
        self._inside = 0
        self._quiet_since = 0.0  # the last exit, or the entry into an empty engine
        self._at = 0.0  # the last entry or exit
        self._each = 0.0  # what a request that was always inside would have been given

    def enter(self) -> float:
        """A request goes into the engine. Returns what `leave` takes."""
        self._advance()
        if not self._inside:
            self._quiet_since = self._at
        self._inside += 1
        return self._each

    def leave(self, entered: float) -> float:
        """The request comes out. Returns its share, in seconds."""
        self._advance()
        self._inside -= 1
        self._quiet_since = self._at
        return self._each - entered

    def waiting(self) -> tuple[int, float]:
        """(requests in the engine, seconds in which it has answered none of them)"""
        return self._inside, self._now() - self._quiet_since if self._inside else 0.0

    def _advance(self) -> None:
        now = self._now()
        if self._inside:
            self.worked += now - self._at
            self._each += (now - self._at) / self._inside
        self._at = now
