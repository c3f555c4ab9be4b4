"""`bench verify` and `bench show --provenance`: a run proves its row, and every change of a run is found."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import registry
from bench.context import prefetch
from bench.data.folder import jsonl
from bench.record import runs
from bench.record.runs import RunFolder
from bench.run import cells
from bench.score import keep, score_arrays
from results.checks import verify as verification
from tests.embed.fakes import FakeEmbedder
from tests.fakes import CATEGORIES, FAKE, PROFILE, FakeGenerator, Plan, World, bench, profile_file, tables


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
    with verification.Verifier() as verifier:
        return {check.name: check.holds for check in verifier.verify(folder)}


ALL = ("files", "data", "samples", "identity", "texts", "scores", "summary")


def test_a_run_proves_its_row_and_nothing_is_generated(folder: RunFolder) -> None:
    before = len(FakeGenerator.plan.requests)
    assert checks(folder) == dict.fromkeys(ALL, True)
    assert (len(FakeGenerator.plan.requests), FakeGenerator.plan.started) == (before, 1)


def test_a_failed_sample_leaves_only_the_texts_unproved(world: World) -> None:
    FakeGenerator.plan.refuse = "u1"
    world.run(method="pag")
    assert world.folder().read(runs.SUMMARY)["failed"] > 0
    assert checks(world.folder()) == {**dict.fromkeys(ALL, True), "texts": None}


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


def summary(**values: Any) -> Callable[[RunFolder], None]:
    return edit(runs.SUMMARY, lambda s: s.update(values))


def within(key: str, **values: Any) -> Callable[[RunFolder], None]:
    return edit(runs.SUMMARY, lambda s: s[key].update(values))


def move_a_sample(s: dict[str, Any]) -> None:
    s["n"]["Books"] += 1
    s["n"]["Films"] -= 1


SUMMARY = {"files", "summary"}
# Changes of a run, and which checks must find each.
DOCTORED: dict[str, tuple[Callable[[RunFolder], None], set[str]]] = {
    "a text": (
        rewrite(runs.SAMPLES, lambda rows: rows[0].update(text="better")),
        {"files", "texts", "scores", "summary"},
    ),
    "a sample left out": (rewrite(runs.SAMPLES, lambda rows: rows.pop()), {"files", "samples", "scores", "summary"}),
    "a score": (rewrite(runs.SCORES, lambda rows: rows[0]["rouge"].update(rouge1=0.99)), {"files", "scores"}),
    "a property": (rewrite(runs.SCORES, lambda rows: rows[0]["properties"].update(history=9)), {"files", "scores"}),
    "a row of scores left out": (rewrite(runs.SCORES, lambda rows: rows.pop()), {"files", "scores"}),
    "a value of the table": (edit(runs.SUMMARY, lambda s: s["scores"]["Books"].update(rouge1=0.99)), SUMMARY),
    "the count of failures": (summary(failed=1), SUMMARY),
    "the label": (summary(label="DEP (ours)"), SUMMARY),
    "the method": (summary(method="dep"), SUMMARY),
    "the cell": (summary(retriever="recency", k=99, seed=7, variant="x=1"), SUMMARY),
    "the model": (summary(model="none-72b", engine="vllm 9", dtype="bfloat16", deterministic=True), SUMMARY),
    "the sampling": (within("sampling", temperature=0.0), SUMMARY),
    "the budget": (summary(input_budget=99_999), SUMMARY),
    "the generator": (summary(generator="x"), SUMMARY),
    "the encoders": (summary(encoders={"encoder": "x"}), SUMMARY),
    "the data": (within("data", synthetic=False, title="real"), SUMMARY),
    "the profile": (within("profile", name="paper-7b"), SUMMARY),
    "a column": (edit(runs.SUMMARY, lambda s: s["columns"][0].update(label="BEST")), SUMMARY),
    "a column more": (edit(runs.SUMMARY, lambda s: s["columns"].append({**s["columns"][0], "key": "best"})), SUMMARY),
    "counts": (summary(users=999, shortened=0, empty=1, dropped={}), SUMMARY),
    "samples of another category": (edit(runs.SUMMARY, move_a_sample), SUMMARY),
    "the costs": (edit(runs.SUMMARY, lambda s: s["stages"]["review"].update(engine_seconds=0.5)), SUMMARY),
    "the commit": (summary(commit="abcdef"), SUMMARY),
    "the training": (summary(trained={"epoch": 1}), SUMMARY),
    "another fact": (summary(more="x"), SUMMARY),
    "the time": (summary(finished="2099"), {"files"}),
    "the engine's use": (summary(engine_use=None), {"files"}),
    "the configuration": (
        edit(runs.CONFIG, lambda c: c["config"].update(seed=7)),
        {"files", "identity", "texts", "summary"},
    ),
    "the method's source": (
        edit(runs.CONFIG, lambda c: c["sources"].update(method="0" * 64)),
        {"files", "identity", "summary"},
    ),
    "the provenance": (edit(runs.PROVENANCE, lambda p: p["git"].update(dirty=False, commit="0")), SUMMARY),
    "an answer": (change_an_answer, {"texts"}),
    "an answer lost": (forget_an_answer, {"texts"}),
}


@pytest.mark.parametrize("what", DOCTORED)
def test_changes_are_found(folder: RunFolder, what: str) -> None:
    doctor, found = DOCTORED[what]
    doctor(folder)
    assert {name for name, holds in checks(folder).items() if holds is False} == found


def each(**values: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: [row.update(values) for row in rows]  # type: ignore[func-returns-value,return-value]


def fail(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        row.update(error="gone", text="", requests=[], stages={}, retrieved=[])


def no_costs(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        for cost in row["stages"].values():
            cost.update(dict.fromkeys(cost, 0))


def swap_categories(rows: list[dict[str, Any]]) -> None:
    names = [row["category"] for row in rows]
    for row, name in zip(rows, reversed(names), strict=True):
        row["category"] = name


def without_bleu(folder: RunFolder) -> None:
    rewrite(runs.SCORES, lambda rows: [row.pop("bleu") for row in rows])(folder)

    def drop(summary: dict[str, Any]) -> None:
        summary["columns"] = [column for column in summary["columns"] if column["key"] != "bleu"]
        summary["metric_versions"].pop("bleu")
        for values in summary["scores"].values():
            values.pop("bleu")

    edit(runs.SUMMARY, drop)(folder)


# Changes of rows before the run is scored again, which renews its digests and hides the change.
RESEALED: dict[str, tuple[Callable[[RunFolder], None], set[str]]] = {
    "all failed": (rewrite(runs.SAMPLES, fail), {"texts"}),
    "categories": (rewrite(runs.SAMPLES, swap_categories), {"samples", "texts"}),
    "users": (rewrite(runs.SAMPLES, each(user_id="one")), {"samples", "texts"}),
    "items": (rewrite(runs.SAMPLES, each(title="x", rating=1.0, item_id="x")), {"samples", "texts"}),
    "histories": (rewrite(runs.SAMPLES, each(history=99)), {"samples", "texts"}),
    "what was retrieved": (rewrite(runs.SAMPLES, each(retrieved=["x"])), {"texts"}),
    "what was dropped": (rewrite(runs.SAMPLES, lambda rows: rows[0]["dropped"].update(reviews=9)), {"texts"}),
    "notes": (rewrite(runs.SAMPLES, each(notes={"a": 1})), {"texts"}),
    "requests": (rewrite(runs.SAMPLES, each(requests=[["review", "x"]])), {"texts"}),
    "costs": (rewrite(runs.SAMPLES, no_costs), {"texts"}),
    "a stage more": (rewrite(runs.SAMPLES, lambda rows: rows[0].update(more=1)), {"texts"}),
}


@pytest.mark.parametrize("what", RESEALED)
def test_changes_are_found_although_the_run_was_scored_again(folder: RunFolder, what: str, world: World) -> None:
    doctor, found = RESEALED[what]
    doctor(folder)
    assert bench("score", folder.path) == 0
    assert {name for name, holds in checks(folder).items() if holds is False} == found


def seal(folder: RunFolder) -> None:
    """Renews the digests, so that they hide a change."""
    values = folder.read(runs.SUMMARY)
    values["files"] = keep.digests(folder)
    values["digest"] = keep.digest(values)
    folder.write(runs.SUMMARY, values)
    score_arrays.build(folder, list(folder.rows(runs.SCORES)))


@pytest.mark.parametrize(
    ("doctor", "found"),
    [
        (rewrite(runs.SCORES, each(user_id="one")), {"scores"}),
        (rewrite(runs.SCORES, swap_categories), {"scores"}),
        (without_bleu, {"scores", "summary"}),
        (edit(runs.PROVENANCE, lambda p: p.update(generator={"backend": "vllm"})), {"identity"}),
    ],
)
def test_changes_are_found_although_digests_were_renewed(
    folder: RunFolder, doctor: Callable[[RunFolder], None], found: set[str]
) -> None:
    doctor(folder)
    seal(folder)
    assert {name for name, holds in checks(folder).items() if holds is False} == found


def test_times_and_machines_cannot_be_checked_once_digests_were_renewed(folder: RunFolder) -> None:
    """They cannot be computed, as the documentation says."""
    edit(runs.PROVENANCE, lambda p: p["hardware"].update(cpu="H100"))(folder)
    summary(finished="2099-01-01", engine_use=None)(folder)
    rewrite(runs.SAMPLES, each(began=5.0, seconds=0.0))(folder)
    summary(wall_seconds=0.0)(folder)  # computed from the rows
    seal(folder)
    assert checks(folder) == dict.fromkeys(ALL, True)


def test_a_failure_that_the_method_repeats_is_proved(world: World) -> None:
    profile_file(world.path, PROFILE.replace("input_budget = 200", "input_budget = 3"))
    assert world.run() == 1
    assert world.folder().read(runs.SUMMARY)["failed"] == 6
    assert checks(world.folder()) == dict.fromkeys(ALL, True)
    rewrite(runs.SAMPLES, lambda rows: rows[0].update(error="another reason"))(world.folder())
    seal(world.folder())
    assert checks(world.folder())["texts"] is False


def test_a_run_may_be_renamed(folder: RunFolder) -> None:
    moved = folder.path.rename(folder.path.with_name("mine"))
    assert checks(RunFolder(moved)) == dict.fromkeys(ALL, True)


def test_a_summary_that_lacks_newer_facts_is_unknown(folder: RunFolder) -> None:
    edit(runs.SUMMARY, lambda s: [s.pop(key) for key in ("empty", "digest")])(folder)
    assert checks(folder) == {**dict.fromkeys(ALL, True), "files": None, "summary": None}
    assert bench("score", folder.path) == 0
    assert checks(folder) == dict.fromkeys(ALL, True)


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
def test_a_file_with_wrong_content_is_disproved_in_one_line(
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
    jsonl.write(
        world.data, {"name": "toy", "title": "a toy", "synthetic": True, "categories": list(CATEGORIES)}, changed
    )
    assert checks(folder) == {"files": True, "data": False}  # without the data nothing else can be checked
    (world.data / "items.jsonl").unlink()
    assert checks(folder) == {"files": True, "data": None}


def change_arrays(folder: RunFolder, *, sealed: bool) -> None:
    with np.load(folder.path / score_arrays.FILE) as file:
        arrays = dict(file)
    arrays["values"] = np.ones_like(arrays["values"])
    if sealed:
        header = json.loads(arrays["header"].tobytes())
        content = score_arrays._content(header, arrays["codes"], arrays["values"])
        header["arrays"] = score_arrays._checksum(content)
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(folder.path / score_arrays.FILE, **arrays)


@pytest.mark.parametrize("sealed", [False, True])
def test_changed_arrays_are_found_and_not_used(folder: RunFolder, sealed: bool) -> None:
    before = score_arrays.load(folder)
    change_arrays(folder, sealed=sealed)
    doctored = (folder.path / score_arrays.FILE).read_bytes()
    assert checks(folder) == {**dict.fromkeys(ALL, True), "scores": False}
    assert (folder.path / score_arrays.FILE).read_bytes() == doctored  # the evidence stays
    after = score_arrays.load(folder)
    assert before is not None and after is not None
    assert (before.numbers == after.numbers).all() != sealed


def test_torn_arrays_are_found_and_made_again(folder: RunFolder) -> None:
    file = folder.path / score_arrays.FILE
    before = score_arrays.load(folder)
    file.write_bytes(file.read_bytes()[:-10])
    assert checks(folder)["scores"] is False
    after = score_arrays.load(folder)
    assert before is not None and after is not None
    assert (before.numbers == after.numbers).all()
    assert checks(folder)["scores"] is True


def test_an_unchecked_run_is_not_proved(folder: RunFolder, capfd: pytest.CaptureFixture[str]) -> None:
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


# ---------------------------------------------------------------- vectors


@pytest.fixture
def compared(world: World, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run whose retriever and method both ask for vectors."""
    for module in (prefetch, cells):
        monkeypatch.setattr(module, "create_encoder", lambda config: FakeEmbedder())
    assert world.run("--retriever", "contriever", "-k", "1", method="dpl") == 0
    return world.folder()


