"""Runs from the command to the summary: going on after every kind of death, failures, identities, and no leaks."""

from __future__ import annotations

import errno
import json
import os
import signal
import sqlite3
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.data.corpus import load
from bench.protocols import SoftPromptMethod
from bench.record import provenance, runs
from bench.record.runs import RunFolder
from bench.score import score_arrays
from bench.seeds import derive
from tests import fakes
from tests.fakes import CANARY, FakeGenerator, Plan, World, in_a_process

TARGETS = 6  # test samples of the fake dataset


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    monkeypatch.setattr(FakeGenerator, "plan", Plan())
    return FakeGenerator.plan


@pytest.fixture
def world(tmp_path: Path, plan: Plan) -> World:
    return World(tmp_path)


@pytest.fixture
def unbroken(tmp_path_factory: pytest.TempPathFactory, plan: Plan) -> Callable[..., list[dict[str, Any]]]:
    """The rows of a run that nothing disturbs."""

    def rows(*words: object, method: str = "nonperso") -> list[dict[str, Any]]:
        FakeGenerator.plan = Plan()
        other = World(tmp_path_factory.mktemp("unbroken"))
        assert other.run(*words, method=method) == 0
        return other.rows()

    return rows


# ---------------------------------------------------------------- a run that goes well


def test_a_grid_leaves_folders_that_explain_themselves(
    world: World, plan: Plan, capfd: pytest.CaptureFixture[str]
) -> None:
    assert world.run(method="nonperso,rag") == 0
    out, err = capfd.readouterr()
    assert "Non-Perso" in out and "RAG" in out and "SYNTHETIC DATA" in out
    assert "starting the engine" in err
    folders = world.folders()
    assert sorted(folders) == ["data-nonperso-seed0", "data-rag-recency-k2-seed0"]
    assert (plan.started, plan.closed, len(plan.requests)) == (1, 1, 2 * TARGETS)

    corpus = load(str(world.data))
    for folder in folders.values():
        names = (runs.CONFIG, runs.PROVENANCE, runs.SAMPLES, runs.SCORES, score_arrays.FILE, runs.SUMMARY)
        assert {path.name for path in folder.path.iterdir()} == {*names, ".lock"}
        rows = list(folder.rows(runs.SAMPLES))
        assert [row["sample_id"] for row in rows] == [sample.sample_id for sample in corpus.samples("test")]
        assert all(row["text"] and row["error"] is None for row in rows)
        summary = folder.read(runs.SUMMARY)
        assert summary["n"] == {"Books": 3, "Films": 3}
        assert (summary["users"], summary["failed"], summary["empty"], summary["shortened"]) == (6, 0, 0, 0)
        stage = summary["stages"]["review"]
        assert (stage["requests"], stage["from_store"]) == (TARGETS, 0)
        assert stage["prompt_tokens"] == sum(row["stages"]["review"]["prompt_tokens"] for row in rows)
        assert stage["new_tokens"] == 12 * TARGETS
        assert folder.read(runs.CONFIG)["generator"] == {"backend": "fake", "version": "1"}
        assert folder.read(runs.PROVENANCE)["versions"]["torch"]


def test_history_is_retrieved_newest_first_and_recorded(world: World) -> None:
    assert world.run("-k", "1,9", method="rag") == 0
    one, all_of_it = world.folders()["data-rag-recency-k1-seed0"], world.folders()["data-rag-recency-k9-seed0"]
    row = next(row for row in one.rows(runs.SAMPLES) if row["sample_id"] == "Films/u1/r4")
    assert row["retrieved"] == ["Films/u1/r3"]
    row = next(row for row in all_of_it.rows(runs.SAMPLES) if row["sample_id"] == "Films/u1/r4")
    assert row["retrieved"] == [f"Films/u1/r{n}" for n in (3, 2, 1, 0)]
    assert row["history"] == 4


def test_scores_are_means_over_all_samples_of_a_category(world: World) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    assert world.run() == 0
    corpus, scorer = load(str(world.data)), RougeScorer(["rouge1"])
    summary = world.folder().read(runs.SUMMARY)
    for category in fakes.CATEGORIES:
        scores = [
            scorer.score(corpus.reference(row["sample_id"]), row["text"])["rouge1"].fmeasure
            for row in world.rows()
            if row["category"] == category
        ]
        assert summary["scores"][category]["rouge1"] == pytest.approx(sum(scores) / 3)


