"""The worked examples of the pages run as they stand there: plug-ins, a profile, a suite, raw reviews."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import config, protocols, registry, seeds, types
from bench.data.build.pipeline import build
from bench.data.build.rules import Rules
from bench.record import runs
from bench.score.targets import Targets
from bench.suite import suite
from bench.train import checkpoint
from bench.train.trainer import Losses, Step
from tests import fakes
from tests.data.toy import write_lines
from tests.docs.blocks import examples
from tests.docs.workshop import QUICK_START, SUITES, plugin_files
from tests.paths import ROOT


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Path]]:
    """class -> file of every example of docs/plugins.md."""
    monkeypatch.setattr(registry, "_from_files", {})
    monkeypatch.setattr("bench.plugins._loaded", [])
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", "bench.generate.engine.echo:EchoGenerator")
    files = plugin_files(tmp_path)
    yield files
    for file in files.values():
        sys.modules.pop(file.stem, None)


def test_the_example_method_runs(tmp_path: Path, plugins: dict[str, Path]) -> None:
    assert len(plugins["Habits"].read_text().splitlines()) <= 40
    world = fakes.World(tmp_path)
    assert world.run("--plugin", plugins["Habits"], "--set", "habits.words=7", method="habits") == 0
    rows = list(world.folder().rows(runs.SAMPLES))
    assert len(rows) == len(fakes.CATEGORIES) * fakes.USERS
    assert all(row["text"] and row["error"] is None for row in rows)
    assert {tuple(stage for stage, _ in row["requests"]) for row in rows} == {("habits", "review")}


def test_the_example_with_peers_and_a_key_runs(
    tmp_path: Path, plugins: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    monkeypatch.setattr(fakes.FakeGenerator, "plan", fakes.Plan())
    world = fakes.World(tmp_path)
    assert world.run("--plugin", plugins["Crowd"], method="crowd") == 0
    rows = {row["sample_id"]: row for row in world.folder().rows(runs.SAMPLES)}
    assert all(row["text"] and row["error"] is None for row in rows.values())
    assert {tuple(stage for stage, _ in row["requests"]) for row in rows.values()} == {("aspects", "review")}
    corpus = fakes.corpus(tmp_path / "again")
    for sample in corpus.samples("test"):
        peers = [(one, peer) for one in sample.history[:2] for peer in corpus.peers(one)]
        agreeing = sum(one.rating == peer.rating for one, peer in peers)
        assert rows[sample.sample_id]["notes"] == {"agreeing": agreeing}
    asked = {one.seed for one in fakes.FakeGenerator.plan.requests if one.stage == "aspects"}
    assert asked == {seeds.derive(0, "aspects", f"{one.category}/{one.item.item_id}") for one in corpus.samples("test")}


def test_the_page_on_plugins_names_all_that_they_meet() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text("utf-8")
    for noun in (types.Sample, types.Review, types.Item, types.Column, types.UserTarget, types.Author):
        assert f"`{noun.__name__}`" in page
        assert {one.name for one in dataclasses.fields(noun) if f"`{one.name}`" not in page} == set()
    calls = {name: call for name, call in vars(protocols.Context).items() if not name.startswith("_")}
    for name, call in calls.items():
        (said,) = re.findall(rf"^\| `ctx\.{name}\((.*?)\)`", page, re.MULTILINE)
        assert set(inspect.signature(call).parameters) - {"self"} == {one.partition("=")[0] for one in said.split(", ")}


def test_the_example_retriever_metric_and_data_run(
    tmp_path: Path, plugins: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    world = fakes.World(tmp_path)
    world.data.rename(tmp_path / "mine")
    (tmp_path / "data").mkdir()
    (tmp_path / "mine").rename(tmp_path / "data" / "mine")
    given = [word for name in ("Closest", "Size", "Mine") for word in ("--plugin", plugins[name])]
    more = ["--data", "mine", "--retriever", "closest", "--metric", "rouge,size"]
    assert world.run(*given, *more, method="rag") == 0
    assert "Size" in capfd.readouterr().out
    summary = world.folder().read(runs.SUMMARY)
    assert all(0 < values["size"] <= 1 for values in summary["scores"].values())
    rows = {row["sample_id"]: row["retrieved"] for row in world.folder().rows(runs.SAMPLES)}
    assert rows["Books/u0/r4"] == ["Books/u0/r3", "Books/u0/r2"]  # rated 4 and 3, where 5 is asked for
    assert registry.create("metric", "size").score(["", "a"], ["a b", ""]) == [{"size": 0.0}, {"size": 0.0}]


def test_the_example_that_sees_users_runs(
    tmp_path: Path, plugins: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    world = fakes.World(tmp_path)
    assert world.run("--plugin", plugins["Owner"], "--metric", "owner", method="rag") == 0
    assert set(world.folder().read(runs.SUMMARY)["scores"]) == set(fakes.CATEGORIES)
    corpus = fakes.corpus(tmp_path / "again")
    targets = Targets(corpus.samples("test"), corpus)
    metric = registry.create("metric", "owner")
    copies = [target.author.reviews[0].text for target in targets.of(metric, [])]
    assert [row["owner"] for row in metric.score(copies, targets.of(metric, []))] == [1.0] * len(copies)
    assert {row["owner"] for row in metric.score([""] * len(copies), targets.of(metric, []))} == {0.0}


def test_the_profile_and_the_suite_of_the_pages_are_whole(tmp_path: Path) -> None:
    (profile,), (cells, claims) = examples(QUICK_START, "toml"), examples(SUITES, "toml")
    (tmp_path / "my.toml").write_text(profile)
    assert config.load_profile(str(tmp_path / "my.toml")).metrics == ("rouge", "bleu")
    (tmp_path / "mine.toml").write_text(f"{cells}\n{claims}")
    assert len(suite.load(str(tmp_path / "mine.toml")).claims) == 1
    configs, failures = suite.expand(
        suite.load(str(tmp_path / "mine.toml")), lambda name: fakes.corpus(tmp_path / "data"), suite.Given()
    )
    assert (len(configs), failures) == (16, [])
    (known,) = re.findall(r"also, with defaults: ([^\n]*)", profile)
    assert all(word.strip("[] ") in config.Profile.model_fields for word in known.split(","))
    assert set(tomllib.loads(profile)) <= set(config.Profile.model_fields)


def test_the_raw_rows_of_the_quick_start_build(tmp_path: Path) -> None:
    (text,) = examples(QUICK_START, "json")
    review, item = map(json.loads, text.splitlines())
    reviews = [
        {**review, "user_id": user, "parent_asin": name, "timestamp": review["timestamp"] + place}
        for user in "ab"
        for place, name in enumerate("wxyz")
    ]
    items = [{**item, "parent_asin": name} for name in "wxyz"]
    loose = Rules(min_chars=1, min_description=1, dedupe_text=False, min_user_reviews=1, min_item_users=1,
                  train_inputs=1, min_profile_item_users=1, min_profile_reviews=1)  # fmt: skip
    report = build(
        reviews=[write_lines(tmp_path / "reviews.jsonl", reviews)],
        meta=[write_lines(tmp_path / "meta.jsonl", items)],
        category="Music",
        out=tmp_path / "out",
        rules=loose,
    )
    assert (report.samples, report.notes) == ({"test": 2, "val": 2, "train": 2}, ())


def test_the_page_on_files_names_every_field_that_a_run_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    world = fakes.World(tmp_path)
    assert world.run(method="rag") == 0
    page, folder = (ROOT / "docs" / "files.md").read_text("utf-8"), world.folder()
    rows = [next(folder.rows(name)) for name in (runs.SAMPLES, runs.SCORES)]
    whole = [folder.read(name) for name in (runs.CONFIG, runs.PROVENANCE, runs.SUMMARY)]
    named = {key for one in (*rows, *whole, whole[0]["config"]) for key in one} - {"rouge", "bleu"}
    inner = {key for one in (rows[0]["dropped"], whole[1]["hardware"], whole[2]["data"]) for key in one}
    costs = {key for cost in rows[0]["stages"].values() for key in cost}
    assert {key for key in named | inner | costs if f"`{key}`" not in page} == set()
    for file in folder.path.iterdir():
        assert file.name in page
    profiles = (ROOT / "docs" / "gpus.md").read_text("utf-8")
    keys = config.Profile.model_fields.keys() - {"name", "title", "options", "engine", "train"}
    assert {key for key in keys if f"`{key}`" not in profiles} == set()


def test_the_page_on_files_names_every_field_of_a_checkpoint() -> None:
    page = (ROOT / "docs" / "files.md").read_text("utf-8")
    for file in (checkpoint.MANIFEST, checkpoint.STEPS, checkpoint.TRAINING, checkpoint.RESUME):
        assert f"`{file}`" in page
    step = Step(1, 1, Losses(1.0, {}, 1.0, 1), norm=1.0, update=1.0, lr=1.0, seconds=1.0).row()
    assert {key for key in step if f"`{key}`" not in page} == set()
