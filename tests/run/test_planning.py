"""`--dry-run` against the run that follows: what is counted is what is asked, and what is not known is said."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import registry
from bench.record import runs
from bench.run.planning import Plan as Planned
from tests import fakes
from tests.fakes import FakeGenerator, Plan, World
from tests.paths import ROOT


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    monkeypatch.setattr(FakeGenerator, "plan", Plan())
    return World(tmp_path)


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[Planned]:
    """What the last dry run has shown."""
    last: list[Planned] = []

    def shown(console: object, plans: Sequence[Planned]) -> None:
        last[:] = plans

    monkeypatch.setattr("results.tables.show.plan", shown)
    return last


def new(plans: Sequence[Planned]) -> int:
    return sum(stage.requests - stage.stored for one in plans for stage in one.stages.values())


@pytest.mark.parametrize("words", [("-k", "2,3"), ("--seed", "0,1", "--set", "temperature=0")])
def test_a_plan_counts_the_requests_that_the_run_then_makes(
    world: World, planned: list[Planned], words: tuple[str, ...]
) -> None:
    """Greedy requests of two seeds are the same, and generated once."""
    assert world.run(*words, "--dry-run", method="nonperso,rag") == 0
    assert FakeGenerator.plan.requests == []
    assert not list(runs.find(world.out))
    counted = new(planned)
    assert all(not one.unknown for one in planned)
    assert world.run(*words, method="nonperso,rag") == 0
    assert counted == len(FakeGenerator.plan.requests)


def test_stored_answers_of_a_broken_run_are_counted(world: World, planned: list[Planned]) -> None:
    assert world.run(method="rag") == 0
    folder = world.folder()
    (folder.path / runs.SUMMARY).unlink()
    folder.write_rows(runs.SAMPLES, list(folder.rows(runs.SAMPLES))[:2])
    assert world.run("--dry-run", method="rag") == 0
    (one,) = planned
    assert (one.pending, one.stages["review"].requests, one.stages["review"].stored) == (4, 4, 4)
    assert (one.stages["review"].prompt_tokens, one.stages["review"].new_tokens) == (0, 0.0)


def test_a_sample_that_cannot_be_planned_is_said(
    world: World, planned: list[Planned], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("methods.rag.Rag.write", None)
    assert world.run("--dry-run", method="rag") == 0
    (one,) = planned
    assert one.stages == {}
    assert "6 samples cannot be planned; 6 of them: TypeError" in one.unknown[0]


def test_a_plan_needs_neither_torch_nor_an_engine(tmp_path: Path) -> None:
    """Their imports take many times as long as the plan."""
    words = [
        "run",
        "--method",
        "rag,oracle",
        "--limit",
        "3",
        "--generator",
        "transformers",
        "--dry-run",
        "--out",
        str(tmp_path),
    ]
    code = (
        "import sys\nfrom bench.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(sorted({'torch', 'vllm', 'transformers'} & set(sys.modules)))\n"
        "from transformers import AutoTokenizer\n"  # and who needs models gets all of it
        "from transformers.utils import is_torch_available\n"
        "assert is_torch_available()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert "review  3         0" in done.stdout
