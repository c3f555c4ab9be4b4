"""`bench verify` and `bench show --provenance`: a run proves its row, and every way of doctoring one is found."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import matrix, registry, runs
from bench.data import store
from bench.runs import RunFolder
from results import verify as verification
from tests.fakes import CATEGORIES, FAKE, FakeGenerator, Plan, World, bench, tables


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", FAKE)
    monkeypatch.setattr(FakeGenerator, "plan", Plan())
    return World(tmp_path)


@pytest.fixture
def folder(world: World) -> RunFolder:
    assert world.run("--retriever", "bm25", method="rag") == 0
    return world.folder()


def checks(folder: RunFolder) -> dict[str, bool | None]:
    return {check.name: check.holds for check in verification.verify(folder)}


ALL = ("files", "data", "samples", "identity", "texts", "scores")


def test_a_run_proves_its_row_and_nothing_is_generated(folder: RunFolder) -> None:
    before = len(FakeGenerator.plan.requests)
    assert checks(folder) == dict.fromkeys(ALL, True)
    assert (len(FakeGenerator.plan.requests), FakeGenerator.plan.started) == (before, 1)


def test_a_run_of_several_stages_with_a_failed_sample_proves_its_row(world: World) -> None:
    FakeGenerator.plan.refuse = "u1"
    world.run(method="pag")
    assert world.folder().read(runs.SUMMARY)["failed"] > 0
    assert checks(world.folder()) == dict.fromkeys(ALL, True)


def rewrite(name: str, change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[RunFolder], None]:
    def doctor(folder: RunFolder) -> None:
        rows = list(folder.rows(name))
        change(rows)
        folder.write_rows(name, rows)

    return doctor


def edit(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[RunFolder], None]:
    def doctor(folder: RunFolder) -> None:
        values = folder.read(name)
        change(values)
        folder.write(name, values)

    return doctor


def forget_an_answer(folder: RunFolder) -> None:
    with sqlite3.connect(folder.path.parent / ".store" / "requests.sqlite") as db:
        db.execute("DELETE FROM completions WHERE rowid = 1")


def change_an_answer(folder: RunFolder) -> None:
    with sqlite3.connect(folder.path.parent / ".store" / "requests.sqlite") as db:
        (text,) = db.execute("SELECT completion FROM completions WHERE rowid = 1").fetchone()
        db.execute("UPDATE completions SET completion = ? WHERE rowid = 1", (text.replace('"text": "', '"text": "x'),))


# What is done to a run, and which checks must find it.
DOCTORED: dict[str, tuple[Callable[[RunFolder], None], set[str]]] = {
    "a text": (rewrite(runs.SAMPLES, lambda rows: rows[0].update(text="better")), {"files", "texts", "scores"}),
    "a sample left out": (rewrite(runs.SAMPLES, lambda rows: rows.pop()), {"files", "samples", "scores"}),
    "a failure hidden": (rewrite(runs.SAMPLES, lambda rows: rows[0].update(error="x")), {"files", "samples"}),
    "a score": (rewrite(runs.SCORES, lambda rows: rows[0]["rouge"].update(rouge1=0.99)), {"files", "scores"}),
    "a property": (rewrite(runs.SCORES, lambda rows: rows[0]["properties"].update(history=9)), {"files", "scores"}),
    "a row of scores left out": (rewrite(runs.SCORES, lambda rows: rows.pop()), {"files", "scores"}),
    "a value of the table": (edit(runs.SUMMARY, lambda s: s["scores"]["Books"].update(rouge1=0.99)), {"scores"}),
    "the count of failures": (edit(runs.SUMMARY, lambda s: s.update(failed=1)), {"samples"}),
    "the configuration": (edit(runs.CONFIG, lambda c: c["config"].update(seed=7)), {"files", "identity", "texts"}),
    "the method's source": (edit(runs.CONFIG, lambda c: c["sources"].update(method="0" * 64)), {"files", "identity"}),
    "the provenance": (edit(runs.PROVENANCE, lambda p: p["git"].update(dirty=False, commit="0")), {"files"}),
    "an answer": (change_an_answer, {"texts"}),
    "an answer lost": (forget_an_answer, {"texts"}),
}


@pytest.mark.parametrize("what", DOCTORED)
def test_what_was_changed_is_found(folder: RunFolder, what: str) -> None:
    doctor, found = DOCTORED[what]
    doctor(folder)
    assert {name for name, holds in checks(folder).items() if not holds} == found


@pytest.mark.parametrize(
    "doctor",
    [
        rewrite(runs.SAMPLES, lambda rows: rows[0].pop("error")),
        rewrite(runs.SAMPLES, lambda rows: rows[0].update(sample_id="\x1b[2Jno such sample")),
        rewrite(runs.SCORES, lambda rows: rows[0].update(bleu=None)),
        edit(runs.CONFIG, lambda config: config.pop("sources")),
        edit(runs.SUMMARY, lambda summary: summary.update(n=[])),
    ],
)
def test_a_file_that_holds_something_else_is_wrong_in_one_line(
    doctor: Callable[[RunFolder], None], folder: RunFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    doctor(folder)
    capfd.readouterr()
    assert bench("verify", folder.path) == verification.DISPROVED
    out, err = capfd.readouterr()
    assert out.endswith("NOT PROVED\n") and "\x1b" not in out
    assert err == ""


def test_changed_data_is_found(folder: RunFolder, world: World) -> None:
    changed = tables()
    changed["items"][0]["title"] = "Books thing zero"
    store.write(
        world.data, {"name": "toy", "title": "a toy", "synthetic": True, "categories": list(CATEGORIES)}, changed
    )
    assert checks(folder) == {"files": True, "data": False}  # and nothing further can be said
    (world.data / "items.jsonl").unlink()
    assert checks(folder) == {"files": True, "data": None}


def test_arrays_of_another_run_are_replaced(folder: RunFolder) -> None:
    file = folder.path / matrix.FILE
    before = matrix.load(folder)
    file.write_bytes(file.read_bytes()[:-10])
    checks(folder)
    after = matrix.load(folder)
    assert before is not None and after is not None
    assert (before.numbers == after.numbers).all()


def test_what_cannot_be_checked_is_said(folder: RunFolder, capfd: pytest.CaptureFixture[str]) -> None:
    (folder.path.parent / ".store" / "requests.sqlite").unlink()
    assert checks(folder)["texts"] is None
    assert bench("verify", folder.path) == verification.UNKNOWN
    assert "not proved: not all could be checked" in capfd.readouterr().out


def test_the_command_says_each_check_and_its_code(folder: RunFolder, capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("verify", folder.path.parent) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["ok"] * len(ALL)
    assert lines[-1] == "proved"
    DOCTORED["a score"][0](folder)
    assert bench("verify", folder.path) == verification.DISPROVED
    out = capfd.readouterr().out
    assert "WRONG   scores    1 of 6 rows differ" in out and out.endswith("NOT PROVED\n")


def test_an_unfinished_run_is_a_line(folder: RunFolder, capfd: pytest.CaptureFixture[str]) -> None:
    (folder.path / runs.SUMMARY).unlink()
    assert bench("verify", folder.path) == 2
    assert "is not finished; run its command again" in capfd.readouterr().err


def test_provenance_is_shown_whole(folder: RunFolder, capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("show", folder.path, "--provenance") == 0
    facts = dict(line.split(maxsplit=1) for line in capfd.readouterr().out.splitlines() if " " in line)
    for key in ("identity", "started", "finished", "git.commit", "git.dirty", "python", "system", "hardware.cpu"):
        assert facts.get(key), key
    for key in (
        "versions.torch",
        "generator.backend",
        "sources.method",
        "sources.retriever",
        "metrics.rouge.rouge-score",
    ):
        assert facts.get(key), key
    assert facts["config.seed"] == "0"
    assert facts["config.data_fingerprint"] == folder.read(runs.CONFIG)["config"]["data_fingerprint"]
    assert json.dumps(facts["command"]).count("--method") == 1
