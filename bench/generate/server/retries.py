"""How often, and how long, a request to a server is tried."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenacity import AsyncRetrying, RetryCallState


@dataclass(frozen=True)
class RetryPolicy:
    """Limits of one request, in seconds. The pauses between its tries double, from the first to the longest."""

    tries: int = 6
    per_try: float = 600.0
    total: float = 1800.0
    first_pause: float = 0.5
    longest_pause: float = 30.0

    def retrying(self, is_transient: Callable[[BaseException], bool]) -> AsyncRetrying:
        """Calls a coroutine function until it succeeds, and raises the error of its last try.

        It gives up at once after an error that is not transient, and before a pause that would exceed the total.
        """
        import tenacity

        return tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(is_transient),
            stop=tenacity.stop_after_attempt(self.tries) | tenacity.stop_before_delay(self.total),
            wait=self.pause,
            reraise=True,
        )

    def pause(self, state: RetryCallState) -> float:
        """Seconds before the next try: random, from half of the doubled pause to all of it, but what the server asks
        for at least. All clients of a busy server would come back together without the random half."""
        import tenacity

        first, longest = self.first_pause / 2, self.longest_pause / 2
        fixed = tenacity.wait_exponential(multiplier=first, max=longest)
        jitter = tenacity.wait_random_exponential(multiplier=first, max=longest)
        error = state.outcome.exception() if state.outcome else None
        headers = getattr(getattr(error, "response", None), "headers", {})  # only errors of a status have a response
        return max(fixed(state) + jitter(state), retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float:
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
