"""Planted worlds: from one seed byte for byte, with the effects that their knobs name, and a key that agrees."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench.data import corpus
from bench.data.synthetic import world
from bench.data.synthetic.world import FASHIONABLE, KEY, PLANTED, Knobs
from bench.data.validate import validate
from metrics import detectors
from tests.fakes import bench
from tests.paths import ROOT

SMALL = {"users": 40, "items": 60, "categories": 1}
Made = tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]


def made(**knobs: Any) -> Made:
    return world.make(Knobs(**SMALL | knobs))


def test_a_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        world.write(tmp_path / name, Knobs(**SMALL, seed=seed, drift=0.3, context=0.5, fashion=0.4), name="w")
    contents = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in "abc"]
    assert contents[0] == contents[1]
    assert contents[0]["reviews.jsonl"] != contents[2]["reviews.jsonl"]


def test_it_is_a_dataset_without_findings_and_says_what_it_is(tmp_path: Path) -> None:
    world.write(tmp_path, Knobs(**SMALL, drift=0.3), name="w")
    loaded, found = validate(str(tmp_path))
    assert found == []
    assert loaded is not None
    assert loaded.synthetic
    assert loaded.title.startswith("planted world 'w' (drift 0.3, seed 1)")
    assert len(loaded.samples("test")) == len(loaded.training_samples()) == 40


def agreement(texts: dict[str, str], shown: dict[str, Any], vocabulary: dict[str, Any]) -> dict[str, float]:
    """habit -> the share of texts in which detector and key agree on which value, or none, shows."""

    def seen(habit: str, text: str) -> str | None:
        if habit in ("length", "punctuation"):
            return str(getattr(detectors, habit)(text, vocabulary))
        return next((one for one in vocabulary[habit] if detectors.says(habit, one, text)), None)

    return {
        habit: sum(seen(habit, text) == shown[name].get(habit) for name, text in texts.items()) / len(texts)
        for habit in detectors.HABITS
    }


@pytest.mark.parametrize("name", world.named())
def test_detectors_agree_with_the_key(name: str) -> None:
    tables, key = world.make(world.knobs(name, {"users": 120}))
    texts = {row["review_id"]: row["text"] for row in tables["reviews"]}
    assert set(key["has"]) == set(key["shown"]) == set(texts)
    assert min(agreement(texts, key["shown"], key["vocabulary"]).values()) >= 0.98


def test_detectors_see_what_is_not_there() -> None:
    """A check that could not fail would agree with any key."""
    tables, key = made()
    texts = {row["review_id"]: row["text"] for row in tables["reviews"]}
    ids = list(texts)
    moved = {one: key["shown"][other] for one, other in zip(ids, [*ids[50:], *ids[:50]], strict=True)}
    assert max(agreement(texts, moved, key["vocabulary"]).values()) < 0.6
    assert max(agreement(dict.fromkeys(texts, "Fine."), key["shown"], key["vocabulary"]).values()) < 0.5


def by_user(found: Made) -> dict[str, list[dict[str, Any]]]:
    users: dict[str, list[dict[str, Any]]] = {}
    for row in found[0]["reviews"]:
        users.setdefault(row["user_id"], []).append(found[1]["has"][row["review_id"]])
    return users


def changes(found: Made) -> float:
    """The share of (user, habit) with more than one value."""
    every = [len({one[habit] for one in has}) > 1 for has in by_user(found).values() for habit in PLANTED]
    return sum(every) / len(every)


def test_habits_change_with_time_only_where_they_drift() -> None:
    assert changes(made()) == 0
    slow, fast = changes(made(drift=0.1)), changes(made(drift=0.8))
    assert 0.1 < slow < fast
    found = made(drift=0.5)
    same: Counter[str] = Counter()
    for has in by_user(found).values():  # newest first: the second is more often like the first than the last is
        same["near"] += sum(has[1][habit] == has[0][habit] for habit in PLANTED)
        same["far"] += sum(has[-1][habit] == has[0][habit] for habit in PLANTED)
    assert same["near"] > 1.5 * same["far"]


def test_habits_hang_on_the_kind_only_in_context() -> None:
    found = made(context=0.9)
    kinds = {row["item_id"]: kind(row["description"]) for row in found[0]["items"]}
    of_kind: dict[tuple[str, str], list[Any]] = {}
    for row in found[0]["reviews"]:
        of_kind.setdefault((row["user_id"], kinds[row["item_id"]]), []).append(found[1]["has"][row["review_id"]])
    assert all(one == has[0] for has in of_kind.values() for one in has)
    assert changes(found) > 0.6


def kind(description: str) -> str:
    """What stands between the item's name and its players."""
    return description.partition(" is a ")[2].partition(" game")[0]