def change_vectors(folder: RunFolder, change: Callable[[Any], Any]) -> None:
    with sqlite3.connect(folder.path.parent / ".store" / "vectors.sqlite") as db:
        for number, vector in db.execute("SELECT rowid, vector FROM vectors").fetchall():
            changed = change(np.frombuffer(vector, "<f4"))
            db.execute("UPDATE vectors SET vector = ? WHERE rowid = ?", (changed.astype("<f4").tobytes(), number))


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        (lambda vector: vector, True),
        (lambda vector: vector * (1 + 1e-6), True),  # as another processor rounds
        (lambda vector: -vector, False),
        (lambda vector: vector * 1.01, False),
        (lambda vector: vector * np.nan, True),  # which counts as missing
        (lambda vector: vector[:3], True),
    ],
)
def test_changed_vectors_are_found(compared: RunFolder, change: Callable[[Any], Any], holds: bool) -> None:
    assert checks(compared) == dict.fromkeys((*ALL, "vectors"), True)
    change_vectors(compared, change)
    assert checks(compared) == {**dict.fromkeys(ALL, True), "vectors": holds}


def test_a_run_made_with_changed_vectors_is_found(compared: RunFolder, world: World) -> None:
    change_vectors(compared, lambda vector: 1 / vector)
    for name in (runs.SUMMARY, runs.SAMPLES):
        (compared.path / name).unlink()
    assert world.run("--retriever", "contriever", "-k", "1", method="dpl") == 0
    found = checks(compared)
    assert (found["vectors"], found["texts"]) == (False, False)


def test_vectors_are_computed_once_for_all_runs_and_kept_nowhere(compared: RunFolder, world: World) -> None:
    assert world.run("--retriever", "contriever", "-k", "2", method="dpl") == 0
    store = world.out / ".store" / "vectors.sqlite"
    store.unlink()
    with verification.Verifier() as verifier:
        for folder in runs.find(world.out):
            assert all(check.holds for check in verifier.verify(folder))
    assert not store.exists()


def test_an_unfinished_run_is_a_line_among_the_others(
    folder: RunFolder, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder.path / runs.SUMMARY).unlink()
    assert world.run() == 0
    capfd.readouterr()
    assert bench("verify", world.out) == verification.UNKNOWN
    out = capfd.readouterr().out
    assert "unknown finished  it is not; run its command again" in out
    assert out.count("  ok ") == len(ALL) and out.endswith("not proved: not all could be checked\n")


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
