"""From reviews in other scripts to the note below the table, by the commands that a user gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import registry
from tests import fakes
from tests.fakes import FAKE, World, bench
from tests.paths import SHARED

NOTE = "R-1, R-L cannot read everything: "


def table(world: World, texts: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> str:
    """What `bench table` prints for runs whose references are these texts, by turns."""
    first = fakes.tables()
    targets = {one["review_id"] for one in first["samples"] if one["split"] == "test"}
    for number, review in enumerate(one for one in first["reviews"] if one["review_id"] in targets):
        review["text"] = texts[number % len(texts)]
    monkeypatch.setattr(fakes, "tables", lambda: first)
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", FAKE)
    fakes.dataset(world.data)
    assert world.run(method="rag,nonperso") == 0
    capfd.readouterr()
    assert bench("table", world.out) == 0
    return capfd.readouterr().out


@pytest.mark.parametrize("text", ["आबेको हत्याले जापान स्तब्ध छ", "这张专辑很好听", "Хороший альбом", "رائع", "😀", "?!"])
def test_references_that_rouge_cannot_read_are_counted_below_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], text: str
) -> None:
    said = table(World(tmp_path), [text], monkeypatch, capfd)
    assert f"{NOTE}6 of 6 references hold no letter a-z and no digit, the only ones it reads, and score 0." in said
    assert "0.0000" in said  # the value stays


def test_only_those_that_it_cannot_read_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    said = table(World(tmp_path), ["good", "Хороший cd", "хорошо"], monkeypatch, capfd)
    assert NOTE in said
    assert "2 of 6 references have more than half of their letters outside a-z and 0-9, and these are dropped" in said
    assert "2 of 6 references hold no letter a-z and no digit" in said


def test_plain_texts_have_no_such_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "cannot read" not in table(World(tmp_path), ["good"], monkeypatch, capfd)


def test_reviews_in_nepali(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cases = SHARED / "cases"
    if not (cases / "nepali_reviews.jsonl").is_file():
        pytest.skip("the cases are not here")
    rules = {
        "min-chars": 10, "min-user-reviews": 4, "min-item-users": 1, "min-description": 0, "require": "title",
        "train-inputs": 1, "min-profile-reviews": 1, "min-profile-item-users": 1,
    }  # fmt: skip
    words = [word for key, value in rules.items() for word in (f"--{key}", value)]
    raw = ["--reviews", cases / "nepali_reviews.jsonl", "--meta", cases / "meta.jsonl", "--category", "X"]
    assert bench("data", "build", *raw, "--out", tmp_path / "data", *words) == 0
    run = ["--data", tmp_path / "data", "--generator", "echo", "--metric", "rouge,bleu", "--out", tmp_path / "runs"]
    assert bench("run", "--method", "nonperso", *run) == 0
    said = capfd.readouterr().out
    assert f"{NOTE}4 of 4 references hold no letter" in said and "0.0000" in said
