"""Every command that may take long says what it is busy with (tests/console: only where it does take long)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import registry
from bench.console.meter import Meter
from tests import fakes
from tests.fakes import World, bench


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    world = World(tmp_path)
    assert world.run(method="nonperso,rag") == 0
    return world


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["table", "OUT"], "table of 2 runs: intervals by resampling users"),
        (["compare", "rag", "nonperso", "--out", "OUT"], "comparing rag with nonperso"),
        (["plot", "costs", "OUT", "--to", "TMP/c.svg"], "drawing costs"),
        (["report", "OUT", "--to", "TMP/r.html"], "report: figure 'Unique and Non-Unique users'"),
        (["report", "OUT", "--to", "TMP/r.html"], "report: 6 samples of 2 rows"),
        (["score", "OUT"], "scoring data-rag-"),
        (["verify", "OUT"], "verifying data-rag-"),
        (["regress", "TMP/b.json", "OUT", "--write"], "values of 2 runs for "),
        (["doctor", "--out", "OUT"], "looking at the engine"),
        (["data", "stats", "--data", "DATA"], "comparing references with histories and peers"),
        (["data", "validate", "--data", "DATA"], "reading and checking data "),
        (["data", "world", "plain", "--set", "users=4", "--out", "TMP/w"], "making world plain"),
    ],
)
def test_what_a_command_is_busy_with(
    world: World, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    start = Meter.start

    def noted(meter: Meter, what: str, total: int | None = None, *, done: int = 0) -> None:
        begun.append(what)
        start(meter, what, total, done=done)

    monkeypatch.setattr(Meter, "start", noted)
    places = {"OUT": world.out, "DATA": world.data, "TMP": world.path}
    for key, place in places.items():
        words = [word.replace(key, str(place)) for word in words]
    bench(*words)
    assert any(one.startswith(said) for one in begun), begun
