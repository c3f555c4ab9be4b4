"""Cells that are scored in a process beside the engine: as soon as they are written, with the same values."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import registry
from bench.data.corpus import load
from bench.generate.engine import reaper
from bench.record import runs
from bench.record.runs import RunFolder
from bench.run import scoring
from bench.score import keep, process
from tests.fakes import FAKE, FakeGenerator, Plan, World
from tests.paths import ROOT

pytestmark = pytest.mark.slow

GRID = ("--set", 'metrics=["rouge"]', "-k", "2,3")
CELLS = 3  # Non-Perso, RAG with K = 2 and 3
# `bench` with the fake engine, which scores beside it from the first cell on.
SCRIPT = """
import signal; signal.signal(signal.SIGINT, signal.default_int_handler)
from bench import registry
from bench.cli import main
from bench.run import scoring
registry.BUILTIN["generator"]["fake"] = "tests.fakes:FakeGenerator"
if __name__ == "__main__":
    scoring.PATIENCE = 0.0
    main()
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", FAKE)
    monkeypatch.setattr(FakeGenerator, "plan", Plan())
    return World(tmp_path)


def scores(folder: RunFolder) -> tuple[list[dict[str, Any]], Any]:
    return list(folder.rows(runs.SCORES)), folder.summary()["scores"]


def test_values_are_those_of_cells_scored_at_the_end(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scoring, "PATIENCE", 0.0)
    assert world.run(*GRID, method="nonperso,rag") == 0
    said = capfd.readouterr().err
    assert said.count("is scored") == CELLS
    assert "scoring " not in said
    (tmp_path / "end").mkdir()
    other = World(tmp_path / "end")
    other.data = world.data
    monkeypatch.setattr(scoring, "PATIENCE", 1e9)
    assert other.run(*GRID, method="nonperso,rag") == 0
    assert capfd.readouterr().err.count("scoring ") == CELLS
    for name, folder in world.folders().items():
        assert scores(folder) == scores(other.folders()[name])
    assert not [
        name for pid in reaper.descendants({os.getpid()}, reaper.processes()) if "spawn" in (name := reaper.words(pid))
    ]


@pytest.fixture
def grid(world: World, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A grid whose RAG cells are never answered."""
    script = tmp_path / "command.py"
    script.write_text(SCRIPT)
    words = [sys.executable, str(script), *world.words(*GRID, method="nonperso,rag")]
    env = {**os.environ, "FAKE_HANG": "Past", "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    started = subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield started
    started.kill()
    started.communicate()


def first_scores(world: World, command: subprocess.Popen[str]) -> RunFolder:
    """Waits for the one cell that is written."""
    end = time.monotonic() + 120
    while time.monotonic() < end and command.poll() is None:
        for folder in runs.find(world.out):
            if folder.done:
                return folder
        time.sleep(0.1)
    raise AssertionError(command.communicate()[1])


def test_a_grid_that_is_killed_keeps_the_scores_of_its_finished_cells(
    world: World, grid: subprocess.Popen[str], capfd: pytest.CaptureFixture[str]
) -> None:
    folder = first_scores(world, grid)
    assert sum(found.done for found in runs.find(world.out)) == 1
    assert folder.summary()["method"] == "nonperso"
    started = set(reaper.descendants({grid.pid}, reaper.processes()))
    assert started
    grid.send_signal(signal.SIGKILL)
    grid.wait()
    end = time.monotonic() + 30
    while (left := started & reaper.processes().keys()) and time.monotonic() < end:
        time.sleep(0.1)
    assert not left
    before = folder.path.joinpath(runs.SUMMARY).read_bytes()
    assert world.run(*GRID, method="nonperso,rag") == 0
    assert "1 of 3 cells were finished before" in capfd.readouterr().err
    assert folder.path.joinpath(runs.SUMMARY).read_bytes() == before


def test_ctrl_c_ends_the_scoring_process_too(world: World, grid: subprocess.Popen[str]) -> None:
    first_scores(world, grid)
    started = set(reaper.descendants({grid.pid}, reaper.processes()))
    grid.send_signal(signal.SIGINT)
    _, said = grid.communicate(timeout=60)
    assert grid.returncode == 130
    assert "Traceback" not in said
    assert not started & reaper.processes().keys()


def test_a_validation_is_scored_beside_the_engine_by_the_one_metric(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.run("--set", 'metrics=["bleu"]') == 0
    cell: Any = SimpleNamespace(folder=world.folder(), name="validation")
    values = []
    for patience in (0.0, 1e9):
        monkeypatch.setattr(scoring, "PATIENCE", patience)
        with scoring.Scorer(load(str(world.data)), Any, Any, print) as scorer:  # type: ignore[arg-type]
            values.append(scorer.validate(cell, "rouge")["scores"])
            assert scorer._process.running == (patience == 0)
    assert values[0] == values[1]
    assert {"rouge1", "rougeL"} <= set(values[0]["Books"])


def test_a_process_that_is_ended_from_outside_costs_no_cell(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scoring, "PATIENCE", 0.0)
    monkeypatch.setattr(process, "_begin", end_at_once)
    assert world.run(*GRID, method="nonperso,rag") == 0
    said = capfd.readouterr().err
    assert said.count("could not be scored beside the engine (BrokenProcessPool") == CELLS
    assert said.count("scoring ") == CELLS
    assert all(folder.done for folder in world.folders().values())


def end_at_once(files: tuple[str, ...]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


PLUGIN = """
from dataclasses import dataclass
from bench.types import Column

@dataclass(frozen=True)
class Picky:
    columns = (Column("picky", "P."),)

    def score(self, predictions, references):
        raise ValueError("a bug of the plug-in's")

    def aggregate(self, rows):
        return {}

    def versions(self):
        return {}
"""


def test_a_metric_that_fails_fails_beside_the_engine_as_it_does_here(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scoring, "PATIENCE", 0.0)
    monkeypatch.setattr(registry, "_from_files", {})
    monkeypatch.setattr("bench.plugins._loaded", [])
    path = tmp_path / "picky_metric.py"
    path.write_text(PLUGIN)
    assert world.run("--plugin", path, "--set", 'metrics=["picky"]', method="nonperso,rag") == 1
    said = capfd.readouterr().err
    assert "metric 'picky'" in said and "failed on sample" in said and "no text is lost" in said
    assert "Traceback" not in said
    for folder in world.folders().values():
        assert not folder.done and not keep.interrupted(folder)
        assert "a bug of the plug-in's" in (folder.path / "scoring-error.txt").read_text()
    sys.modules.pop("picky_metric", None)
