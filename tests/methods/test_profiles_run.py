"""PAG and DPL through the runner, with an engine that costs nothing: what is stored, shared and counted."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench import grid, runner
from bench.data import store
from bench.data.corpus import Corpus, load
from bench.generate.echo import EchoGenerator
from bench.progress import Progress
from bench.runs import SAMPLES
from tests import fakes
from tests.embed.fakes import FakeEmbedder

ODD = {"i0": "Ok", "i1": "lorem ipsum " * 1700, "i2": "这盏台灯很好用，光线柔和。" * 40, "i3": "Plain words."}


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("lookups", "runner"):
        monkeypatch.setattr(f"bench.{module}.create_encoder", lambda config: FakeEmbedder())


def odd_corpus(folder: Path) -> Corpus:
    """The toy corpus: u0's reviews have every length and script, one item is u1's alone, one sample has no history."""
    tables = fakes.tables()
    tables["reviews"] = [row for row in tables["reviews"] if row["item_id"] != "i3" or row["user_id"] == "u1"]
    kept = {row["review_id"] for row in tables["reviews"]}
    for row in tables["reviews"]:
        if row["user_id"] == "u0" and fakes.CANARY not in row["text"]:
            row["text"] = ODD[row["item_id"]]
    tables["samples"] = [sample for sample in tables["samples"] if sample["review_id"] in kept]
    for sample in tables["samples"]:
        sample["history"] = [review_id for review_id in sample["history"] if review_id in kept]
        if sample["user_id"] == "u2":
            sample["history"] = []
    manifest = {"name": "odd", "title": "odd", "synthetic": True, "categories": list(fakes.CATEGORIES)}
    store.write(folder, manifest, tables)
    return load(str(folder))


def run(
    corpus: Corpus, out: Path, methods: list[str], *, ks: list[int], budget: int = 200
) -> tuple[list[list[dict[str, Any]]], int]:
    """The rows of every cell, and how many requests reached the engine."""
    profile = fakes.profile_file(out.parent)
    configs = grid.expand(
        corpus, data="odd", methods=methods, retrievers=["recency"], ks=ks, seeds=[0], profile=str(profile),
        set_values={"input_budget": budget}, generator="echo",
    )  # fmt: skip
    service = runner.open_service(configs[0], out, say=lambda message: None)
    cells = runner.plan(configs, corpus, out, generator=service.identity)
    runner.run(cells, corpus, service, out, progress=Progress())
    assert isinstance(service.generator, EchoGenerator)
    return [list(cell.folder.rows(SAMPLES)) for cell in cells], service.generator.n_requests


def prompts(out: Path) -> list[str]:
    with sqlite3.connect(out / ".store" / "requests.sqlite") as db:
        rows = db.execute("SELECT prompt FROM completions").fetchall()
    return [" ".join(json.loads(zlib.decompress(row[0])).values()) for row in rows]


def test_every_sample_is_written_and_nothing_twice(tmp_path: Path) -> None:
    corpus, out = odd_corpus(tmp_path / "data"), tmp_path / "runs"
    methods = ["nonperso", "rag", "pag", "dpl"]
    cells, first = run(corpus, out, methods, ks=[1, 3])
    assert [len(rows) for rows in cells] == [6] * 7
    assert [row["error"] for rows in cells for row in rows] == [None] * 42
    assert all(row["text"] for rows in cells for row in rows)
    assert first == len(prompts(out)) < sum(len(row["requests"]) for rows in cells for row in rows)

    for folder in out.glob("odd-*"):
        shutil.rmtree(folder)
    again, second = run(corpus, out, methods, ks=[1, 3])
    assert second == 0
    texts = [[{row["sample_id"]: row["text"] for row in rows} for rows in found] for found in (cells, again)]
    assert texts[0] == texts[1]


def test_no_target_reaches_a_prompt(tmp_path: Path) -> None:
    corpus, out = odd_corpus(tmp_path / "data"), tmp_path / "runs"
    run(corpus, out, ["pag", "dpl"], ks=[3])
    found = prompts(out)
    assert not any(fakes.CANARY in prompt for prompt in found)
    titled = [prompt for prompt in found if "title 0-4" in prompt]
    assert titled
    assert all(prompt.endswith("\n[Output Review Title]: title 0-4") for prompt in titled)  # the last stage's


def test_a_smaller_k_needs_no_difference_again(tmp_path: Path) -> None:
    corpus, out = odd_corpus(tmp_path / "data"), tmp_path / "runs"
    run(corpus, out, ["dpl"], ks=[3])
    for k in (1, 2):
        (rows,), _ = run(corpus, out, ["dpl"], ks=[k])
        made: Counter[str] = Counter()
        for row in rows:
            for stage, cost in row["stages"].items():
                made[stage] += cost["requests"] - cost["from_store"]
        assert made["difference"] == 0
        assert made["review"] > 0


def test_rows_without_anything_to_compare_share_pags_requests(tmp_path: Path) -> None:
    """u1's newest past review is of an item that nobody else reviewed; u2 has no history."""
    corpus, out = odd_corpus(tmp_path / "data"), tmp_path / "runs"
    (nonperso, pag, dpl), _ = run(corpus, out, ["nonperso", "pag", "dpl"], ks=[1])
    by_user = [{(row["category"], row["user_id"]): row["requests"] for row in rows} for rows in (nonperso, pag, dpl)]
    for category in fakes.CATEGORIES:
        assert [stage for stage, _ in by_user[2][category, "u0"]] == ["difference", "summary", "review"]
        assert [stage for stage, _ in by_user[2][category, "u1"]] == ["profile", "review"]
        assert by_user[1][category, "u1"] == by_user[2][category, "u1"]
        assert by_user[0][category, "u2"] == by_user[1][category, "u2"] == by_user[2][category, "u2"]


def test_a_budget_below_the_instructions_fails_samples_and_no_run(tmp_path: Path) -> None:
    corpus, out = odd_corpus(tmp_path / "data"), tmp_path / "runs"
    cells, _ = run(corpus, out, ["pag", "dpl"], ks=[3], budget=40)
    for rows in cells:
        errors = {row["user_id"]: row["error"] for row in rows}
        assert errors["u2"] is None  # Non-Perso's prompt is short
        assert "input budget" in errors["u0"]
        assert {row["traceback"] for row in rows} == {None}
