"""What stderr may be shown, and how often where it is no terminal."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

# Reviews and the answers of servers may hold anything. Every control character but tab and line feed can take over a
# terminal, and some letters reverse the order of what it shows.
SPELLED = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}
SPELLED |= {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}

PLAIN_SECONDS = 15.0
PATIENCE = 2.0  # seconds after which a command says what it is busy with


def inert(text: str) -> str:
    """The text with such characters spelled out."""
    return text.replace("\r\n", "\n").translate(SPELLED)


# Who can put a line above the bar or live view that is on the terminal; the last one has it.
voices: list[Callable[[str], None]] = []


# Set once the command is told to stop: from then on nothing says what it is busy with.
stopping = threading.Event()


def speak(line: str) -> None:
    """Says a line on stderr, whatever is being drawn there."""
    if voices:
        voices[-1](line)
    else:
        print(inert(line), file=sys.stderr, flush=True)


def quieten() -> None:
    """Keeps libraries from printing beside us, unless the user has said otherwise. Call it before they are imported."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if not Path("/dev/nvidiactl").exists():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # transformers imports deepspeed, which else prints a guess


class Throttle:
    """Lets a plain line pass once in PLAIN_SECONDS, the first after as long."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._lock = threading.Lock()

    def due(self) -> bool:
        """Whether the next line is due. The caller prints it then."""
        with self._lock:
            now = time.monotonic()
            if now - self._last < PLAIN_SECONDS:
                return False
            self._last = now
            return True
