"""Cells that are scored in a process beside the engine: as soon as they are written, with the same values."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import plugins, registry
from bench.data.corpus import load
from bench.errors import UserError
from bench.generate.engine import reaper
from bench.record import runs
from bench.record.runs import RunFolder
from bench.run import runner, scoring
from bench.run.cells import Cell
from bench.score import keep, process
from metrics.bleu import Bleu
from metrics.rouge import Rouge
from tests.fakes import FAKE, FakeGenerator, Plan, World
from tests.paths import ROOT

pytestmark = pytest.mark.slow

GRID = ("--set", 'metrics=["rouge"]', "-k", "2,3")
CELLS = 3  # Non-Perso, RAG with K = 2 and 3
# `bench` with the fake engine, which scores beside it from the first cell on.
SCRIPT = """
import signal; signal.signal(signal.SIGINT, signal.default_int_handler)
from bench import plugins, registry
from bench.cli import main
from bench.errors import UserError
from bench.run import runner, scoring
from bench.run.cells import Cell
from metrics.bleu import Bleu
from metrics.rouge import Rouge
registry.BUILTIN["generator"]["fake"] = "tests.fakes:FakeGenerator"
if __name__ == "__main__":
    import os
    from tests.fakes import FakeGenerator, Plan
    scoring.PATIENCE = float(os.environ.get("PATIENCE", 0))
    if "FAKE_DIE" in os.environ:
        FakeGenerator.plan = Plan(die_after=int(os.environ["FAKE_DIE"]))
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


