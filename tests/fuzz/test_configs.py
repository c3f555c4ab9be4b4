"""Profiles and `--set`, suites, baselines: whatever is in them, a command runs or says one line, before any engine."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.record import runs
from results.checks import regress
from results.tables.finished_runs import find_finished
from tests.fakes import PROFILE, FakeGenerator, World
from tests.fuzz.cases import NESTED, cases, dates, edited, lines, plain, said, spells, toml, torn, values

pytestmark = pytest.mark.slow

KEYS = (
    "k", "llm", "dtype", "revision", "input_budget", "max_new_tokens", "temperature", "top_p", "metrics", "name",
    "title", "engine", "engine.trust_remote_code", "engine.hf_token", "engine.max_num_seqs", "options", "options.rouge",
    "options.bertscore.model", "rouge.x", "judge.base_url", "judge.max_chars", "embedder", "embedder.max_tokens",
    "retrieval_encoder.pooling", "train", "train.lr", "train.epochs", "train.k", "rag.order", "bm25.k1", "bm25.fields",
    "recency.x", "rag", "", ".", "a.b.c", "temperature.x",
)  # fmt: skip
WHOLE = {
    **tomllib.loads(PROFILE), "dtype": "float32", "revision": "main", "temperature": 0.8, "top_p": 0.9,
    "options": {"bertscore": {"layer": 6}, "judge": {"max_chars": 9}}, "engine": {"max_num_seqs": 3, "seed": 0},
    "train": {"lr": 0.1, "epochs": 2, "k": 0, "limit": 5},
}  # fmt: skip
SUITE: dict[str, Any] = {
    "title": "t", "data": "bundled", "split": "test", "limit": 3, "metrics": ["rouge"], "by": "rating",
    "shows": "table",
    "cells": [
        {"methods": ["nonperso", "rag"], "retrievers": ["recency"], "ks": [0, 2], "seeds": [0], "profiles": ["tiny"]},
        {"methods": ["rag"], "set": {"rag.order": ["rank", "chronological"], "temperature": 0.5}},
    ],
}  # fmt: skip


def refused(world: World, capfd: pytest.CaptureFixture[str], *words: object, method: str = "rag") -> int:
    """The exit code of `bench run --dry-run`, of which no engine may hear."""
    code, _, _ = said(capfd, *world.words("--dry-run", *words, method=method))
    assert FakeGenerator.plan.started == 0
    return code


@cases(300)
@given(changed=edited(WHOLE, extra=values | dates), data=st.data())
def test_a_profile(
    world: World, capfd: pytest.CaptureFixture[str], changed: dict[str, Any], data: st.DataObject
) -> None:
    path = world.path / "changed.toml"
    text = toml(changed)
    path.write_bytes(data.draw(torn(text)) if data.draw(st.integers(0, 4)) == 0 else text.encode("utf-8", "replace"))
    refused(world, capfd, "--profile", path)


@cases(300)
@given(pairs=st.lists(st.tuples(st.sampled_from(KEYS) | lines, plain | values), min_size=1, max_size=3))
def test_a_setting(world: World, capfd: pytest.CaptureFixture[str], pairs: list[tuple[str, Any]]) -> None:
    words: list[str] = []
    for key, value in pairs:
        text = value if isinstance(value, str) else json.dumps(value)
        words += ["--set", f"{key}={text}".encode("utf-8", "ignore").decode().replace("\0", "")]
    refused(world, capfd, *words)


@cases(80)
@given(
    option=st.sampled_from(["--method", "--retriever", "-k", "--seed", "--limit", "--split", "--data", "--metric"])
    | st.sampled_from(["--generator", "--profile", "--base-url", "--model-name", "--checkpoint", "--plugin", "--out"]),
    text=lines | spells.map(lambda text: text.encode("utf-8", "ignore").decode().replace("\0", "")),
)
def test_an_option(world: World, capfd: pytest.CaptureFixture[str], option: str, text: str) -> None:
    if option == "--out":
        text = str(world.path / "out") + text  # below our own folder, whatever it is
    refused(world, capfd, f"{option}={text}" if option.startswith("--") else f"{option}{text}")


@pytest.mark.parametrize("nested", NESTED)
def test_what_is_nested_too_deeply(world: World, capfd: pytest.CaptureFixture[str], nested: str) -> None:
    assert refused(world, capfd, "--set", f"engine.x={nested}") in (0, 2)
    for name, words in (("p.toml", ["--profile"]), ("s.toml", [])):
        path = world.path / name
        path.write_text(f'title = "t"\nengine = {{ x = {nested}')
        code, _, _ = said(capfd, *(world.words(*words, path) if words else ["grid", path]))
        assert code == 2
    manifest = world.path / "nested" / "dataset.json"
    manifest.parent.mkdir(exist_ok=True)
    manifest.write_text(nested)
    assert said(capfd, "data", "stats", "--data", manifest.parent)[0] == 2


@cases(250)
@given(changed=edited(SUITE, extra=values | dates), data=st.data())
def test_a_suite(world: World, capfd: pytest.CaptureFixture[str], changed: dict[str, Any], data: st.DataObject) -> None:
    """Cells that cannot run are listed, a line each; a file that is no suite is one line."""
    path = world.path / "suite.toml"
    text = toml(changed)
    path.write_bytes(data.draw(torn(text)) if data.draw(st.integers(0, 4)) == 0 else text.encode("utf-8", "replace"))
    words = ["--data", world.data, "--profile", world.profile, "--generator", "fake", "--out", world.out]
    code, _, err = said(capfd, "grid", path, "--dry-run", *words, codes=(0, 1, 2))
    if code == 2:
        assert str(path) in err
    else:
        assert ("not run: " in err) == (code == 1)
    assert FakeGenerator.plan.started == 0


# ---------------------------------------------------------------- baselines


@pytest.fixture(scope="module")
def scored(world: World) -> Path:
    """A finished run and its baseline."""
    assert world.run("--metric", "rouge", method="nonperso") == 0
    path = world.path / "baseline.json"
    regress.write(path, find_finished([world.out]))
    FakeGenerator.plan.started = 0
    return path


@cases(200)
@given(data=st.data())
def test_a_baseline(world: World, scored: Path, capfd: pytest.CaptureFixture[str], data: st.DataObject) -> None:
    whole = json.loads(scored.read_text())
    changed = json.dumps(data.draw(edited(whole)))
    path = world.path / "changed.json"
    path.write_bytes(data.draw(torn(changed)) if data.draw(st.integers(0, 4)) == 0 else changed.encode())
    code, out, err = said(capfd, "regress", path, world.out, codes=(0, 2, regress.MOVED))
    assert code != 2 or str(path) in err
    assert (code == regress.MOVED) == ("0 of" not in out and code != 2)


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("tolerance", float("nan"), "tolerance = nan: Input should be a finite number"),
        ("tolerance", -1, "tolerance = -1: Input should be greater than or equal to 0"),
        ("value", "0.5", "value = '0.5': Input should be a valid number"),
        ("value", None, "value = None: Input should be a valid number"),
    ],
)
def test_a_baseline_that_would_let_everything_pass(
    world: World, scored: Path, capfd: pytest.CaptureFixture[str], key: str, value: Any, found: str
) -> None:
    whole = json.loads(scored.read_text())
    (cell,) = whole["cells"].values()
    cell["values"] = {"Books": {"rouge1": {"value": 0.5, "tolerance": 0.1, key: value}}}
    path = world.path / "changed.json"
    path.write_text(json.dumps(whole))
    code, _, err = said(capfd, "regress", path, world.out)
    assert code == 2
    assert f"values.Books.rouge1.{found}" in err


@cases(25)
@given(data=st.data())
def test_the_files_of_a_run(world: World, scored: Path, capfd: pytest.CaptureFixture[str], data: st.DataObject) -> None:
    """Cut or with other bytes: a table or one line, never a number from a file that cannot be read."""
    folder = world.folder().path
    name = data.draw(st.sampled_from([runs.CONFIG, runs.SUMMARY, runs.SAMPLES, runs.SCORES]))
    whole = (folder / name).read_bytes()
    try:
        (folder / name).write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
        for words in (["table", folder], ["show", folder], ["ls", "runs", "--out", world.out]):
            said(capfd, *words)
    finally:
        (folder / name).write_bytes(whole)
