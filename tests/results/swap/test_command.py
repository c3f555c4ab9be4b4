"""`bench swap`: what it runs, what it reuses, what it refuses, and that its runs hold."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.record import runs
from bench.record.runs import RunFolder
from tests.exchange.elsewhere import bring_in, export, save, written
from tests.fakes import FAKE, FakeGenerator, Plan, World, bench


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", FAKE)
    monkeypatch.setattr(FakeGenerator, "plan", Plan())
    made = World(tmp_path)
    assert made.run("--seed", "0,1", method="nonperso,rag") == 0
    return made


def swap(world: World, *words: object) -> int:
    return bench("swap", *words, "--out", world.out)


def others(world: World) -> list[RunFolder]:
    return [folder for folder in runs.find(world.out) if folder.summary()["variant"]]


def mean(folder: RunFolder, category: str | None = None) -> float:
    rows = [row["rouge"]["rouge1"] for row in folder.rows(runs.SCORES) if category in (None, row["category"])]
    return sum(rows) / len(rows)


def test_it_runs_the_same_cells_and_prints_own_minus_other(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    assert swap(world, "rag", "--format", "json") == 0
    made = json.loads(capfd.readouterr().out)
    (one,) = made["swaps"]
    assert (one["label"], one["history"], one["seeds"]) == ("RAG", "random", [0, 1])
    folders = world.folders()
    seeds = [(folders[f"data-rag-recency-k2-seed{n}"], folders[f"data-rag-recency-k2-random-seed{n}"]) for n in (0, 1)]
    for line in one["lines"]:
        if line["column"] == "rouge1":
            category = None if line["category"] == "all categories" else line["category"]
            wanted = sum(mean(own, category) - mean(other, category) for own, other in seeds) / 2
            assert line["difference"] == pytest.approx(wanted, abs=1e-9)
    assert {gain["category"] for gain in one["gains"]} == {"Books", "Films", "all categories"}
    for own, other in seeds:
        mine, theirs = (folder.read(runs.CONFIG)["config"] for folder in (own, other))
        assert theirs.pop("history") == "random" and mine.pop("history") == "own"
        assert mine == theirs
        assert bench("verify", other.path) == 0


def test_finished_runs_are_not_run_again(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert swap(world, "rag") == 0
    first = capfd.readouterr().out
    asked = len(FakeGenerator.plan.requests)
    for name in ("rag", "RAG", world.out):
        assert swap(world, name) == 0
        assert capfd.readouterr().out == first
    assert len(FakeGenerator.plan.requests) == asked
    assert "register, not person" in first


def test_a_dry_run_shows_the_plan(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    before = runs.find(world.out)
    assert swap(world, "rag", "--dry-run") == 0
    assert re.search(r"data-rag-recency-k2-random-seed1-\w+ +new +6 of 6", capfd.readouterr().out)
    assert [one.path for one in runs.find(world.out)] == [one.path for one in before]


def test_one_that_was_stopped_goes_on(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    FakeGenerator.plan.die_after = FakeGenerator.plan.finished + 3
    assert swap(world, "rag") == 1
    assert "not run: " in capfd.readouterr().err
    FakeGenerator.plan.die_after = None
    before = len(FakeGenerator.plan.requests)
    assert swap(world, "rag") == 0
    assert len(FakeGenerator.plan.requests) - before < 12
    assert len(others(world)) == 2


def test_metrics_that_were_added_later_are_swapped_too(world: World) -> None:
    assert world.run("--metric", "rouge", "--seed", "2", method="rag") == 0
    own = world.folders()["data-rag-recency-k2-seed2"]
    assert bench("score", own.path, "--metric", "bleu") == 0
    assert swap(world, own.path) == 0
    (other,) = others(world)
    assert set(other.summary()["metric_versions"]) == {"rouge", "bleu"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nonperso"], "nonperso: Non-Perso reads no history, so there is nothing to swap"),
        (
            ["rag", "--history", "own"],
            "--history 'own' swaps nothing; give some of random, similar, dissimilar, or all",
        ),
        (["rag", "--history", "swapped"], "--history swapped is called random"),
        (["rag", "--format", "latex"], "no format 'latex'"),
        (["nothing"], "no run or row 'nothing'"),
    ],
)
def test_what_cannot_be_swapped_is_one_line(
    words: list[str], says: str, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    assert swap(world, *words) == 2
    said = capfd.readouterr().err
    assert says in said and said.count("\n") == 1


def test_a_swapped_run_and_k_0_are_refused(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert swap(world, "rag") == 0
    assert swap(world, others(world)[0].path) == 2
    assert "has another user's history already (random)" in capfd.readouterr().err
    assert world.run("-k", "0", method="rag") == 0
    assert swap(world, world.folders()["data-rag-recency-k0-seed0"].path) == 2
    assert "RAG reads no history with K = 0" in capfd.readouterr().err


def test_a_run_of_other_code_is_refused_before_anything_runs(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    own = world.folders()["data-rag-recency-k2-seed0"]
    about: dict[str, Any] = own.read(runs.CONFIG)
    own.write(runs.CONFIG, {**about, "identity": "0" * 64, "sources": {**about["sources"], "method": "older"}})
    asked = len(FakeGenerator.plan.requests)
    assert swap(world, own.path) == 2
    assert "was written otherwise than it would be today (sources.method)" in capfd.readouterr().err
    assert len(FakeGenerator.plan.requests) == asked and not others(world)


def test_imported_texts_have_no_history_to_swap(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    theirs = save(world.path / "theirs.jsonl", written(export(world)))
    assert bring_in(world, theirs, name="Sys new") == 0
    capfd.readouterr()
    assert swap(world, "Sys new") == 2
    assert "Sys new: imported texts have no history to swap" in capfd.readouterr().err
    assert swap(world, world.out) == 0  # of a folder, they are left out
    said = capfd.readouterr().out
    assert "RAG" in said and "Sys new" not in said


def test_a_metric_that_the_runs_lack_is_refused_before_anything_runs(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = len(FakeGenerator.plan.requests)
    assert swap(world, "rag", "--metric", "bertscore") == 2
    said = capfd.readouterr().err
    assert (
        f"no run here was scored with metric 'bertscore'; `bench score {world.out} --metric bertscore` adds it" in said
    )
    assert len(FakeGenerator.plan.requests) == asked


def test_a_dry_run_over_two_datasets_names_both(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--data", "mixed", "--limit", 6, "--profile", world.profile, "--generator", "fake", "--out", world.out]
    assert bench("run", "--method", "rag", *words) == 0
    capfd.readouterr()
    assert swap(world, world.out, "--dry-run") == 0
    said = capfd.readouterr().out
    assert "toy · profile fake · engine fake\n" in said and "mixed · profile fake · engine fake\n" in said
