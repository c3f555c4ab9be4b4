"""Ends a command's processes when the command is gone, however it ended. Run as a script: command's pid, its group.

vLLM's engine process does not notice that its parent was killed: it would keep its memory for ever. So this
looks at the command's descendants twice a second, and kills them when the command no longer lives. What the command
started after the last look has a new parent by then: that of all orphans, to whom this process belongs too.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

SECONDS = 0.5
PATIENCE = 10.0  # seconds
MARK = "DEP_BENCH_COMMAND"  # in the environment of what a command starts: its pid

Started = dict[int, str]  # pid -> start time: a number that is given again names another process


class Process(NamedTuple):
    """By /proc/PID/stat. `start` is in ticks since the machine started."""

    parent: int
    group: int
    session: int
    start: str


def start() -> "subprocess.Popen[bytes]":
    """A process that ends everything this one starts, if this one is killed."""
    os.environ[MARK] = str(os.getpid())
    script = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(os.getpgrp())]
    return subprocess.Popen(script, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)


def processes() -> dict[int, Process]:
    """Everything that lives, by pid."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if fields[0] != "Z":
            found[int(stat.parent.name)] = Process(int(fields[1]), int(fields[2]), int(fields[3]), fields[19])
    return found


def descendants(roots: set[int], living: dict[int, Process]) -> Started:
    """Children of these, their children, and so on."""
    found: Started = {}
    layer = roots
    while layer:
        layer = {pid for pid, process in living.items() if process.parent in layer and pid not in found}
        found.update({pid: living[pid].start for pid in layer})
    return found


def alive(known: Started, living: dict[int, Process]) -> Started:
    """Those of the known processes that still live."""
    return {pid: start for pid, start in known.items() if pid in living and living[pid].start == start}


def orphans(owner: int, words_of_owner: str, group: int, living: dict[int, Process]) -> Started:
    """What the owner has started since this process was, and has lost its parent: marked, forked, or an engine's.

    Another command of the same shell, whose parent is gone too, is none of these.
    """
    me = living[os.getpid()]
    return {
        pid: process.start
        for pid, process in living.items()
        if (process.parent, process.group) == (me.parent, group)
        and int(process.start) >= int(me.start)
        and (_marked(pid, owner) or words(pid) == words_of_owner or words(pid).startswith("VLLM::"))
    }


def _marked(pid: int, owner: int) -> bool:
    try:
        return f"{MARK}={owner}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def words(pid: int) -> str:
    """The command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def main() -> None:
    owner, group = map(int, sys.argv[1:])
    known: Started = {}
    words_of_owner = words(owner)
    while os.getppid() == owner:
        living = processes()
        known = alive(known, living) | descendants({owner}, living)
        time.sleep(SECONDS)
    living = processes()
    left = alive(known, living) | orphans(owner, words_of_owner, group, living)
    left |= descendants(set(left), living)
    left.pop(os.getpid(), None)
    # Python's trackers of shared memory free it when the last process that used it is gone, and end by themselves.
    trackers = {pid: start for pid, start in left.items() if "resource_tracker" in words(pid)}
    kill(left.keys() - trackers.keys())
    end = time.monotonic() + PATIENCE
    while (trackers := alive(trackers, processes())) and time.monotonic() < end:
        time.sleep(SECONDS)
    kill(trackers)


if __name__ == "__main__":
    main()
