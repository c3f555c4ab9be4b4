"""Kills a command's child processes when the command is gone, however it ended.

vLLM's engine process does not notice that its parent was killed, and would keep its memory for ever. So this script
looks at the command's descendants twice a second, and kills them when the command no longer lives. A process that the
command started after the last look has a new parent by then, the one of all orphans, which is the script's parent too.

Run as a script: `reaper.py PID GROUP`, both of the command.
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

Started = dict[int, str]  # pid -> start time, because the system uses a pid again


class Process(NamedTuple):
    """As in /proc/PID/stat. `start` is in clock ticks since the machine started."""

    parent: int
    group: int
    session: int
    start: str


def start() -> "subprocess.Popen[bytes]":
    """Starts a process that kills everything this one started, if this one dies."""
    os.environ[MARK] = str(os.getpid())
    script = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(os.getpgrp())]
    return subprocess.Popen(script, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)


def processes() -> dict[int, Process]:
    """All living processes, by pid."""
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
    """The known processes that still live."""
    return {pid: start for pid, start in known.items() if pid in living and living[pid].start == start}


def orphans(owner: int, words_of_owner: str, group: int, living: dict[int, Process]) -> Started:
    """Processes of the owner that are younger than this one and have lost their parent.

    They carry the mark, or are forks of the owner, or an engine's. Another command of the same shell may be an orphan
    too, but is none of these.
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
    # Python's resource trackers free shared memory when its last user is gone, and then end on their own.
    trackers = {pid: start for pid, start in left.items() if "resource_tracker" in words(pid)}
    kill(left.keys() - trackers.keys())
    end = time.monotonic() + PATIENCE
    while (trackers := alive(trackers, processes())) and time.monotonic() < end:
        time.sleep(SECONDS)
    kill(trackers)


if __name__ == "__main__":
    main()
