"""Whatever is wrong with a dataset is one line: which file, which line, what was found, what to do."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.data.corpus import load
from bench.errors import UserError
from tests.data.toy import Row, toy_tables, write_toy

Tables = dict[str, list[Any]]
WHOLE = {"format": 1, "name": "toy", "title": "Toy", "synthetic": True, "categories": ["A", "B"]}


def change(table: str, index: int, **values: Any) -> Callable[[Tables], None]:
    def apply(tables: Tables) -> None:
        tables[table][index] = {**tables[table][index], **values}

    return apply


def repeat(table: str, index: int) -> Callable[[Tables], None]:
    return lambda tables: tables[table].append(tables[table][index])


def drop_key(table: str, index: int, key: str) -> Callable[[Tables], None]:
    def apply(tables: Tables) -> None:
        row: Row = tables[table][index]
        del row[key]

    return apply


def replace(table: str, index: int, line: str) -> Callable[[Tables], None]:
    def apply(tables: Tables) -> None:
        tables[table][index] = line

    return apply


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (replace("reviews", 3, '{"review_id": "A'), r"reviews\.jsonl line 4: not JSON .*review_id"),
        (replace("items", 0, "[1]"), r"items\.jsonl line 1: not a JSON object: '\[1\]'"),
        (replace("reviews", 0, '{"rating": NaN}'), r"reviews\.jsonl line 1: NaN is not a number"),
        (replace("items", 1, '{"title": "a", "title": "b"}'), r"items\.jsonl line 2: the key 'title' is there twice; "),
        (drop_key("reviews", 2, "text"), r"reviews\.jsonl line 3: 'text' is missing"),
        (change("reviews", 2, rating="5"), r"reviews\.jsonl line 3: 'rating' must be .* a number, found '5'"),
        (change("reviews", 2, rating=10**400), r"line 3: 'rating' must be .* a number, found 1000"),
        (change("reviews", 1, timestamp=2**63), r"line 2: 'timestamp' must be a whole number or null, found 9223"),
        (replace("reviews", 0, "[" * 3000), r"reviews\.jsonl line 1: not JSON \(nested too deeply\)"),
        (change("reviews", 2, rating=True), r"line 3: 'rating' must be .*found True"),
        (change("reviews", 1, timestamp=1.5), r"line 2: 'timestamp' must be a whole number or null, found 1\.5"),
        (change("reviews", 1, text=" "), r"line 2: 'text' is blank"),
        (change("samples", 0, history="A/ann/i1"), r"samples\.jsonl line 1: 'history' must be a list"),
        (change("samples", 0, history=[3]), r"samples\.jsonl line 1: history names 3, which is not in the reviews"),
        (change("samples", 1, split="dev"), r"samples\.jsonl line 2: split 'dev' is none of train, val, test"),
        (change("items", 0, category="C"), r"items\.jsonl line 1: category 'C' is not one of dataset\.json's: A, B"),
        (change("reviews", 0, item_id="i9"), r"reviews\.jsonl line 1: item_id 'i9' of A is not in the items"),
        (change("samples", 2, review_id="A/bob/i9"), r"samples\.jsonl line 3: review_id 'A/bob/i9' is not in"),
        (change("samples", 2, history=["nope"]), r"samples\.jsonl line 3: history names 'nope'"),
        (change("samples", 2, user_id="ann"), r"line 3: review_id 'A/bob/i1' is of A, bob, i1: not this"),
        (change("samples", 2, history=["A/ann/i1"]), r"line 3: history holds 'A/ann/i1', which another user wrote"),
        (change("samples", 5, history=["A/bob/i3"]), r"line 6: history holds 'A/bob/i3', which another user wrote"),
        (change("samples", 0, history=["A/ann/i3"]), r"line 1: history holds the target 'A/ann/i3' itself"),
        (change("samples", 0, history=["A/ann/i1", "A/ann/i1"]), r"line 1: history names a review twice"),
        (change("samples", 0, history=["A/ann/i1", "A/ann/i2"]), r"line 1: history is not newest first: 'A/ann/i2'"),
        (change("samples", 1, history=["A/ann/i3"]), r"line 2: .*'A/ann/i3' is newer than 'A/ann/i2'"),
        (repeat("items", 1), r"items\.jsonl line 6: item_id 'i2' is there twice in A"),
        (repeat("reviews", 1), r"reviews\.jsonl line 12: review_id 'A/ann/i2' is there twice"),
        (repeat("samples", 1), r"samples\.jsonl line 7: sample_id 'val:A/ann/i2' is there twice"),
        (lambda tables: tables["samples"].clear(), "holds no samples"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, spoil: Callable[[Tables], None], expected: str) -> None:
    tables: Tables = toy_tables()
    spoil(tables)
    with pytest.raises(UserError, match=expected) as caught:
        load(str(write_toy(tmp_path, tables)))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_null_time_between_two_reviews_hides_no_disorder_of_neighbours(tmp_path: Path) -> None:
    tables = toy_tables()
    tables["reviews"][1]["timestamp"] = None
    tables["reviews"][2]["timestamp"] = 99
    with pytest.raises(UserError, match="'A/ann/i1' is newer than 'A/ann/i3'"):
        load(str(write_toy(tmp_path, tables)))


def test_missing_and_doubled_files(tmp_path: Path) -> None:
    folder = write_toy(tmp_path / "toy")
    (folder / "samples.jsonl.gz").write_bytes(b"")
    with pytest.raises(UserError, match=r"both samples\.jsonl and samples\.jsonl\.gz"):
        load(str(folder))
    (folder / "samples.jsonl").unlink()
    (folder / "samples.jsonl.gz").unlink()
    with pytest.raises(UserError, match=r"no samples\.jsonl .*`bench data build`"):
        load(str(folder))
    (folder / "dataset.json").unlink()
    with pytest.raises(UserError, match=r"no dataset\.json.*`bench data build`"):
        load(str(folder))


@pytest.mark.parametrize("table", ["items", "reviews", "samples"])
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_what_is_no_regular_file_is_named_and_not_waited_for(tmp_path: Path, table: str, packed: str) -> None:
    folder = write_toy(tmp_path / "toy")
    path = folder / f"{table}.jsonl"
    path.unlink()
    path = folder / f"{table}.jsonl{packed}"
    for make, kind in ((Path.mkdir, "a folder"), (os.mkfifo, "a device or a pipe")):
        make(path)  # type: ignore[operator]
        with pytest.raises(UserError, match=rf"{path.name} is {kind}, not a file; put the file itself there"):
            load(str(folder))
        path.rmdir() if kind == "a folder" else path.unlink()
    path.symlink_to("/dev/null")
    with pytest.raises(UserError, match="is a device or a pipe, not a file"):
        load(str(folder))


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ('{\n"format": 1,\n"name" "toy"}', r"dataset\.json line 3: not JSON"),
        ("[]", r"dataset\.json line 1: not a JSON object"),
        ('{"format": 1, "name": "a", "name": "b"}', r"dataset\.json: not JSON .*the key 'name' is there twice"),
        ('{"format": 1}', r"dataset\.json: 'name' is missing"),
        ("[" * 3000, r"dataset\.json: not JSON \(maximum recursion"),
        (json.dumps(WHOLE | {"categories": [5]}), r"dataset\.json: a name must be text .*, found 5"),
        (json.dumps(WHOLE | {"categories": ["A", "A"]}), r"dataset\.json: category 'A' is there twice"),
        (json.dumps(WHOLE | {"title": "a\x1b[2J"}), r"dataset\.json: a name must be text without control characters"),
        (json.dumps(WHOLE | {"name": "\ud800"}), r"dataset\.json: a name must be text without control characters"),
        (json.dumps(WHOLE | {"format": 2, "categories": ["../A"]}), r"category '\.\./A' is no name of a folder"),
        (json.dumps(WHOLE | {"format": 2, "categories": ["x" * 300]}), r"is no name of a folder"),
        (json.dumps({"format": 9, "name": "", "title": "", "synthetic": True, "categories": []}), "format 9 is not 1"),
    ],
)
def test_a_wrong_manifest_is_named(tmp_path: Path, manifest: str, expected: str) -> None:
    folder = write_toy(tmp_path)
    (folder / "dataset.json").write_text(manifest)
    with pytest.raises(UserError, match=expected):
        load(str(folder))


def test_an_edited_dataset_is_refused(tmp_path: Path) -> None:
    folder = write_toy(tmp_path)
    fingerprint = load(str(folder)).fingerprint
    write_toy(tmp_path, {}, fingerprint=fingerprint)
    assert load(str(folder)).fingerprint == fingerprint
    path = folder / "reviews.jsonl"
    path.write_text(path.read_text().replace("ann wrote", "ann write"))
    with pytest.raises(UserError, match="was changed after it was written"):
        load(str(folder))


def test_a_cut_gzip_file_is_named(tmp_path: Path) -> None:
    folder = write_toy(tmp_path)
    packed = gzip.compress((folder / "reviews.jsonl").read_bytes())
    (folder / "reviews.jsonl").unlink()
    (folder / "reviews.jsonl.gz").write_bytes(packed[:-10])
    with pytest.raises(UserError, match=r"reviews\.jsonl\.gz cannot be read after line \d+ .*download"):
        load(str(folder))
