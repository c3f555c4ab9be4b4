"""What is said of data and model when a run starts, in its summary and below its table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import defaults, registry
from bench.data import caveats
from bench.data.corpus import holds_world, load
from bench.data.folder import jsonl
from bench.data.folder.manifest import MANIFEST
from bench.data.validate import times
from bench.suite import grid
from tests import fakes
from tests.data.build.test_build_leaks import LONG, LOOSE, rows, run
from tests.data.toy import Row
from tests.fakes import World

LEAK = {"ann_e": LONG, "ann_b": f"{LONG} More.", "bob_c": LONG, "bob_a": LONG}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    return World(tmp_path)


def untimed(*, order: bool) -> list[Row]:
    """Reviews without a time; by `source_order` the first of the file is the oldest."""
    found = [{**row, "timestamp": None} for row in rows()]
    return [{**row, "source_order": -n} for n, row in enumerate(found)] if order else found


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    return found


def config(data: Path | str, profile: str) -> Any:
    corpus = load(str(data))
    (one,) = grid.expand(
        corpus, data=str(data), methods=["nonperso"], retrievers=["recency"], ks=None, seeds=[0], profile=profile,
        set_values={}, generator="echo",
    )  # fmt: skip
    return one, corpus


def test_a_build_that_keeps_copyable_targets_counts_them_by_split(tmp_path: Path) -> None:
    report = run(tmp_path, rows(**LEAK), replace(LOOSE, drop_leaked=False))
    built = manifest(report.out)
    assert built["copyable"] == {"Toys": {"test": 1, "train": 1}}
    assert built["title"].endswith(", targets kept that can be copied")
    assert any(note.startswith("targets kept that a method can copy: 2 (test 1, train 1)") for note in report.notes)
    (line,) = caveats.lines({"copyable": caveats.copyable(load(str(report.out)))})
    assert "Toys: the dataset was built with --no-drop-leaked and holds 2 targets (test 1, train 1) whose" in line


def test_nothing_is_said_of_targets_where_none_can_be_copied(tmp_path: Path) -> None:
    clean = run(tmp_path, rows(**LEAK))
    assert (manifest(clean.out)["copyable"], caveats.copyable(load(str(clean.out)))) == ({"Toys": {}}, {})
    (tmp_path / "kept").mkdir()
    kept = run(tmp_path / "kept", rows(), replace(LOOSE, drop_leaked=False))
    assert caveats.copyable(load(str(kept.out))) == {}
    assert manifest(kept.out)["title"] == manifest(clean.out)["title"]


def test_an_older_build_with_leaks_kept_is_said_not_to_be_counted(tmp_path: Path) -> None:
    out = run(tmp_path, rows(**LEAK), replace(LOOSE, drop_leaked=False)).out
    built = manifest(out)
    del built["copyable"]
    (out / MANIFEST).write_text(json.dumps(built))
    (line,) = caveats.lines({"copyable": caveats.copyable(load(str(out)))})
    assert "an unknown number of targets (`bench data validate` counts them)" in line


@pytest.mark.parametrize(
    ("order", "said"), [(True, "by the field `source_order` of the files"), (False, "the order of the file")]
)
def test_data_without_times_names_what_orders_it(tmp_path: Path, order: bool, said: str) -> None:
    corpus = load(str(run(tmp_path, untimed(order=order)).out))
    n = len(corpus.reviews())
    assert caveats.untimed(corpus) == {"Toys": {"n": n, "of": n, "order": said}}
    (note,) = times(corpus)
    assert f"`recency` is {said} in up to" in note
    (line,) = caveats.lines({"untimed": caveats.untimed(corpus)})
    assert f"{n} of {n} reviews have no time, so newest first is {said}" in line


@pytest.mark.parametrize(
    ("data", "profile"), [("mixed", "micro"), ("plain", "micro"), ("bundled", "tiny"), ("folder", "tiny")]
)
def test_the_default_profile_follows_the_data(tmp_path: Path, data: str, profile: str) -> None:
    name = str(fakes.dataset(tmp_path / "d")) if data == "folder" else data
    one, corpus = config(name, "")
    assert (one.profile.name, defaults.profile(world=corpus.is_world), holds_world(name)) == (
        profile,
        profile,
        profile == "micro",
    )
    assert config(name, "paper-7b")[0].profile.name == "paper-7b"


def test_a_dataset_that_is_not_here_is_no_world(tmp_path: Path) -> None:
    assert not holds_world(str(tmp_path / "none"))


def test_micro_is_warned_of_on_data_that_is_no_world() -> None:
    assert caveats.of(*config("bundled", "micro")) == {"no_world": True}
    assert caveats.of(*config("mixed", "micro")) == {} == caveats.of(*config("bundled", "tiny"))
    (line,) = caveats.lines({"no_world": True})
    assert line.startswith("the model micro knows planted worlds alone") and "mean nothing" in line


def test_they_are_said_at_the_start_once_and_below_the_table(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    tables = fakes.tables()
    for review in tables["reviews"]:
        review["timestamp"] = None
    about = {"name": "toy", "title": "a toy", "synthetic": True, "categories": list(fakes.CATEGORIES)}
    world.data = world.path / "untimed"
    jsonl.write(world.data, about, tables)
    text = fakes.PROFILE.replace('llm = "none"', 'llm = "micro"').replace("Nothing real", "Small. Not which method is.")
    world.profile.write_text(text.replace("Not which method is.", "It shows that, not which method is better."))
    assert world.run("--dry-run", method="nonperso,rag") == 0
    assert "warning: the model micro knows planted worlds alone" in capfd.readouterr().err
    assert world.run(method="nonperso,rag") == 0
    out, err = capfd.readouterr()
    said = "Books: 15 of 15 reviews have no time, so newest first is the order of the file"
    assert err.count(f"warning: {said}") == 1 == out.count(said)
    assert err.count("warning: the model micro knows planted worlds alone") == 1
    assert "The model micro knows planted worlds alone" in out
    assert "It shows that, not which method is better." in out.splitlines()
    assert world.folders()["untimed-nonperso-seed0"].summary()["caveats"]["no_world"] is True
