"""PAG and DPL through the runner with a fake engine: the requests that are stored, shared and counted."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zlib
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bench.console.progress import Progress
from bench.data.corpus import Corpus, load
from bench.data.folder import jsonl
from bench.generate.engine.echo import EchoGenerator
from bench.record.runs import SAMPLES
from bench.run import cells, runner
from bench.suite import grid
from tests import fakes
from tests.embed.fakes import FakeEmbedder

SECRET = "xylophonic"
TEXTS = {  # category, user -> past reviews of i1, i2, ... in this order, oldest first; then the target
    ("Books", "ann"): {"i1": "Ok", "i2": "lorem ipsum " * 1700, "i3": "这盏台灯很好用，光线柔和。" * 40},
    ("Books", "bob"): {"i1": "Quite good, all in all.", "i2": "No.", "i3": "x" * 20_000, "i9": "Nobody else has this."},
    ("Books", "cid"): {"i1": "I LOVE IT", "i2": "a so-so thing", "i3": "Meh, meh, meh."},
    ("Books", "new"): {},
    ("Films", "ann"): {"i1": "The same ids, another category.", "i2": "."},
    ("Films", "bob"): {"i1": "As above; so below.", "i2": "Fine."},
}


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("context.prefetch", "run.cells"):
        monkeypatch.setattr(import_module(f"bench.{module}"), "create_encoder", lambda config: FakeEmbedder())


def odd_corpus(folder: Path) -> Corpus:
    """Reviews of every length and script, and for each user a test sample on an item that nobody else reviewed."""
    tables: dict[str, list[dict[str, Any]]] = {"items": [], "reviews": [], "samples": []}
    items: dict[tuple[str, str], dict[str, Any]] = {}
    for (category, user), past in TEXTS.items():
        who = {"category": category, "user_id": user}
        texts = {**past, f"{user}'s": f"{SECRET} text of {user}"}
        for time, (item, text) in enumerate(texts.items()):
            items[category, item] = {"category": category, "item_id": item, "title": f"Thing {item}", "description": ""}
            about = {"review_id": f"{category}/{user}/{item}", "item_id": item, "rating": 3.0, "timestamp": time}
            tables["reviews"].append({**who, **about, "title": f"{user} on {item}", "text": text})
        ids = [row["review_id"] for row in tables["reviews"][-len(texts) :]]
        target = {"sample_id": ids[-1], "split": "test", "item_id": f"{user}'s", "review_id": ids[-1]}
        tables["samples"].append({**who, **target, "history": ids[-2::-1]})
    tables["items"] = list(items.values())
    jsonl.write(folder, {"name": "odd", "title": "odd", "synthetic": True, "categories": ["Books", "Films"]}, tables)
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
    with Progress() as progress:
        service = runner.open_service(configs[0], out, progress=progress)
        planned = cells.plan(configs, corpus, out, generator=service.identity)
        runner.run(planned, corpus, service, out, progress=progress)
    assert isinstance(service.generator, EchoGenerator)
    return [list(cell.folder.rows(SAMPLES)) for cell in planned], service.generator.n_requests


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
    assert not any(SECRET in prompt for prompt in found)
    titled = [prompt for prompt in found if "ann on ann's" in prompt]
    assert titled
    assert all(prompt.endswith("\n[Output Review Title]: ann on ann's") for prompt in titled)  # the last stage's


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
    """bob's newest past review in Books is on an item that nobody else reviewed."""
    corpus, out = odd_corpus(tmp_path / "data"), tmp_path / "runs"
    (nonperso, pag, dpl), _ = run(corpus, out, ["nonperso", "pag", "dpl"], ks=[1])
    by_user = [{(row["category"], row["user_id"]): row["requests"] for row in rows} for rows in (nonperso, pag, dpl)]
    assert [stage for stage, _ in by_user[2]["Books", "ann"]] == ["difference", "summary", "review"]
    assert [stage for stage, _ in by_user[2]["Books", "bob"]] == ["profile", "review"]
    assert by_user[1]["Books", "bob"] == by_user[2]["Books", "bob"]
    assert [stage for stage, _ in by_user[2]["Books", "new"]] == ["review"]
    assert by_user[0]["Books", "new"] == by_user[1]["Books", "new"] == by_user[2]["Books", "new"]


def test_a_budget_below_the_instructions_fails_samples_and_no_run(tmp_path: Path) -> None:
    corpus, out = odd_corpus(tmp_path / "data"), tmp_path / "runs"
    cells, _ = run(corpus, out, ["pag", "dpl"], ks=[3], budget=40)
    for rows in cells:
        errors = {row["user_id"]: row["error"] for row in rows}
        assert errors["new"] is None  # Non-Perso's prompt is short
        assert "input budget" in errors["ann"]
        assert {row["traceback"] for row in rows} == {None}