def command(world: World, *words: object, **environment: str) -> subprocess.Popen[str]:
    """`bench run` of Non-Perso and RAG in a process of its own."""
    script = world.path / "command.py"
    script.write_text(SCRIPT)
    given = [sys.executable, str(script), *world.words(*words, "-k", "2,3", method="nonperso,rag")]
    env = {**os.environ, **environment, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    return subprocess.Popen(given, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def grid(world: World) -> Iterator[subprocess.Popen[str]]:
    """A grid whose RAG cells are never answered."""
    started = command(world, *GRID[:2], FAKE_HANG="Past")
    yield started
    started.kill()
    started.communicate()


def all_gone(known: reaper.Started) -> bool:
    """Whether all have ended within half a minute: a reaper looks twice a second."""
    end = time.monotonic() + 30
    while (left := reaper.alive(known, reaper.processes())) and time.monotonic() < end:
        time.sleep(0.1)
    return not left


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
    started = reaper.descendants({grid.pid}, reaper.processes())
    assert started
    grid.send_signal(signal.SIGKILL)
    grid.wait()
    assert all_gone(started)
    before = folder.path.joinpath(runs.SUMMARY).read_bytes()
    assert world.run(*GRID, method="nonperso,rag") == 0
    assert "1 of 3 cells were finished before" in capfd.readouterr().err
    assert folder.path.joinpath(runs.SUMMARY).read_bytes() == before


def test_ctrl_c_ends_the_scoring_process_too(world: World, grid: subprocess.Popen[str]) -> None:
    first_scores(world, grid)
    started = reaper.descendants({grid.pid}, reaper.processes())
    grid.send_signal(signal.SIGINT)
    _, said = grid.communicate(timeout=60)
    assert grid.returncode == 130
    assert "Traceback" not in said
    assert all_gone(started)


def test_a_validation_is_scored_beside_the_engine_by_the_one_metric(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.run("--set", 'metrics=["bleu"]') == 0
    cell: Any = SimpleNamespace(folder=world.folder(), name="validation")
    values = []
    for patience in (0.0, 1e9):
        monkeypatch.setattr(scoring, "PATIENCE", patience)
        with scoring.Scorer(load(str(world.data)), Any, Any, print) as scorer:  # type: ignore[arg-type]
            values.append(asyncio.run(scorer.validate(cell, "rouge"))["scores"])
            assert scorer._validations.started == (patience == 0)
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


def end_at_once(files: tuple[str, ...], nice: int) -> None:
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


def test_a_cell_that_is_written_early_is_scored_without_another_one_after_it(world: World) -> None:
    started = command(world, *GRID[:2], FAKE_HANG="Past", PATIENCE="3")
    try:
        first_scores(world, started)
    finally:
        started.kill()
        started.communicate()


def test_no_process_that_can_start_costs_no_cell(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(scoring, "PATIENCE", 0.0)
    monkeypatch.setattr(process.reaper, "start", refuse)
    assert world.run(*GRID, method="nonperso,rag") == 0
    assert capfd.readouterr().err.count("could not be scored beside the engine (BlockingIOError") == CELLS
    assert all(folder.done for folder in world.folders().values())


def test_written_cells_get_their_scores_where_the_engine_dies(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scoring, "PATIENCE", 1e9)
    FakeGenerator.plan = Plan(die_after=6)
    assert world.run(*GRID, method="nonperso,rag") == 1
    assert "the fake engine died" in capfd.readouterr().err
    done = [folder for folder in world.folders().values() if folder.done]
    assert [folder.summary()["method"] for folder in done] == ["nonperso"]


def test_folders_are_held_until_the_grid_has_read_their_summaries(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "PATIENCE", 0.0)
    finish = scoring.Scorer.finish

    def meanwhile(scorer: scoring.Scorer, cells: Sequence[Cell]) -> None:
        finish(scorer, cells)
        for cell in cells:
            with pytest.raises(UserError, match="another bench is working on"), RunFolder(cell.folder.path).locked():
                raise AssertionError

    monkeypatch.setattr(scoring.Scorer, "finish", meanwhile)
    assert world.run(*GRID, method="nonperso,rag") == 0
    for folder in world.folders().values():
        with folder.locked():
            pass


def test_a_cell_that_another_command_finished_meanwhile_gets_its_missing_metric(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = runner.trained

    def meanwhile(*words: Any, **options: Any) -> Any:
        monkeypatch.setattr(runner, "trained", trained)
        assert world.run("--set", 'metrics=["rouge"]') == 0
        return trained(*words, **options)

    monkeypatch.setattr(runner, "trained", meanwhile)
    assert world.run("--set", 'metrics=["rouge","bleu"]') == 0
    assert list(world.folder().summary()["metric_versions"]) == ["rouge", "bleu"]


def test_metrics_that_need_the_engines_memory_come_when_it_is_free(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scoring, "PATIENCE", 0.0)
    monkeypatch.setattr(Bleu, "uses_gpu", True, raising=False)
    assert world.run("--set", 'metrics=["rouge","bleu"]', "-k", "2,3", method="nonperso,rag") == 0
    said = capfd.readouterr().err
    assert said.count("is scored") == CELLS and said.count(" by bleu (") == CELLS
    assert all(list(one.summary()["metric_versions"]) == ["rouge", "bleu"] for one in world.folders().values())


def test_a_metric_that_fails_at_the_end_is_tried_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Cells that `finish` has tried are not handed to a process because it failed."""
    handed: list[Path] = []
    monkeypatch.setattr(scoring, "PATIENCE", 1e9)
    monkeypatch.setattr(process.ScoringProcess, "submit", lambda self, folder, **options: handed.append(folder))
    monkeypatch.setattr(Bleu, "score", lambda self, predictions, references: 1 / 0)
    monkeypatch.setattr(plugins, "is_ours", lambda kind, name: False)
    assert world.run("--set", 'metrics=["bleu"]') == 1
    assert capfd.readouterr().err.count("scoring ") == 1
    assert handed == []


def test_a_metric_more_leaves_the_others_scores_as_they_are_unless_they_have_another_version(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: Counter[str] = Counter()
    for metric in (Rouge, Bleu):
        score = metric.score

        def counted(self: Any, *pairs: Any, score: Any = score) -> Any:
            counts[type(self).__name__] += 1
            return score(self, *pairs)

        monkeypatch.setattr(metric, "score", counted)
    assert world.run("--set", 'metrics=["rouge"]') == 0
    before = [row["rouge"] for row in world.folder().rows(runs.SCORES)]
    assert world.run("--set", 'metrics=["rouge","bleu"]') == 0
    assert counts == {"Rouge": 1, "Bleu": 1}
    assert [row["rouge"] for row in world.folder().rows(runs.SCORES)] == before
    monkeypatch.setattr(Rouge, "versions", lambda self: {"rouge-score": "another"})
    assert world.run("--set", 'metrics=["rouge","bleu","meteor"]') == 0
    assert counts == {"Rouge": 2, "Bleu": 1}
    assert world.folder().summary()["metric_versions"]["rouge"] == {"rouge-score": "another"}


SLOW = """
import os, time
from dataclasses import dataclass
from pathlib import Path
from bench.types import Column
from bench.score import scoring
scoring.SPREAD_FROM = 2  # so that a process of its own takes each chunk

@dataclass(frozen=True)
class Slow:
    columns = (Column("slow", "S."),)
    per_pair = True

    def score(self, predictions, references):
        Path(os.environ["SLOW_MARK"], str(os.getpid())).touch()
        time.sleep(60)

    def aggregate(self, rows):
        return {}

    def versions(self):
        return {}
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: pairs are not spread")
def test_ctrl_c_leaves_none_of_the_processes_that_pairs_are_spread_over(world: World, tmp_path: Path) -> None:
    path, marks = tmp_path / "plug-in" / "slow_metric.py", tmp_path / "marks"
    path.parent.mkdir()
    path.write_text(SLOW)
    marks.mkdir()
    settings = ("--plugin", path, "--set", 'metrics=["slow"]')
    started = command(world, *settings, FAKE_HANG="Past", SLOW_MARK=str(marks))
    end = time.monotonic() + 120
    while not list(marks.iterdir()) and started.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    known = reaper.descendants({started.pid}, reaper.processes())
    assert {int(mark.name) for mark in marks.iterdir()} <= set(known)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=60)
    assert started.returncode == 130 and "Traceback" not in said, said
    assert all_gone(known)
