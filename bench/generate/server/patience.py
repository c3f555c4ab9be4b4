"""How long, and how often, a request to a server is tried."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True)
class Patience:
    """Seconds: of one try, of all tries, and of the pauses between them, which double from the first."""

    tries: int = 6
    one: float = 600.0
    total: float = 1800.0
    first_pause: float = 0.5
    longest_pause: float = 30.0

    def pause(self, failed: int, *, asked: float, jitter: float) -> float:
        """Before the next try, after `failed` tries; never shorter than the server asked. `jitter` in 0..1."""
        doubled = min(self.longest_pause, self.first_pause * 2.0 ** (failed - 1))
        return max(asked, doubled * (1 + jitter) / 2)


def asked_wait(headers: Mapping[str, str]) -> float:
    """Seconds that a server asks to wait (Retry-After: a number or a date); 0 where it asks for nothing."""
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0
