"""The grid that `make chaos` kills: its command, its phases by the lines it prints, and its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from bench.generate.engine import reaper

# Phases, by words that the line on stderr which opens them begins or ends with.
OPENED_BY = {
    "training": ("training ",),
    "engine start": ("starting the engine",),
    "writing": ("engine ready",),
    "scoring": ("scoring ", " is scored"),
}
PHASES = ("start-up", *OPENED_BY)
LIVES_IN = {
    "command": PHASES,
    "engine": ("engine start", "writing"),
    "trainer": ("training",),
    "scorer": ("writing", "scoring"),
}
VICTIMS = tuple(LIVES_IN)
PATIENCE = 300  # seconds for a command whose engine or trainer was killed to end by itself


def grid(generator: str, limit: int) -> list[str]:
    """The arguments of a small `bench run` of four methods, one of them trained."""
    sizes = {"input_budget": 512, "max_new_tokens": 16, "train.limit": 4, "train.batch": 2, "train.val_limit": 3}
    settings = {**sizes, "train.save_minutes": 0, "metrics": '["rouge","meteor","bleu"]'}
    return [
        *("run", "--data", "bundled", "--profile", "tiny"),
        *("--method", "nonperso,rag,pag,soft", "-k", "2", "--limit", str(limit), "--generator", generator),
        "--deterministic",
        *(word for key, value in settings.items() for word in ("--set", f"{key}={value}")),
    ]


@dataclass
class Command:
    """A grid that runs: the lines it prints, the phase it is in, and the seconds of each phase so far."""

    arguments: list[str]
    lines: list[str] = field(default_factory=list)
    phase: str = PHASES[0]
    lasted: dict[str, float] = field(default_factory=dict)  # seconds a phase

    def __post_init__(self) -> None:
        bench = str(Path(sys.executable).with_name("bench"))
        self.process = subprocess.Popen(
            [bench, *self.arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.since = time.monotonic()
        self._readers = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in (self.process.stdout, self.process.stderr)
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self.lines.append(line.rstrip("\n"))
            said = self.lines[-1]
            for phase, words in OPENED_BY.items():
                if stream is self.process.stderr and (said.startswith(words) or said.endswith(words)):
                    self._enter(phase)

    def _enter(self, phase: str) -> None:
        now = time.monotonic()
        self.lasted[self.phase] = self.lasted.get(self.phase, 0) + now - self.since
        self.phase, self.since = phase, now

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit code, once all lines are read; None if it still runs after this many seconds."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        for reader in self._readers:
            reader.join(PATIENCE)
        self._enter("ended")
        return code

    def reaches(self, phase: str) -> bool:
        """Waits for a phase or a later one; False if the command ends before."""
        while self.process.poll() is None:
            if self.phase in PHASES[PHASES.index(phase) :]:
                return True
            time.sleep(0.05)
        return False

    def processes(self) -> dict[str, list[int]]:
        """Victim -> process ids: the command itself and the processes that train, generate and score for it."""
        found: dict[str, list[int]] = {"command": [self.process.pid]}
        for pid in reaper.descendants({self.process.pid}, reaper.processes()):
            arguments = reaper.words(pid)
            if "bench.train.worker" in arguments:
                found.setdefault("trainer", []).append(pid)
            elif "reaper.py" in arguments or "resource_tracker" in arguments:
                continue
            elif "spawn_main" in arguments and self.phase in LIVES_IN["scorer"]:  # vLLM's have names of their own
                found.setdefault("scorer", []).append(pid)
            elif self.phase in LIVES_IN["engine"]:
                found.setdefault("engine", []).append(pid)
        return found

    def left_behind(self) -> list[int]:
        """Processes that outlive the command by half a minute. Kills them."""
        end = time.monotonic() + 30
        while (left := self._session()) and time.monotonic() < end:
            time.sleep(0.1)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return left

    def _session(self) -> list[int]:
        return [pid for pid, process in reaper.processes().items() if process.session == self.process.pid]
