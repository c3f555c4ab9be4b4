"""Metric `habits`: detectors by hand, rows, and refusals."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench.data.corpus import Corpus, load
from bench.data.synthetic import world
from bench.errors import UserError
from bench.score import scoring
from bench.score.targets import Targets
from bench.types import Item, Sample, Target, Truth
from metrics import detectors
from metrics.habits import Habits
from tests.fakes import bench

VOCABULARY = {
    "opening": ("here we go again", "so, where do I start"),
    "signoff": ("over and out", "cheers, Mo"),
    "catchphrase": ("mind you",),
    "loud": ("never", "all"),
}


@pytest.mark.parametrize(
    ("text", "length", "punctuation"),
    [
        ("Nice. It works. Buy it.", "terse", "plain"),
        ("nice. it works. buy it.", "terse", "lower case"),
        ("Nice! It works! I NEVER stop. Buy it!", "terse", "exclaiming"),
        ("Nice... It works... Buy it.", "terse", "trailing off"),
        ("Nice; it works. Buy it; now. Go.", "medium", "semicolons"),
        ("Nice. I NEVER stop. Buy it.", "terse", "shouting"),
        ("Here we go again. A. B. C. D. Over and out.", "terse", "plain"),
        ("Here we go again. A. B. C. D. E. Over and out.", "medium", "plain"),
        ("A. B. C. D. E. F. G. H.", "long", "plain"),
        ("NEVERMORE is a name. Version 5.3 is fine.", "terse", "plain"),
        ("", "terse", "lower case"),
    ],
)
def test_length_and_punctuation_by_hand(text: str, length: str, punctuation: str) -> None:
    assert detectors.length(text, VOCABULARY) == length
    assert detectors.punctuation(text, VOCABULARY) == punctuation


def test_phrases_by_hand() -> None:
    text = "Here we go again! Mind you, it works! OVER and out!"
    for habit, phrase in (("opening", "here we go again"), ("signoff", "over and out"), ("catchphrase", "mind you")):
        assert detectors.says(habit, phrase, text)
        for other in {"opening", "signoff", "catchphrase"} - {habit}:
            assert not detectors.says(other, phrase, text)
    assert not detectors.says("catchphrase", "mind you", "Remind you, it works.")
    assert not detectors.says("catchphrase", "mind you", "I mind you.")


def target(**habits: str | None) -> Target:
    has = {**dict.fromkeys(detectors.HABITS), "length": "terse", "punctuation": "plain", **habits}
    sample = Sample("s", "test", "u", Item("c", "i", "t"), 3.0, "t")
    return Target(sample, "a reference", Truth(has, VOCABULARY))


def test_rows_and_values_by_hand() -> None:
    metric = Habits()
    both = [target(opening="here we go again", catchphrase="mind you"), target(punctuation="exclaiming")]
    rows = metric.score(["Here we go again. It works. Buy it.", "Nice! A! B! C! D! E! F! G!"], both)
    assert rows == [
        {"habits": 0.75, "habit_length": 1.0, "habit_punctuation": 1.0, "habit_opening": 1.0, "habit_signoff": None,
         "habit_catchphrase": 0.0},
        {"habits": 0.5, "habit_length": 0.0, "habit_punctuation": 1.0, "habit_opening": None, "habit_signoff": None,
         "habit_catchphrase": None},
    ]  # fmt: skip
    assert metric.aggregate(rows)["habits"] == 0.625
    assert metric.aggregate(rows)["habit_length"] == 0.5
    assert metric.aggregate(rows)["habit_opening"] == 1.0


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_text_shows_nothing(text: str) -> None:
    (row,) = Habits().score([text], [target(punctuation="lower case", signoff="cheers, Mo")])
    assert {value for value in row.values() if value is not None} == {0.0}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Corpus]:
    folder = tmp_path_factory.mktemp("world")
    world.write(folder, world.Knobs(users=20, items=40, categories=2), name="w")
    return folder, load(str(folder))


def test_references_show_what_the_key_says_and_others_texts_do_not(mixed: tuple[Path, Corpus]) -> None:
    _, corpus = mixed
    samples = corpus.samples("test")
    targets = [Target(one, corpus.reference(one.sample_id), corpus.truth(one)) for one in samples]
    texts = [one.reference for one in targets]
    metric = Habits()
    own = metric.aggregate(metric.score(texts, targets))["habits"]
    others = metric.aggregate(metric.score([*texts[1:], texts[0]], targets))["habits"]
    assert 0.8 < own < 0.95
    assert others < 0.3


def test_it_is_scored_like_any_other_metric(mixed: tuple[Path, Corpus]) -> None:
    _, corpus = mixed
    samples = corpus.samples("test")
    targets = [Target(one, corpus.reference(one.sample_id), corpus.truth(one)) for one in samples]
    ids, texts = [one.sample_id for one in samples], [one.reference for one in targets]
    found = scoring.score({"habits": Habits()}, ids, texts, texts, processes=1, targets=Targets(samples, corpus))[
        "habits"
    ]  # type: ignore[dict-item]
    assert found == Habits().score(texts, targets)
    assert all(math.isfinite(row["habits"]) for row in found)


def test_real_reviews_are_refused() -> None:
    with pytest.raises(UserError, match=r"metric 'habits' needs a planted world"):
        Habits().score(["a"], [Target(target().sample, "a")])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "oracle"], "method 'oracle' needs a planted world, and data 'bundled' is none"),
        (["--method", "nonperso", "--metric", "habits"], "metric 'habits' needs a planted world, and data 'bundled'"),
    ],
)
def test_a_run_on_other_data_is_refused_before_it_begins(
    words: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert bench("run", *words, "--data", "bundled", "--generator", "echo", "--out", tmp_path / "runs") == 2
    assert said in capfd.readouterr().err.splitlines()[-1]
    assert not list((tmp_path / "runs").glob("bundled*"))


def test_a_world_without_its_key_is_one_line(
    mixed: tuple[Path, Corpus], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    for file in mixed[0].iterdir():
        if file.name != world.KEY:
            (folder / file.name).write_bytes(file.read_bytes())
    words = ["--method", "oracle", "--data", folder, "--metric", "habits", "--generator", "echo"]
    assert bench("run", *words, "--out", tmp_path / "runs") == 2
    assert f"{folder} has no key.json, which says what is planted" in capfd.readouterr().err.splitlines()[-1]
    (folder / world.KEY).write_text("{}")
    assert bench("run", *words, "--out", tmp_path / "runs") == 2
    assert "key.json is no key of a world" in capfd.readouterr().err.splitlines()[-1]
