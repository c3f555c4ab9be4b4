"""`bench export samples`: what methods read, never what is to be written; and the prompts that a method would send."""

from __future__ import annotations

import gzip
import json

import pytest

from bench.data.corpus import load
from bench.generate.store import RequestStore
from bench.record import runs
from tests.exchange.elsewhere import export
from tests.fakes import CANARY, World, bench


def test_a_line_has_what_a_method_reads_of_its_sample(world: World) -> None:
    corpus = load(str(world.data))
    samples = corpus.samples("test")
    rows = export(world)
    assert [row["sample_id"] for row in rows] == [sample.sample_id for sample in samples]
    for row, sample in zip(rows, samples, strict=True):
        assert (row["category"], row["user_id"], row["split"]) == (sample.category, sample.user_id, "test")
        assert row["item"] == {
            "item_id": sample.item.item_id,
            "title": sample.item.title,
            "description": sample.item.description,
        }
        assert (row["rating"], row["title"], row["timestamp"]) == (sample.rating, sample.title, sample.timestamp)
        assert [(one["review_id"], one["text"]) for one in row["history"]] == [
            (review.review_id, review.text) for review in sample.history
        ]
        times = [one["timestamp"] for one in row["history"]]
        assert times == sorted(times, reverse=True) and times[0] < row["timestamp"]
        assert row["fingerprint"] == corpus.fingerprint


@pytest.mark.parametrize(
    "words", [[], ["--split", "val"], ["--prompts", "rag"], ["--split", "val", "--prompts", "rag"]]
)
def test_no_text_that_is_to_be_written_is_in_the_file(world: World, words: list[str]) -> None:
    """Every test target has the canary; those of the validation samples are known by their number."""
    of_prompts = ["--profile", world.profile, "--generator", "fake", "--out", world.out] if "--prompts" in words else []
    corpus = load(str(world.data))
    shown = json.dumps(export(world, *words, *of_prompts))
    assert CANARY in corpus.reference("Books/u0/r4") and CANARY not in shown
    if "val" in words:
        assert corpus.reference("Books/u0/r3") == "u0 wrote this as number 3" and "number 3" not in shown
    assert "number 2" in shown


def test_a_reference_in_a_history_is_left_out_and_said(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    """A dataset whose user has two test samples: the later one's history holds the earlier one's target."""
    file = world.data / "samples.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(f"{json.dumps({**row, 'split': 'test'})}\n" for row in rows))
    manifest = world.data / "dataset.json"
    about = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({key: value for key, value in about.items() if key != "fingerprint"}))
    exported = export(world)
    assert len(exported) == 12
    assert "number 3" not in json.dumps(exported)
    assert "note: 6 past reviews are to be written by other samples, and are not in the file" in capfd.readouterr().err


def test_a_limit_is_that_of_runs_and_a_name_in_gz_packs(world: World) -> None:
    to = world.path / "deep" / "samples.jsonl.gz"
    for _ in range(2):
        assert bench("export", "samples", "--data", world.data, "--limit", 3, "--limit-seed", 1, "--to", to) == 0
        content = to.read_bytes()
    rows = [json.loads(line) for line in gzip.decompress(content).splitlines()]
    wanted = load(str(world.data)).samples("test", limit=3, limit_seed=1)
    assert [row["sample_id"] for row in rows] == [sample.sample_id for sample in wanted]
    assert bench("export", "samples", "--data", world.data, "--limit", 3, "--limit-seed", 1, "--to", to) == 0
    assert to.read_bytes() == content


@pytest.mark.parametrize("method", ["rag", "nonperso"])
def test_the_prompts_are_those_that_a_run_sends(world: World, method: str) -> None:
    """A budget that not all reviews fit into."""
    world.profile.write_text(world.profile.read_text().replace("input_budget = 200", "input_budget = 120"))
    words = ["--retriever", "bm25", "-k", 3] if method == "rag" else []
    assert world.run(*words, method=method) == 0
    store = RequestStore(world.out / ".store" / "requests.sqlite")
    rows = {row["sample_id"]: row for row in world.folder().rows(runs.SAMPLES)}
    of_prompts = ["--prompts", method, *words, "--profile", world.profile, "--generator", "fake", "--out", world.out]
    for row in export(world, *of_prompts):
        ((_, key),) = rows[row["sample_id"]]["requests"]
        sent = store.prompt(key)
        assert sent is not None and row["prompt"] == {"system": sent.system, "user": sent.text}
    assert method == "nonperso" or any(row["dropped"]["reviews"] for row in rows.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--prompts", "pag"], "asks 2 times (profile, review)"),
        (["--prompts", "soft"], "method 'soft' sends soft prompt embeddings, which no text holds"),
        (["--prompts", "oracle"], "method 'oracle' needs a planted world"),
        (["--prompts", "rag,nonperso"], "are 2 kinds of prompts; name one of each"),
        (["-k", 3], "-k goes with --prompts METHOD"),
    ],
)
def test_other_methods_are_refused_by_one_line(
    world: World, words: list[object], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    of_prompts = ["--profile", world.profile, "--generator", "fake"] if "--prompts" in words else []
    to = world.path / "samples.jsonl"
    assert bench("export", "samples", "--data", world.data, "--to", to, *words, *of_prompts) == 2
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.startswith("bench: ") and said in line
    assert not to.exists()
