"""Who may know what a planted world planted: the ceiling, and no method and no retriever."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.data.corpus import load
from bench.data.synthetic import world
from bench.errors import UserError
from bench.record import runs
from tests.context.test_context import resources
from tests.fakes import bench

CANARY = "canary in the coal mine"


@pytest.fixture
def canaries(tmp_path: Path) -> Path:
    """A world whose key has a phrase that is in no text."""
    folder = tmp_path / "w"
    world.write(folder, world.Knobs(users=8, items=30, categories=1), name="w")
    key = json.loads((folder / world.KEY).read_text())
    for kind in ("has", "shown"):
        key[kind] = {name: {**habits, "opening": CANARY} for name, habits in key[kind].items()}
    (folder / world.KEY).write_text(json.dumps(key))
    return folder


def prompts(out: Path) -> list[str]:
    with sqlite3.connect(out / ".store" / "requests.sqlite") as db:
        return [zlib.decompress(prompt).decode() for (prompt,) in db.execute("SELECT prompt FROM completions")]


@pytest.mark.models
def test_what_is_planted_is_in_no_prompt_but_the_ceiling_s(
    canaries: Path, tmp_path: Path, require_assets: Callable[..., None]
) -> None:
    require_assets("all-minilm-l6-v2", "smollm2-135m-instruct")
    words = ["--data", canaries, "--generator", "echo", "--metric", "habits"]
    methods = "nonperso,rag,pag,dpl"
    assert bench("run", "--method", methods, "--retriever", "all", *words, "--out", tmp_path / "a") == 0
    assert len(prompts(tmp_path / "a")) > 50
    assert not any(CANARY in prompt for prompt in prompts(tmp_path / "a"))
    assert bench("run", "--method", "oracle", *words, "--out", tmp_path / "b") == 0
    assert all(CANARY in prompt for prompt in prompts(tmp_path / "b"))


def test_a_method_that_asks_without_being_a_ceiling_is_refused(canaries: Path) -> None:
    from dataclasses import replace

    from bench.context.context import SampleContext

    corpus = load(str(canaries))
    sample = corpus.samples("test")[0]
    cell = replace(resources(corpus), corpus=corpus)
    with pytest.raises(UserError, match=r"only a ceiling"):
        SampleContext(sample, cell).truth(sample)
    seen = SampleContext(sample, replace(cell, sees_truth=True)).truth(sample)
    assert seen.habits["opening"] == CANARY


def test_another_key_is_another_ceiling_and_the_same_method(canaries: Path, tmp_path: Path) -> None:
    def names() -> set[str]:
        words = ["--data", canaries, "--generator", "echo", "--metric", "bleu", "--out", tmp_path / "runs"]
        assert bench("run", "--method", "nonperso,oracle", *words) == 0
        return {folder.path.name for folder in runs.find(tmp_path / "runs")}

    before = names()
    assert names() == before
    file = canaries / world.KEY
    file.write_text(file.read_text().replace(CANARY, "another bird"))
    world.truths.cache_clear()
    (added,) = names() - before
    assert "-oracle-" in added


def test_samples_and_reviews_hold_nothing_of_the_key(canaries: Path) -> None:
    corpus = load(str(canaries))
    assert CANARY not in repr(corpus.samples("test"))
    assert CANARY not in repr(corpus.reviews())
