"""Why an engine died, by its log, and how much smaller the next one is if it ran out of memory."""

from __future__ import annotations

import re
from dataclasses import dataclass

SEQUENCES = 256  # that vLLM takes at once by default
LONGEST = 300  # characters of a cause that are shown

_NAMED = re.compile(r"\b(\w*(?:Error|Exception): .+)")
_GENERAL = "root cause"  # vLLM's errors that only point to another
_SHORT = re.compile(
    r"out of memory|OutOfMemoryError|(?:can't|Cannot) allocate memory|bad_alloc|\bMemoryError"
    r"|No available memory for the cache|less than requested memory for kv",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Size:
    """What decides an engine's memory: sequences at once and, on CPUs, whole GiB of key-value cache."""

    sequences: int
    cache: int = 1

    def smaller(self) -> Size | None:
        """A quarter of it, or None if it is the smallest. Prompts keep their length, or texts would change."""
        less = Size(max(1, self.sequences // 4), max(1, self.cache // 4))
        return None if less == self else less

    def __str__(self) -> str:
        return f"{self.sequences} {'sequence' if self.sequences == 1 else 'sequences'} at once"


def was_short(log: str) -> bool:
    """Whether the engine ran out of memory."""
    return _SHORT.search(log) is not None


def cause(log: str) -> str:
    """The last error in the log that does not only point to another, in one line, or ""."""
    named = [line for line in _NAMED.findall(log) if _GENERAL not in line and not line.endswith("cancelled")]
    return " ".join(named[-1].split())[:LONGEST] if named else ""