def test_every_request_has_the_seed_of_its_run_stage_and_sample(world: World, plan: Plan) -> None:
    assert world.run("--seed", "3,4") == 0
    ids = [sample.sample_id for sample in load(str(world.data)).samples("test")]
    assert {request.seed for request in plan.requests} == {
        derive(seed, "review", sample_id) for seed in (3, 4) for sample_id in ids
    }
    assert all(request.sampling.max_new_tokens == 12 for request in plan.requests)


def test_cells_share_what_they_have_in_common(world: World, plan: Plan) -> None:
    assert world.run("-k", "0", "--retriever", "recency,random", method="nonperso,rag") == 0
    assert len(plan.requests) == TARGETS  # with K = 0 every cell asks what Non-Perso asks
    texts = {
        tuple((row["sample_id"], row["text"]) for row in folder.rows(runs.SAMPLES))
        for folder in world.folders().values()
    }
    assert len(world.folders()) == 3
    assert len(texts) == 1


def test_limits_and_splits(world: World) -> None:
    assert world.run("--limit", 2, "--split", "val") == 0
    assert {row["sample_id"].split("/")[2] for row in world.rows()} == {"r3"}
    assert [row["category"] for row in world.rows()] == ["Books", "Films"]
    assert world.folder().read(runs.SUMMARY)["n"] == {"Books": 1, "Films": 1}


def untrained() -> list[str]:
    """The others are in tests/train/test_runs.py."""
    created = {name: registry.create("method", name) for name in registry.BUILTIN["method"] if name != "oracle"}
    return [name for name, method in created.items() if not isinstance(method, SoftPromptMethod)]


@pytest.mark.parametrize("retriever", ["recency", "random", "bm25", "contriever"])
def test_the_text_to_be_written_is_in_no_prompt_and_no_vector(
    retriever: str, world: World, plan: Plan, request: pytest.FixtureRequest
) -> None:
    methods = [name for name in untrained() if not registry.load("method", name).uses_embeddings]  # type: ignore[attr-defined]
    if retriever == "contriever":
        request.getfixturevalue("require_assets")("all-minilm-l6-v2")
        world.profile.write_text(fakes.PROFILE.replace('model = "none"', 'model = "all-minilm-l6-v2"'))
        methods = untrained()
    words = ("--retriever", retriever, "-k", 4, "--set", "input_budget=500")
    assert world.run(*words, method=",".join(methods)) == 0
    with sqlite3.connect(world.out / ".store" / "requests.sqlite") as db:
        kept = db.execute("SELECT prompt, completion FROM completions").fetchall()
    assert len(kept) == len(plan.requests) >= 2 * TARGETS
    prompts = [zlib.decompress(prompt).decode() for prompt, _ in kept]
    assert sum("wrote this as number 3" in prompt for prompt in prompts) >= TARGETS  # histories do get in
    assert not [text for text in (*prompts, *(answer for _, answer in kept)) if CANARY in text]
    vectors = world.out / ".store" / "vectors.sqlite"
    if retriever == "contriever":
        corpus = load(str(world.data))
        secrets = {sha256(corpus.reference(s.sample_id).encode()).digest() for s in corpus.samples("test")}
        with sqlite3.connect(vectors) as db:
            embedded = {bytes(text) for (text,) in db.execute("SELECT text FROM vectors")}
        assert embedded
        assert not embedded & secrets
    for folder in world.folders().values():
        assert CANARY not in (folder.path / runs.SAMPLES).read_text()


# ---------------------------------------------------------------- the same command again


def test_a_finished_run_is_left_alone(world: World, plan: Plan, capfd: pytest.CaptureFixture[str]) -> None:
    assert world.run() == 0
    first = capfd.readouterr().out
    files = {path: path.read_bytes() for path in world.folder().path.iterdir()}
    FakeGenerator.plan = Plan()
    assert world.run() == 0
    assert (FakeGenerator.plan.started, FakeGenerator.plan.requests) == (0, [])
    assert {path: path.read_bytes() for path in world.folder().path.iterdir()} == files
    assert capfd.readouterr().out == first


def test_another_seed_runs_only_the_new_cell(world: World, plan: Plan) -> None:
    assert world.run() == 0
    old = (world.folder().path / runs.SUMMARY).read_bytes()
    assert world.run("--seed", "0,1") == 0
    assert len(plan.requests) == 2 * TARGETS
    folders = world.folders()
    assert (folders["data-nonperso-seed0"].path / runs.SUMMARY).read_bytes() == old
    texts = [[row["text"] for row in folder.rows(runs.SAMPLES)] for folder in folders.values()]
    assert texts[0] != texts[1]


