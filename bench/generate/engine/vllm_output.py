"""Keeps what vLLM prints off the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def stderr_to(log: Path | None) -> Iterator[None]:
    """Sends stderr to a file while an engine starts.

    Its processes inherit the descriptor. Python's `sys.stderr` is replaced too, because a live view may have put a file
    of its own there, which writes to the terminal.
    """
    if log is None:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    saved, own = os.dup(2), sys.stderr
    file = log.open("a", buffering=1)  # never closed: a logger that is made meanwhile keeps writing to it
    try:
        os.dup2(file.fileno(), 2)
        sys.stderr = file
        yield
    finally:
        if sys.stderr is file:
            sys.stderr = own
        os.dup2(saved, 2)
        os.close(saved)


def quiet(engine: Any) -> Any:
    """The engine class with a finalizer that never raises.

    Ctrl-C during the start leaves a half-made engine until the interpreter exits, and then its finalizer needs modules
    that are gone.
    """

    class Quiet(engine):  # type: ignore[misc]
        def __del__(self) -> None:
            try:  # noqa: SIM105  # `suppress` may be gone as well
                super().__del__()
            except Exception:
                pass

    return Quiet
