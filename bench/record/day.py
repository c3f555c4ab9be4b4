"""The day that chat templates print which ask for it: one for all runs of an output folder, also when they continue.

A prompt with another date has other tokens and another answer, and could not be proved later.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

from bench.record import files

NAME = "date"


def of(out: Path) -> str:
    """The first day on which the folder was used, in UTC, as 2026-01-31. Today for a folder that is not there yet."""
    path, today = out / ".store" / NAME, datetime.now(UTC).date().isoformat()
    try:
        kept = path.read_text().strip()
        return date.fromisoformat(kept).isoformat()
    except (OSError, ValueError):
        pass
    with suppress(OSError):  # the store beside it says what is wrong with the folder
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as part:
            part.write_text(today)
    return today
