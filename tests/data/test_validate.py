"""`bench data validate` finds what is wrong, names cases, and ends with 1."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.data.validate import validate
from bench.errors import UserError
from tests.data.toy import Row, toy_tables, write_toy
from tests.fakes import bench

LONG = "These are more than forty characters, so that chance is out."


def change(tables: dict[str, list[Row]], review_id: str, **values: object) -> None:
    next(row for row in tables["reviews"] if row["review_id"] == review_id).update(values)


def found(folder: Path, tables: dict[str, list[Row]]) -> dict[str, tuple[int, list[str]]]:
    _, findings = validate(str(write_toy(folder, tables)))
    return {finding.what: (finding.count, finding.examples) for finding in findings}


def test_nothing_is_wrong_with_the_bundled_corpus_and_the_toy(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert validate("bundled")[1] == []
    assert found(tmp_path, toy_tables()) == {}
    assert bench("data", "validate", "--data", tmp_path) == 0
    out, _ = capfd.readouterr()
    assert "nothing wrong" in out
    assert "no item of B is shared by two users" in out


def test_ratings_of_another_scale_are_a_note(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tables = toy_tables()
    change(tables, "A/ann/i1", rating=99)
    for row in tables["reviews"]:
        if row["category"] == "B":
            row["rating"] = 0  # a task without ratings
    write_toy(tmp_path, tables)
    assert bench("data", "validate", "--data", tmp_path) == 0
    assert "note: 1 ratings are outside 1 to 5, which prompts show as they are: A/ann/i1: 99" in capfd.readouterr().out


def test_a_target_in_its_history(tmp_path: Path) -> None:
    tables = toy_tables()
    change(tables, "A/ann/i3", text=LONG)
    change(tables, "A/ann/i1", text=f"Before.  {LONG.upper()} After.")
    assert found(tmp_path, tables) == {
        "a target's text is in its own history": (
            1,
            ["test:A/ann/i3: in A/ann/i1: 'these are more than forty characters, so that chance is out.'"],
        )
    }


def test_a_target_among_peers_and_its_exit_code(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tables = toy_tables()
    change(tables, "A/ann/i3", text=LONG)
    change(tables, "A/cid/i2", text=LONG)
    assert list(found(tmp_path, tables)) == ["a target's text is in a peer's review"]
    assert bench("data", "validate", "--data", tmp_path) == 1
    out, _ = capfd.readouterr()
    assert "1 times: a target's text is in a peer's review" in out
    assert "test:A/ann/i3: in A/cid/i2" in out


def test_reviews_that_are_there_twice(tmp_path: Path) -> None:
    tables = toy_tables()
    again = {**tables["reviews"][7], "review_id": "A/cid/i2+", "text": "Another text on it"}
    tables["reviews"].append(again)
    change(tables, "A/bob/i2", text=LONG)
    change(tables, "A/bob/i3", text=LONG)
    findings = found(tmp_path, tables)
    assert findings["a user reviewed an item twice"] == (1, ["A/cid/i2+ and A/cid/i2"])
    assert findings["a user wrote a text twice"] == (1, [f"A/bob/i3 and A/bob/i2: {LONG[:60]!r}"])


def test_short_texts_are_the_same_by_chance(tmp_path: Path) -> None:
    tables = toy_tables()
    for row in tables["reviews"]:
        row["text"] = "Great!"
    assert found(tmp_path, tables) == {}


def test_what_cannot_be_read_is_a_finding_and_what_is_not_there_is_none(tmp_path: Path) -> None:
    tables = toy_tables()
    tables["samples"][0]["history"] = ["A/ann/i3"]
    ((count, (example,)),) = found(tmp_path, tables).values()
    assert count == 1
    assert "samples.jsonl line 1: history holds the target 'A/ann/i3' itself" in example
    assert bench("data", "validate", "--data", tmp_path) == 1
    with pytest.raises(UserError, match="no data 'bundeld'"):
        validate("bundeld")