def test_fashion_shows_in_what_reviewers_of_an_item_have_not() -> None:
    def taken(fashion: float) -> float:
        tables, key = made(fashion=fashion)
        every = [
            key["shown"][row["review_id"]].get(habit) not in (None, key["has"][row["review_id"]][habit], "plain")
            for row in tables["reviews"]
            for habit in FASHIONABLE
        ]
        return sum(every) / len(every)

    assert taken(0.0) == 0
    assert 0.3 < taken(0.6) < 0.6


def test_content_makes_reviewers_of_an_item_say_the_same() -> None:
    def repeated(content: float) -> float:
        tables, _ = made(content=content)
        said: dict[str, Counter[str]] = {}
        for row in tables["reviews"]:
            said.setdefault(row["item_id"], Counter()).update(set(row["text"].lower().replace("!", ".").split(". ")))
        counts = [n for counter in said.values() for n in counter.values()]
        return sum(n for n in counts if n > 1) / sum(counts)

    assert repeated(0.0) + 0.15 < repeated(1.0)


def test_worlds_of_lessons_share_no_item_with_the_others() -> None:
    titles = {row["title"] for row in made(training=True)[0]["items"]}
    for name in world.named():
        tables, _ = world.make(world.knobs(name, {"users": 10}))
        assert not titles & {row["title"] for row in tables["items"]}


def test_a_named_world_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEP_BENCH_HOME", str(tmp_path))
    monkeypatch.setattr(world, "named", lambda: {"plain": Knobs(**SMALL)})
    first = corpus.load("plain")
    monkeypatch.setattr(world, "write", None)
    assert corpus.load("plain").fingerprint == first.fingerprint
    (folder,) = (one for one in (tmp_path / "worlds").iterdir() if one.is_dir())
    assert (folder / KEY).is_file()
    assert corpus.resolve("plain") == "plain"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plane"], "no world 'plane'; did you mean 'plain'?"),
        (["--set", "drift=2"], "drift=2: a number from 0 to 1 is expected"),
        (["--set", "drift=much"], "drift=much: a number from 0 to 1 is expected"),
        (["--set", "users=1.5"], "users=1.5: a whole number from 1 to 100000 is expected"),
        (["--set", "reviews=14", "--set", "items=10"], "items=10: at least 16 for 14 reviews a user"),
        (["--set", "categories=4"], "categories=4: a whole number from 1 to 3 is expected"),
        (["--set", "drft=0.1"], "no knob of a world 'drft'; did you mean 'drift'?"),
        (["--set", "training=1"], "training=1: true or false is expected"),
    ],
)
def test_a_wrong_world_is_one_line(
    words: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert bench("data", "world", *words, "--out", tmp_path / "w") == 2
    assert said in capfd.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "w").exists()


def test_the_command_writes_what_it_names(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--set", "users=5", "--set", "items=30"]
    assert bench("data", "world", "mixed", *words, "--out", tmp_path / "w") == 0
    assert "planted world 'mixed' (drift 0.1, context 0.1, fashion 0.2, seed 105)" in capfd.readouterr().out
    manifest = json.loads((tmp_path / "w" / "dataset.json").read_text())
    assert manifest["world"]["users"] == 5
    assert corpus.load(str(tmp_path / "w")).name == "mixed"


def test_nothing_in_the_suite_reads_the_key() -> None:
    packages = ("bench", "methods", "retrievers", "metrics", "results")
    readers = [path.name for part in packages for path in (ROOT / part).rglob("*.py") if KEY in path.read_text()]
    assert sorted(readers) == ["data.py", "world.py"]
