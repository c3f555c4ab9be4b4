"""Ctrl-C and SIGTERM in every phase, with real signals: said at once, gone in seconds, nothing left, nothing lost.

A phase is made to stay in native code, which takes no signal: what torch, tokenizers and engines do for a minute.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from bench import registry, stop
from bench.generate.engine import reaper
from bench.record import runs
from tests.fakes import FAKE, World
from tests.paths import ROOT

SECONDS = 5.0
LAST = "bench: stopped; the same command goes on where it was"
# `bench` whose function $STUCK does not come back, and has started a process.
SCRIPT = """
import asyncio, hashlib, inspect, os, signal, subprocess, sys, time
from importlib import import_module
from bench import registry
from bench.generate.engine import reaper
signal.signal(signal.SIGINT, signal.default_int_handler)
registry.BUILTIN["generator"]["fake"] = "tests.fakes:FakeGenerator"
def stuck(*args, **options):
    subprocess.Popen(["sleep", "600"])
    print("stuck", file=sys.stderr, flush=True)
    if "MANY_PROCESSES" in os.environ:
        time.sleep(600)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
async def waiting(*args, **options):
    await asyncio.to_thread(stuck)
def slowly(look=reaper.processes, seconds=[1]):
    time.sleep(seconds.pop() if seconds else 0)
    return look()
if __name__ == "__main__":
    from bench.cli import main
    if "MANY_PROCESSES" in os.environ:
        reaper.processes = slowly
    module, _, name = os.environ["STUCK"].partition(":")
    *parents, last = name.split(".")
    holder = import_module(module)
    for parent in parents:
        holder = getattr(holder, parent)
    setattr(holder, last, waiting if inspect.iscoroutinefunction(getattr(holder, last)) else stuck)
    main()
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", FAKE)
    return World(tmp_path)


@pytest.fixture
def begin() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `bench` in a session of its own and returns once it is in the phase."""
    begun: list[subprocess.Popen[str]] = []

    def started(words: list[str], stuck: str, *, line: str = "stuck") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *words],
            cwd=ROOT,
            env={**os.environ, "STUCK": stuck},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        begun.append(process)
        assert process.stderr is not None
        said = ""
        while line not in said:
            more = process.stderr.readline()
            assert more, f"it has ended: {said}"
            said += more
        return process

    yield started
    for process in begun:
        reaper.kill(members(process.pid))
        process.wait()


def members(session: int) -> list[int]:
    return [pid for pid, process in reaper.processes().items() if process.session == session]


def stopped(process: subprocess.Popen[str], number: int) -> tuple[list[str], float]:
    """(what it said after the signal, which goes to all its group as a terminal's does; seconds)."""
    began = time.monotonic()
    (os.kill if number == signal.SIGTERM else os.killpg)(process.pid, number)
    _, said = process.communicate(timeout=60)
    seconds = time.monotonic() - began
    assert process.returncode == stop.CODE
    assert members(process.pid) == []
    return said.splitlines(), seconds


PHASES = {
    "loading data": ("run", "bench.data.folder.reader:read"),
    "retrieving": ("run", "retrievers.recency:Recency.rank"),
    "starting the engine": ("run", "tests.fakes:FakeGenerator.start"),
    "generating": ("run", "tests.fakes:FakeGenerator.generate"),
    "scoring in a run": ("run", "metrics.rouge:Rouge.score"),
    "scoring again": ("score", "metrics.rouge:Rouge.score"),
    "a report": ("report", "results.report.report:write"),
    "a table": ("table", "results.tables.assemble:leaderboards"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "number"), [*((phase, signal.SIGINT) for phase in PHASES), ("generating", signal.SIGTERM)]
)
def test_every_phase_is_gone_within_seconds_and_leaves_no_process(
    world: World, begin: Callable[..., subprocess.Popen[str]], phase: str, number: int
) -> None:
    command, place = PHASES[phase]
    words = world.words("--limit", 1, method="rag")
    if command != "run":
        assert world.run("--limit", 1, method="rag") == 0
        words = [command, str(world.out)]
    said, seconds = stopped(begin(words, place), number)
    assert said == ["stopping ...", LAST]
    assert seconds < SECONDS
    assert world.run("--limit", 1, method="rag") == 0


def test_the_main_thread_may_be_at_its_end_before_the_processes_are_known(
    world: World, begin: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANY_PROCESSES", "1")
    said, _ = stopped(begin(world.words("--limit", 1), PHASES["loading data"][1]), signal.SIGINT)
    assert said == ["stopping ...", LAST]


def test_a_second_ctrl_c_does_not_wait(world: World, begin: Callable[..., subprocess.Popen[str]]) -> None:
    process = begin(world.words("--limit", 1), PHASES["starting the engine"][1])
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(2 * stop.ONE)
    said, seconds = stopped(process, signal.SIGINT)
    assert said == ["stopping ...", LAST]
    assert seconds < stop.GRACE - 2 * stop.ONE


def test_rows_and_answers_from_before_stay(world: World, begin: Callable[..., subprocess.Popen[str]]) -> None:
    (world.path / "whole").mkdir()
    whole = World(world.path / "whole")
    assert whole.run("--limit", 3) == 0 and world.run("--limit", 3) == 0
    (world.folder().path / runs.SUMMARY).unlink()
    kept = list(world.folder().rows(runs.SAMPLES))[:2]
    world.folder().write_rows(runs.SAMPLES, kept)
    stopped(begin(world.words("--limit", 3), PHASES["scoring in a run"][1]), signal.SIGINT)
    assert list(world.folder().rows(runs.SAMPLES))[:2] == kept
    assert world.run("--limit", 3) == 0
    assert world.rows() == whole.rows()
    assert world.folder().summary()["engine_use"]["requests"] == 0


def test_an_end_without_a_signal_is_as_before(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number in stop.SIGNALS]
    assert world.run() == 0
    assert [signal.getsignal(number) for number in stop.SIGNALS] == before
    assert "stopping" not in capfd.readouterr().err
    assert not stop.asked()


def embedded(store: Path) -> int:
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT COUNT(*) FROM vectors").fetchone()[0])
    return 0


@pytest.mark.slow
@pytest.mark.models
def test_real_embedding_is_stopped_and_goes_on(
    tmp_path: Path, begin: Callable[..., subprocess.Popen[str]], require_assets: Callable[..., None]
) -> None:
    require_assets("all-minilm-l6-v2")
    words = ["probe", "--data", "mixed", "-k", "8", "--out", str(tmp_path)]
    process = begin(words, "metrics.rouge:Rouge.score", line="")
    store = tmp_path / ".store" / "vectors.sqlite"
    end = time.monotonic() + 240
    while not (kept := embedded(store)) and time.monotonic() < end:
        time.sleep(0.05)
    said, seconds = stopped(process, signal.SIGINT)
    assert said[-2:] == ["stopping ...", LAST]
    assert seconds < SECONDS
    assert embedded(store) >= kept > 0
