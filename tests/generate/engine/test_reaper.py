"""The reaper ends the processes that a killed command leaves behind, and no others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from bench.generate.engine import reaper
from bench.generate.engine.reaper import Process
from tests.engine.test_kill import members_of_session
from tests.paths import ROOT

# A command with a child and a grandchild that would outlive it.
COMMAND = """
import subprocess, time
from bench.generate.engine import reaper
reaper.start()
subprocess.Popen(["sh", "-c", "sleep 600 & wait"])
print("ready", flush=True)
time.sleep(600)
"""


def wait_for(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def test_a_killed_command_leaves_nothing() -> None:
    bystander = subprocess.Popen(["sleep", "600"])
    command = subprocess.Popen(
        [sys.executable, "-c", COMMAND], cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True
    )
    assert command.stdout is not None
    assert command.stdout.readline() == b"ready\n"
    assert wait_for(lambda: len(members_of_session(command.pid)) == 3)  # the command, sh and sleep
    time.sleep(2 * reaper.SECONDS)
    os.kill(command.pid, signal.SIGKILL)
    command.wait()
    assert wait_for(lambda: not members_of_session(command.pid))
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


# Killed at once after it has started a process, before its reaper can have seen it.
HASTY = """
import os, signal, subprocess, sys, time
from bench.generate.engine import reaper
reaper.start()
time.sleep(1)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_started_a_moment_before_the_kill_goes_too() -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    command = subprocess.Popen([sys.executable, "-c", HASTY], cwd=ROOT, start_new_session=True)
    assert command.wait() == -signal.SIGKILL
    assert wait_for(lambda: not members_of_session(command.pid))
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_another_command_of_the_same_shell_lives_on() -> None:
    script = '"$0" -c "$1" & sleep 0.5; "$0" -c "import time; time.sleep(600)" &'
    shell = subprocess.Popen(["sh", "-c", script, sys.executable, HASTY], cwd=ROOT, start_new_session=True)
    shell.wait()  # both are orphans now, and the other is the younger one
    assert len(members_of_session(shell.pid)) >= 2
    assert wait_for(lambda: len(members_of_session(shell.pid)) == 1)
    time.sleep(2 * reaper.SECONDS)
    (other,) = members_of_session(shell.pid)
    assert "import time" in reaper.words(other)
    os.kill(other, signal.SIGKILL)


def test_descendants_are_found_through_all_generations() -> None:
    parents = {1: (0, "a"), 2: (1, "b"), 3: (2, "c"), 4: (3, "d"), 9: (8, "e")}
    living = {pid: Process(parent, 1, 1, start) for pid, (parent, start) in parents.items()}
    assert reaper.descendants({2}, living) == {3: "c", 4: "d"}
    assert reaper.descendants({9}, living) == {}
