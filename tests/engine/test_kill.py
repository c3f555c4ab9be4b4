"""`kill -9` in the middle of a run with the real engine: the same command goes on, and ends as if unbroken."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench.generate import watch
from bench.generate.store import RequestStore
from bench.generate.vllm import installed

pytestmark = [
    pytest.mark.engine,
    pytest.mark.models,
    pytest.mark.skipif(not installed(), reason="vllm is not installed"),
]

SAMPLES = 24
COMMAND = [
    *("run", "--method", "rag", "--retriever", "bm25", "--limit", str(SAMPLES), "--deterministic", "-k", "2"),
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
    return [pid for pid, process in watch.processes().items() if process.session == session]


def kill_after(n: int, out: Path) -> None:
    """Starts the run, waits for n rows, kills the command alone, and waits until its engine has gone too."""
    process = subprocess.Popen(bench(out), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        while len(rows(out)) < n:
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline, "no rows appeared"
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 60
        while members_of_session(process.pid):
            assert time.monotonic() < deadline, "the engine outlived the killed command"
            time.sleep(0.2)
    finally:
        for left in members_of_session(process.pid):
            os.kill(left, signal.SIGKILL)


def test_a_killed_run_goes_on_and_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(bench(whole), check=True, capture_output=True)
    kill_after(5, broken)

    kept = len(rows(broken))
    store = RequestStore(broken / ".store" / "requests.sqlite")
    stored = len(store)
    assert 5 <= kept <= stored < SAMPLES

    subprocess.run(bench(broken), check=True, capture_output=True)
    (summary,) = [json.loads(path.read_text()) for path in broken.glob("*/summary.json")]
    assert summary["engine_use"]["requests"] == SAMPLES - stored
    assert len(store) == SAMPLES

    fields = ("sample_id", "text", "error", "retrieved", "dropped", "requests")
    assert [[row[f] for f in fields] for row in rows(broken)] == [[row[f] for f in fields] for row in rows(whole)]
    (unbroken,) = [json.loads(path.read_text()) for path in whole.glob("*/summary.json")]
    assert summary["scores"] == unbroken["scores"]
