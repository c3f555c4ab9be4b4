"""The run folder on disk: writing, reading, and what is said of a broken file."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UserError
from bench.record import runs
from bench.record.runs import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    path = tmp_path / "run"
    path.mkdir()
    return RunFolder(path)


def row(sample_id: str, error: str | None = None) -> dict[str, Any]:
    return {
        "sample_id": sample_id,
        "category": "c",
        "user_id": "u",
        "text": f"text \ud800 of {sample_id}\n",
        "error": error,
        "retrieved": [],
        "kept": 0,
        "dropped_before": {"reviews": 0, "description_chars": 0, "text_chars": 0},
        "dropped": {"reviews": 0, "description_chars": 0, "text_chars": 0},
        "stages": {},
        "requests": [],
        "soft": {},
        "uncompared": None,
        "finish": [],
        "began": 0.0,
        "seconds": 0.0,
    }


def test_values_and_rows_come_back(folder: RunFolder) -> None:
    folder.write(runs.SUMMARY, {"a": [1, None], "ü": "\ud800"})
    assert folder.read(runs.SUMMARY) == {"a": [1, None], "ü": "\ud800"}
    for name in "abc":
        folder.append(runs.SAMPLES, row(name))
    assert list(folder.rows(runs.SAMPLES)) == [row("a"), row("b"), row("c")]
    folder.write_rows(runs.SAMPLES, [row("d")])
    assert list(folder.rows(runs.SAMPLES)) == [row("d")]
    assert sorted(file.name for file in folder.path.iterdir()) == [runs.SAMPLES, runs.SUMMARY]


def test_a_missing_file_has_no_rows(folder: RunFolder) -> None:
    assert list(folder.rows(runs.SCORES)) == []


def test_a_run_is_done_once_it_has_a_summary(folder: RunFolder) -> None:
    assert not folder.done
    folder.write(runs.SUMMARY, {})
    assert folder.done


def test_nan_is_never_written(folder: RunFolder) -> None:
    folder.write(runs.SUMMARY, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        folder.write(runs.SUMMARY, {"a": float("nan")})
    assert folder.read(runs.SUMMARY) == {"a": 1}


def test_a_last_line_that_was_cut_off_anywhere_is_dropped(folder: RunFolder) -> None:
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


def test_a_row_appended_after_a_line_that_was_cut_off_is_kept(folder: RunFolder) -> None:
    folder.append(runs.SAMPLES, row("a"))
    with (folder.path / runs.SAMPLES).open("a") as file:
        file.write(json.dumps(row("b"))[:20])
    assert folder.keep_finished() == {"a"}
    folder.append(runs.SAMPLES, row("b"))
    assert list(folder.rows(runs.SAMPLES)) == [row("a"), row("b")]


def test_failed_samples_are_written_again(folder: RunFolder) -> None:
    for made in (row("a"), row("b", "it broke"), row("c")):
        folder.append(runs.SAMPLES, made)
    assert folder.keep_finished() == {"a", "c"}
    assert list(folder.rows(runs.SAMPLES)) == [row("a"), row("c")]


# A broken line, and the message.
BROKEN = [
    ('{"sample', "not JSON"),
    ("[]", r"found \[\], expected an object"),
    ("{}", "sample_id: Field required"),
    (json.dumps({**row("b"), "error": 5}), "error = 5: Input should be an instance of str"),
    (json.dumps({**row("b"), "requests": [["x"]]}), r"requests.0 = \['x'\]: List should have at least 2 items"),
    (json.dumps({**row("b"), "stages": {"x": {"requests": 1}}}), "stages.x.from_store: Field required"),
    (json.dumps({**row("b"), "dropped": []}), r"dropped = \[\]: Input should be a valid dictionary"),
    ("[" * 100_000, "nested too deeply"),
]


@pytest.mark.parametrize(("line", "says"), BROKEN)
def test_a_broken_line_is_written_again_until_the_run_is_done_and_then_named(
    line: str, says: str, folder: RunFolder
) -> None:
    (folder.path / runs.SAMPLES).write_text(f"{json.dumps(row('a'))}\n{line}\n{json.dumps(row('c'))}\n")
    assert list(folder.rows(runs.SAMPLES)) == [row("a"), row("c")]
    folder.write(runs.SUMMARY, {})
    with pytest.raises(UserError, match=rf"samples.jsonl, line 2: .*{says}.*; delete .*summary.json, and its") as error:
        list(folder.rows(runs.SAMPLES))
    assert "\n" not in str(error.value)
    (folder.path / runs.SUMMARY).unlink()
    assert folder.keep_finished() == {"a", "c"}


@pytest.mark.parametrize("name", [runs.CONFIG, runs.PROVENANCE, runs.SAMPLES, runs.SCORES])
def test_a_folder_or_a_pipe_in_place_of_a_file_is_named_and_not_waited_for(name: str, folder: RunFolder) -> None:
    read = folder.read if name.endswith(".json") else lambda name: list(folder.rows(name))
    for make, kind in ((Path.mkdir, "a folder"), (os.mkfifo, "a device or a pipe")):
        make(folder.path / name)  # type: ignore[operator]
        with pytest.raises(UserError, match=rf"{name} is {kind}, not a file; "):
            read(name)
        shutil.rmtree(folder.path / name) if kind == "a folder" else (folder.path / name).unlink()


@pytest.mark.parametrize("content", [None, "", "{", "[]", "\ud800"])
def test_a_file_that_is_missing_or_damaged_is_named(folder: RunFolder, content: str | None) -> None:
    if content is not None:
        (folder.path / runs.CONFIG).write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(UserError, match=r"has no config\.json|config\.json is damaged") as error:
        folder.read(runs.CONFIG)
    assert "\n" not in str(error.value)


def test_a_file_in_place_of_a_run_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file has no config\.json; name a run folder"):
        RunFolder(tmp_path / "file").read(runs.CONFIG)


def test_a_lock_is_held_until_the_first_process_is_done(folder: RunFolder) -> None:
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


def test_run_folders_are_found_below_an_output_folder(tmp_path: Path) -> None:
    assert runs.find(tmp_path / "nowhere") == []
    for name in ("b", "a", ".store"):
        (tmp_path / name).mkdir()
    for name in ("b", "a"):
        (tmp_path / name / runs.CONFIG).write_text("{}")
    assert [found.path.name for found in runs.find(tmp_path)] == ["a", "b"]
    assert [found.path for found in runs.find(tmp_path / "b")] == [tmp_path / "b"]


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({}, r"was written by an older version \(format 1, this is 4\); delete {path} and run its command again$"),
        ({"format": 5}, r"was written by a newer version \(format 5, this is 4\); update dep-bench$"),
    ],
)
def test_a_run_of_another_version_is_one_line_whatever_is_read_of_it(
    written: dict[str, Any], says: str, folder: RunFolder
) -> None:
    for name in (runs.CONFIG, runs.SUMMARY, runs.PROVENANCE):
        folder.write(name, {**written, "another": "key"})
    folder.write_rows(runs.SAMPLES, [{"sample": "a"}, {"sample": "b"}])
    for read in (
        lambda: folder.read(runs.CONFIG),
        lambda: folder.read(runs.PROVENANCE),
        folder.summary,
        lambda: list(folder.rows(runs.SAMPLES)),
    ):
        with pytest.raises(UserError, match=rf"^{folder.path / runs.CONFIG} {says.format(path=folder.path)}"):
            read()
