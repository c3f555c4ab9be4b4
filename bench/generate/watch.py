"""Ends a command's processes when the command is gone, however it ended. Run as a script, with the command's pid.

vLLM's engine process does not notice that its parent was killed: it would keep its memory for ever. So this
looks at the command's descendants twice a second, and kills them when the command no longer lives.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SECONDS = 0.5

Started = dict[int, str]  # pid -> start time: a number that is given again names another process


def start() -> "subprocess.Popen[bytes]":
    """A process that ends everything this one starts, if this one is killed."""
    script = [sys.executable, "-I", "-S", __file__, str(os.getpid())]
    return subprocess.Popen(script, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)


def processes() -> dict[int, tuple[int, str]]:
    """pid -> (parent's pid, start time) of everything that lives."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if fields[0] != "Z":
            found[int(stat.parent.name)] = (int(fields[1]), fields[19])
    return found


def descendants(roots: set[int], living: dict[int, tuple[int, str]]) -> Started:
    """Children of these, their children, and so on."""
    found: Started = {}
    layer = roots
    while layer:
        layer = {pid for pid, (parent, _) in living.items() if parent in layer and pid not in found}
        found.update({pid: living[pid][1] for pid in layer})
    return found


def main() -> None:
    owner = int(sys.argv[1])
    known: Started = {}
    while os.getppid() == owner:
        living = processes()
        known = {pid: start for pid, start in known.items() if living.get(pid, (0, ""))[1] == start}
        known.update(descendants({owner}, living))
        time.sleep(SECONDS)
    living = processes()
    left = {pid for pid, start in known.items() if living.get(pid, (0, ""))[1] == start}
    for pid in (left | set(descendants(left, living))) - {os.getpid()}:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main()
