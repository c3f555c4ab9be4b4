"""The run folder on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import runs
from bench.errors import UserError
from bench.runs import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    path = tmp_path / "run"
    path.mkdir()
    return RunFolder(path)


def row(sample_id: str, error: str | None = None) -> dict[str, Any]:
    return {"sample_id": sample_id, "text": f"text \ud800 of {sample_id}\n", "error": error}


def test_values_and_rows_come_back(folder: RunFolder) -> None:
    folder.write(runs.CONFIG, {"a": [1, None], "ü": "\ud800"})
    assert folder.read(runs.CONFIG) == {"a": [1, None], "ü": "\ud800"}
    for name in "abc":
        folder.append(runs.SAMPLES, row(name))
    assert list(folder.rows(runs.SAMPLES)) == [row("a"), row("b"), row("c")]
    folder.write_rows(runs.SAMPLES, [row("d")])
    assert list(folder.rows(runs.SAMPLES)) == [row("d")]
    assert sorted(file.name for file in folder.path.iterdir()) == [runs.CONFIG, runs.SAMPLES]


def test_rows_of_no_file_are_none(folder: RunFolder) -> None:
    assert list(folder.rows(runs.SCORES)) == []


def test_the_summary_is_what_makes_a_run_done(folder: RunFolder) -> None:
    assert not folder.done
    folder.write(runs.SUMMARY, {})
    assert folder.done


def test_nan_is_never_written(folder: RunFolder) -> None:
    folder.write(runs.SUMMARY, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        folder.write(runs.SUMMARY, {"a": float("nan")})
    assert folder.read(runs.SUMMARY) == {"a": 1}


def test_a_torn_last_line_is_dropped_at_every_place_where_it_can_tear(folder: RunFolder) -> None:
    folder.append(runs.SAMPLES, row("a"))
    folder.append(runs.SAMPLES, row("b"))
    file = folder.path / runs.SAMPLES
    whole = file.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole) - 1):
        file.write_bytes(whole[:end])
        assert list(folder.rows(runs.SAMPLES)) == [row("a")]
    file.write_bytes(whole[:-1])  # complete but for its line end
    assert list(folder.rows(runs.SAMPLES)) == [row("a"), row("b")]


def test_a_torn_line_does_not_swallow_the_row_that_is_appended_next(folder: RunFolder) -> None:
    folder.append(runs.SAMPLES, row("a"))
    with (folder.path / runs.SAMPLES).open("a") as file:
        file.write(json.dumps(row("b"))[:20])
    assert folder.keep_finished() == {"a"}
    folder.append(runs.SAMPLES, row("b"))
    assert list(folder.rows(runs.SAMPLES)) == [row("a"), row("b")]


def test_failed_rows_are_open_again(folder: RunFolder) -> None:
    for made in (row("a"), row("b", "it broke"), row("c")):
        folder.append(runs.SAMPLES, made)
    assert folder.keep_finished() == {"a", "c"}
    assert list(folder.rows(runs.SAMPLES)) == [row("a"), row("c")]


def test_a_broken_line_elsewhere_is_named(folder: RunFolder) -> None:
    (folder.path / runs.SAMPLES).write_text('{"sample_id": "a"}\n{"sample\n{"sample_id": "b"}\n')
    with pytest.raises(UserError, match=r"samples.jsonl, line 2 is damaged .*delete that line") as error:
        list(folder.rows(runs.SAMPLES))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [None, "", "{", "[]", "\ud800"])
def test_a_file_that_is_missing_or_damaged_is_named(folder: RunFolder, content: str | None) -> None:
    if content is not None:
        (folder.path / runs.CONFIG).write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(UserError, match=r"has no config\.json|config\.json is damaged") as error:
        folder.read(runs.CONFIG)
    assert "\n" not in str(error.value)


def test_a_file_in_place_of_a_folder_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file has no config\.json; name a run folder"):
        RunFolder(tmp_path / "file").read(runs.CONFIG)


def test_a_run_is_locked_until_the_first_is_done_with_it(folder: RunFolder) -> None:
    with folder.locked(), pytest.raises(UserError, match="another bench is working on"), folder.locked():
        pass
    with folder.locked():
        pass


def test_a_lock_makes_the_folder_or_says_why_not(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "a" / "b").locked():
        assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"cannot write to .*Not a directory; choose another folder by --out"),
        RunFolder(tmp_path / "file" / "run").locked(),
    ):
        pass


def test_find(tmp_path: Path) -> None:
    assert runs.find(tmp_path / "nowhere") == []
    for name in ("b", "a", ".store"):
        (tmp_path / name).mkdir()
    for name in ("b", "a"):
        (tmp_path / name / runs.CONFIG).write_text("{}")
    assert [found.path.name for found in runs.find(tmp_path)] == ["a", "b"]
    assert [found.path for found in runs.find(tmp_path / "b")] == [tmp_path / "b"]