def test_what_changes_no_text_opens_no_run(world: World, plan: Plan) -> None:
    assert world.run() == 0
    world.profile.write_text(fakes.PROFILE.replace("Nothing real", "Another title"))
    assert world.run("--set", 'metrics=["rouge"]', "--set", "k=7") == 0
    assert len(plan.requests) == TARGETS
    assert len(world.folders()) == 1


@pytest.mark.parametrize("words", [("--set", "temperature=0"), ("--deterministic",), ("--set", "input_budget=199")])
def test_what_may_change_a_text_opens_a_run_of_its_own(world: World, words: tuple[str, ...]) -> None:
    assert world.run() == 0
    assert world.run(*words) == 0
    assert len(list(runs.find(world.out))) == 2


def test_changed_data_opens_a_run_of_its_own(world: World) -> None:
    assert world.run() == 0
    samples = world.data / "items.jsonl"
    samples.write_text(samples.read_text().replace("what Books 4 is", "what else"))
    manifest = json.loads((world.data / "dataset.json").read_text())
    del manifest["fingerprint"]
    (world.data / "dataset.json").write_text(json.dumps(manifest))
    assert world.run() == 0
    assert len(list(runs.find(world.out))) == 2


def test_a_dead_engine_costs_nothing_that_was_finished(
    world: World, plan: Plan, unbroken: Callable[..., list[dict[str, Any]]], capfd: pytest.CaptureFixture[str]
) -> None:
    plan.die_after = 4
    assert world.run("--set", "k=3") == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == "bench: the fake engine died"
    assert "Traceback" not in err
    assert plan.closed == 1
    assert not world.folder().done

    FakeGenerator.plan = again = Plan()
    assert world.run("--set", "k=3") == 0
    assert len(again.requests) == TARGETS - 4
    assert world.rows() == unbroken("--set", "k=3")


def test_a_killed_process_costs_nothing_that_was_finished(
    world: World, plan: Plan, unbroken: Callable[..., list[dict[str, Any]]]
) -> None:
    process = in_a_process(world.words(method="rag"), FAKE_KILL_AFTER="4")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert not world.folder().done

    assert world.run(method="rag") == 0
    assert len(plan.requests) == TARGETS - 4
    assert world.rows() == unbroken(method="rag")


