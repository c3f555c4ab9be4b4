"""A server's key: in the requests, and nowhere else, whatever the servers of a run and of its judge do."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.generate.server import openai
from bench.generate.server.retries import RetryPolicy
from tests.fakes import World, bench
from tests.generate.fake_server import FakeServer, Reply, completed, refusal, serving
from tests.paths import ROOT

KEY = "sk-canary-5f1d0c77"
QUICK = RetryPolicy(tries=3, per_try=5.0, total=20.0, first_pause=0.002, longest_pause=0.01)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setattr(openai, "RetryPolicy", lambda: QUICK)
    with serving(FakeServer()) as running:
        yield running


def words(world: World, server: FakeServer, *more: object) -> list[str]:
    given = ["--generator", "openai", "--base-url", server.address, "--metric", "rouge,judge", "--method", "rag"]
    return world.words(*given, *more)


def check(world: World, server: FakeServer, printed: str) -> None:
    """The servers were asked with the key, and no file and no line has it."""
    assert set(server.keys) == {f"Bearer {KEY}"}
    assert KEY not in printed
    files = [path for path in world.path.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


ECHO = f"no, {KEY} may not"
BAD: dict[str, Callable[[int, dict[str, Any]], Reply]] = {
    "400": lambda n, body: refusal(400, ECHO),
    "401": lambda n, body: refusal(401, ECHO),
    "403": lambda n, body: refusal(403, ECHO),
    "404": lambda n, body: refusal(404, ECHO),
    "429": lambda n, body: refusal(429, ECHO),
    "500": lambda n, body: refusal(500, ECHO),
    "no JSON": lambda n, body: Reply(200, f"<html>{KEY}</html>".encode()),
    "no object": lambda n, body: Reply(500, [KEY]),
    "cut": lambda n, body: Reply(200, completed(KEY), cut=True),
    "judge fails": lambda n, body: refusal(400, ECHO) if n >= 6 else Reply(body=completed(f"answer {n}")),
    "judge refuses": lambda n, body: refusal(401, ECHO) if n >= 6 else Reply(body=completed(f"answer {n}")),
}


@pytest.mark.parametrize("how", BAD)
def test_a_server_that_repeats_the_key(
    server: FakeServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    how: str,
) -> None:
    world = World(tmp_path)
    server.answer = BAD[how]
    code = bench(*words(world, server))
    gc.collect()  # asyncio says of a failed task that nobody asked for when it is gone
    printed = "".join(capfd.readouterr()) + caplog.text
    assert code == (0 if how == "judge fails" else 1), printed
    assert "Traceback" not in printed
    for run in world.folders().values():
        bench("show", run.path)
    check(world, server, printed + "".join(capfd.readouterr()))


def test_a_server_that_lets_nobody_in(server: FakeServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    server.routes = {"/v1/models": refusal(401, ECHO)}
    assert bench(*words(World(tmp_path), server)) == 1
    printed = "".join(capfd.readouterr())
    assert "set OPENAI_API_KEY" in printed
    check(World(tmp_path), server, printed)


def test_a_good_run_and_the_list_of_processes(server: FakeServer, tmp_path: Path) -> None:
    """The command in a process of its own; at every request all processes are looked at."""
    seen: list[str] = []

    def answer(n: int, body: dict[str, Any]) -> Reply:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                seen.append((process / "cmdline").read_bytes().decode("utf-8", "replace"))
            except OSError:  # it has ended
                continue
        return Reply(body=completed(f"Score: {n}"))

    server.answer = answer
    world = World(tmp_path)
    command = [sys.executable, "-c", "from bench.cli import main; main()", *words(world, server)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, env=dict(os.environ))
    assert run.returncode == 0, run.stderr
    assert len(server.bodies) == 12  # six reviews, six verdicts
    assert any(server.address in line for line in seen)
    assert not any(KEY in line for line in seen)
    check(world, server, run.stdout + run.stderr)


def test_a_token_in_the_engine_s_arguments_is_refused_unread(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path)
    assert bench(*world.words("--generator", "echo", "--set", f"engine.hf_token={KEY}")) == 2
    err = capfd.readouterr().err
    assert "engine: hf_token would be kept with every run; set HF_TOKEN" in err
    assert KEY not in err
    assert not world.out.exists()


def test_a_secret_for_the_engine_is_written_nowhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path)
    for name in ("api_key", "some_token", "password", "tokenizer"):
        assert bench(*world.words("--generator", "echo", "--set", f"engine.{name}={KEY}")) == 2
        err = capfd.readouterr().err
        assert f"engine: {name} would be kept with every run; give a secret in the environment" in err
        assert KEY not in err
    assert bench(*world.words("--generator", "echo", "--set", f"temperature={KEY}")) == 2
    assert KEY not in capfd.readouterr().err
    assert not world.out.exists()
