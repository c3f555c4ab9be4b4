"""Why an engine died, by its log, and how much smaller the next one is if it ran out of memory."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

SEQUENCES = 256  # that vLLM takes at once by default
LONGEST = 300  # characters of a cause that are shown

_NAMED = re.compile(r"\b(\w*(?:Error|Exception): .+)")
_GENERAL = "root cause"  # vLLM's errors that only point to another
_SHORT = re.compile(
    r"out of memory|OutOfMemoryError|(?:can't|Cannot) allocate memory|bad_alloc|\bMemoryError"
    r"|No available memory for the cache|less than requested memory for kv"
    r"|is needed, which is larger than the available KV|Free memory on device\b.*\bon startup is less"
    r"|exceeds? the desired GPU memory utilization|Error in memory profiling",
    re.IGNORECASE,
)
# vLLM refuses to start where others hold a part of the share of the card that it was to take.
# Without "is less" it tells of every start.
_TAKEN = re.compile(r"Free memory on device\b.*\(([\d.]+)/([\d.]+) GiB\) on startup is less", re.IGNORECASE)
LEAST_SHARE = 0.1  # of a card; a smaller one is left to whoever holds the rest


@dataclass(frozen=True)
class Size:
    """What decides an engine's memory: sequences at once, on CPUs whole GiB of key-value cache, on GPUs the share.

    `share` None is the profile's `gpu_memory_utilization`.
    """

    sequences: int
    cache: int = 1
    share: float | None = None

    def smaller(self) -> Size | None:
        """A quarter of it, or None if it is the smallest. Prompts keep their length, or texts would change."""
        less = Size(max(1, self.sequences // 4), max(1, self.cache // 4), self.share)
        return None if less == self else less

    def within(self, share: float) -> Size | None:
        """As many sequences in the share of the card that is free, or None if that is too little or no less."""
        if share < LEAST_SHARE or (self.share is not None and share >= self.share):
            return None
        return replace(self, share=share)

    def __str__(self) -> str:
        part = "" if self.share is None else f" in {self.share:.0%} of the card, which is what others leave free"
        return f"{self.sequences} {'sequence' if self.sequences == 1 else 'sequences'} at once{part}"


def was_short(log: str) -> bool:
    """Whether the engine ran out of memory."""
    return _SHORT.search(log) is not None


def left_free(log: str) -> float | None:
    """The share of the card that others leave, in whole percent less one, where the engine refused to start for it."""
    if not (found := _TAKEN.findall(log)):
        return None
    shares = [float(free) / float(total) for free, total in found if float(total)]
    return max(0.0, math.floor(100 * min(shares) - 1) / 100) if shares else None


def cause(log: str) -> str:
    """The last error in the log that does not only point to another, in one line, or ""."""
    named = [line for line in _NAMED.findall(log) if _GENERAL not in line and not line.endswith("cancelled")]
    return " ".join(named[-1].split())[:LONGEST] if named else ""