def test_a_continued_run_tells_of_every_start(world: World, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    plan.die_after = 4
    assert world.run() == 1
    monkeypatch.setattr(provenance, "commit", lambda: {"commit": "another", "dirty": True})
    FakeGenerator.plan = Plan()
    assert world.run() == 0
    origin = world.folder().read(runs.PROVENANCE)
    assert origin["git"] != {"commit": "another", "dirty": True}
    (later,) = origin["continued"]
    assert later.keys() == {"started", "git"}  # what is as it was is not said again
    assert later["git"] == {"commit": "another", "dirty": True}
    assert "ended" not in origin


def test_an_engine_that_became_smaller_on_the_way_is_told_of(
    world: World, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def details(self: FakeGenerator) -> dict[str, Any]:
        return {"engine_arguments": {"max_num_seqs": 256 // max(1, plan.finished)}}

    monkeypatch.setattr(FakeGenerator, "details", details, raising=False)
    assert world.run() == 0
    origin = world.folder().read(runs.PROVENANCE)
    assert origin["generator"]["engine_arguments"] == {"max_num_seqs": 256}
    assert origin["ended"]["generator"]["engine_arguments"] == {"max_num_seqs": 256 // TARGETS}


def test_a_torn_last_line_is_written_again_from_the_store(
    world: World, plan: Plan, unbroken: Callable[..., list[dict[str, Any]]]
) -> None:
    assert world.run() == 0
    folder = world.folder()
    (folder.path / runs.SUMMARY).unlink()
    file = folder.path / runs.SAMPLES
    file.write_bytes(file.read_bytes()[:-30])
    assert world.run() == 0
    assert len(plan.requests) == TARGETS
    stages = [row["stages"]["review"]["from_store"] for row in folder.rows(runs.SAMPLES)]
    assert stages == [0] * (TARGETS - 1) + [1]
    assert world.rows() == unbroken()


def test_rows_come_in_the_order_of_the_corpus_however_they_were_written(world: World) -> None:
    assert world.run() == 0
    before = world.rows()
    folder = world.folder()
    (folder.path / runs.SUMMARY).unlink()
    folder.write_rows(runs.SAMPLES, reversed(list(folder.rows(runs.SAMPLES))))
    assert world.run() == 0
    assert world.rows() == before


def test_ctrl_c_stops_with_one_line_and_the_same_command_goes_on(world: World) -> None:
    process = in_a_process(world.words(), FAKE_SECONDS="60")
    assert process.stderr is not None
    line = ""
    while not line.startswith("engine ready"):
        line = process.stderr.readline()
        assert line, "the process has ended"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines() == ["stopping ...", "bench: stopped; the same command goes on where it was"]
    assert world.run() == 0


# ---------------------------------------------------------------- failures


def test_an_engine_that_cannot_start_is_one_line_and_no_hang(
    world: World, plan: Plan, capfd: pytest.CaptureFixture[str]
) -> None:
    plan.cannot_start = True
    assert world.run() == 1
    err = capfd.readouterr().err
    assert err.splitlines()[-1] == "bench: the fake engine cannot start"
    assert "Traceback" not in err
    assert (plan.started, plan.requests, plan.closed) == (1, [], 1)


def test_failed_samples_are_counted_score_zero_and_can_be_tried_again(
    world: World, plan: Plan, capfd: pytest.CaptureFixture[str]
) -> None:
    plan.refuse = "2-4"  # the review title of user 2 in both categories
    assert world.run() == 1
    out, err = capfd.readouterr()
    assert err.splitlines()[-1].startswith("2 samples failed; 2 of them: the fake engine refuses ")
    failed = [row for row in world.rows() if row["error"]]
    assert [row["sample_id"] for row in failed] == ["Books/u2/r4", "Films/u2/r4"]
    assert [(row["error"], row["text"], row["traceback"]) for row in failed] == [
        ("the fake engine refuses '2-4'", "", None)
    ] * 2

    summary = world.folder().read(runs.SUMMARY)
    assert (summary["n"], summary["failed"]) == ({"Books": 3, "Films": 3}, 2)
    scores = {row["sample_id"]: row["rouge"]["rouge1"] for row in world.folder().rows(runs.SCORES)}
    assert len(scores) == TARGETS
    assert scores["Books/u2/r4"] == scores["Films/u2/r4"] == 0
    books = [value for key, value in scores.items() if key.startswith("Books")]
    assert summary["scores"]["Books"]["rouge1"] == pytest.approx(sum(books) / 3)

    FakeGenerator.plan = Plan(refuse="2-4")
    assert world.run() == 1  # finished, with failures: said again, not tried again
    assert FakeGenerator.plan.requests == []
    assert capfd.readouterr().out == out

    FakeGenerator.plan = again = Plan()
    assert world.run("--retry") == 0
    assert len(again.requests) == 2
    assert world.folder().read(runs.SUMMARY)["failed"] == 0
    assert all(row["text"] for row in world.rows())
    summary_file = world.folder().path / runs.SUMMARY
    before = summary_file.read_bytes()
    assert world.run("--retry") == 0
    assert (len(again.requests), summary_file.read_bytes()) == (2, before)


def test_a_bug_in_a_method_is_a_failed_row_with_its_traceback(
    world: World, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.BUILTIN["method"], "buggy", "tests.methods.buggy:Buggy")
    assert world.run(method="buggy") == 1
    rows = {row["sample_id"]: row for row in world.rows()}
    row = rows["Books/u1/r4"]
    assert (row["error"], row["text"]) == ("ValueError: no idea what to say of title 1-4", "")
    assert "Traceback (most recent call last)" in row["traceback"]
    assert "buggy.py" in row["traceback"]
    summary = world.folder().read(runs.SUMMARY)
    assert (summary["failed"], summary["empty"]) == (2, 2)
    scores = {row["sample_id"]: row["rouge"]["rouge1"] for row in world.folder().rows(runs.SCORES)}
    assert scores["Books/u1/r4"] == scores["Books/u2/r4"] == 0
    assert (plan.started, len(plan.requests)) == (0, 0)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("gives=none", "TypeError: the method gave NoneType, not a text"),
        ("gives=bytes", "TypeError: the method gave bytes, not a text"),
        ("notes=nan", "TypeError: a note of the method is no JSON value"),
        ("notes=object", "TypeError: a note of the method is no JSON value"),
    ],
)
def test_what_no_row_can_hold_fails_its_sample_and_not_the_run(
    world: World, monkeypatch: pytest.MonkeyPatch, option: str, says: str
) -> None:
    monkeypatch.setitem(registry.BUILTIN["method"], "buggy", "tests.methods.buggy:Buggy")
    assert world.run("--set", f"buggy.{option}", method="buggy") == 1
    rows = {row["sample_id"]: row for row in world.rows()}
    assert len(rows) == 6
    assert rows["Books/u0/r4"]["error"].startswith(says)
    assert rows["Books/u0/r4"]["text"] == ""
    assert world.folder().read(runs.SUMMARY)["failed"] == 4


def test_prompts_that_cannot_fit_fail_alone(world: World, plan: Plan) -> None:
    assert world.run("--set", "input_budget=20") == 1
    assert {row["error"] for row in world.rows()} == {
        "the parts of the prompt that are never cut exceed the input budget"
    }
    assert plan.requests == []


def test_what_the_budget_cut_is_recorded_and_summed(world: World) -> None:
    assert world.run("-k", 4, "--set", "input_budget=100", method="rag") == 0
    rows = list(world.folder().rows(runs.SAMPLES))
    assert all(row["stages"]["review"]["prompt_tokens"] <= 100 for row in rows)
    assert all(row["dropped"]["reviews"] > 0 and len(row["retrieved"]) == 4 for row in rows)
    summary = world.folder().read(runs.SUMMARY)
    assert summary["shortened"] == TARGETS
    assert summary["dropped"]["reviews"] == sum(row["dropped"]["reviews"] for row in rows)


def test_one_process_a_run(world: World, plan: Plan, capfd: pytest.CaptureFixture[str]) -> None:
    assert world.run() == 0
    (world.folder().path / runs.SUMMARY).unlink()
    capfd.readouterr()
    with world.folder().locked():
        assert world.run() == 2
    err = capfd.readouterr().err
    assert err.startswith("bench: another bench is working on ")
    assert len(err.splitlines()) == 1
    assert len(plan.requests) == TARGETS


def test_two_processes_share_the_store_of_an_output_folder(world: World) -> None:
    processes = [in_a_process(world.words("--seed", seed, "--set", 'metrics=["bleu"]')) for seed in ("0", "1")]
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    with sqlite3.connect(world.out / ".store" / "requests.sqlite") as db:
        assert db.execute("SELECT COUNT(*) FROM completions").fetchone() == (2 * TARGETS,)


def test_a_full_disk_is_one_line(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(self: RunFolder, name: str, row: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path / name))

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "append", full)
        assert world.run() == 2
    err = capfd.readouterr().err
    assert "No space left on device" in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("bench: ")
    assert "Traceback" not in err
    assert world.run() == 0


def test_a_dry_run_says_what_is_left_and_runs_nothing(
    world: World, plan: Plan, capfd: pytest.CaptureFixture[str]
) -> None:
    def states() -> list[str]:
        assert world.run("--dry-run", "--seed", "0,1") == 0
        lines = capfd.readouterr().out.splitlines()
        return [line.split()[1] for line in lines if line.startswith("data-nonperso-seed")]

    assert states() == ["new", "new"]
    assert list(runs.find(world.out)) == []
    assert world.run() == 0
    capfd.readouterr()
    assert states() == ["finished", "new"]
    (world.folder().path / runs.SUMMARY).unlink()
    assert states() == ["started", "new"]
    assert len(plan.requests) == TARGETS


def test_values_that_no_profile_gives_are_said_before_the_engine_starts_and_are_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fitting = {"dtype": "float32", "engine.enforce_eager": True, "max_new_tokens": 256}
    monkeypatch.setattr(FakeGenerator, "fitting", staticmethod(lambda: fitting), raising=False)
    assert world.run() == 0
    said = capfd.readouterr().err
    line = (
        'for a CPU, as profile fake says nothing of it: dtype="float32", engine.enforce_eager=true; --set changes it\n'
    )
    assert said.count(line) == 1
    assert said.index(line) < said.index("starting the engine")
    kept = world.folder().read(runs.CONFIG)["config"]["profile"]
    assert kept["fitted"] == ["dtype", "engine.enforce_eager"]
    assert (kept["dtype"], kept["engine"], kept["max_new_tokens"]) == ("float32", {"enforce_eager": True}, 12)
    assert world.run() == 0
    assert "says nothing" not in capfd.readouterr().err


def test_what_the_engine_foresees_is_said_before_it_starts_and_only_then(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FakeGenerator, "warning", lambda self: "the card is small", raising=False)
    assert world.run() == 0
    said = capfd.readouterr().err
    assert said.index("the card is small") < said.index("starting the engine")
    assert world.run() == 0  # nothing is left to do
    assert "the card is small" not in capfd.readouterr().err
