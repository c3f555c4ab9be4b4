"""Datasets of both layouts and raw files with anything in their rows: loaded, or refused in one line that names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.corpus import load
from bench.data.folder import jsonl, parquet
from bench.record import runs
from tests import fakes
from tests.data.toy import meta, raw
from tests.fakes import FakeGenerator, World
from tests.fuzz.cases import NESTED, cases, edited, lines, said, spells, texts, torn, values

pytestmark = pytest.mark.slow

MANIFEST = {"format": 1, "name": "toy", "title": "a toy", "synthetic": True, "categories": list(fakes.CATEGORIES)}


def planned(world: World, capfd: pytest.CaptureFixture[str], folder: Path) -> int:
    code, _, err = said(capfd, *world.words("--data", folder, "--dry-run", method="rag"))
    assert code == 0 or folder.name in err
    assert FakeGenerator.plan.started == 0
    return code


def as_line(row: Any) -> bytes:
    return json.dumps(row).encode()


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list[bytes]]:
    """The lines of a dataset in which one row is changed, gone, doubled, or no JSON; or nothing is wrong."""
    rows: dict[str, list[Any]] = json.loads(json.dumps(fakes.tables()))
    written = {name: [as_line(row) for row in table] for name, table in rows.items()}
    name = draw(st.sampled_from(list(rows)))
    place = draw(st.integers(0, len(rows[name]) - 1))
    how = draw(st.sampled_from(["whole", "whole", "edit", "edit", "edit", "drop", "repeat", "tear", "other", "nest"]))
    if how == "whole":
        return written
    if how == "drop":
        del written[name][place]
    elif how == "repeat":
        written[name].append(written[name][place])
    elif how == "tear":
        written[name][place] = draw(torn(json.dumps(rows[name][place])))
    elif how == "nest":
        written[name][place] = draw(st.sampled_from(NESTED)).encode()
    else:
        odd = draw(edited(rows[name][place])) if how == "edit" else draw(values)
        written[name][place] = as_line(odd)
    return written


@cases(230)
@given(written=tables(), manifest=st.just(MANIFEST) | st.just(MANIFEST) | edited(MANIFEST))
def test_json_lines(
    world: World, capfd: pytest.CaptureFixture[str], written: dict[str, list[bytes]], manifest: dict[str, Any]
) -> None:
    folder = world.path / "changed"
    folder.mkdir(exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(manifest))
    for name, rows in written.items():
        (folder / f"{name}.jsonl").write_bytes(b"\n".join(rows))
    planned(world, capfd, folder)


def write_parquet(folder: Path, categories: list[str], changed: dict[str, list[dict[str, Any]]]) -> None:
    """The dataset of `fakes` as Parquet, without a fingerprint; the tables that are changed in its first category."""
    plain = fakes.tables()
    for number, category in enumerate(fakes.CATEGORIES):
        (folder / category).mkdir(parents=True, exist_ok=True)
        reviews = [row for row in plain["reviews"] if row["category"] == category]
        places = {row["review_id"]: place for place, row in enumerate(reviews)}
        made = {"items": [row for row in plain["items"] if row["category"] == category], "reviews": reviews}
        for split in parquet.SPLITS:
            mine = [row for row in plain["samples"] if (row["category"], row["split"]) == (category, split)]
            ids = [{**row, "review": places[row["review_id"]]} for row in mine]
            made[split] = [{**row, "history": [places[past] for past in row["history"]]} for row in ids]
        for name, rows in (made | (changed if not number else {})).items():
            pq.write_table(pa.Table.from_pylist(rows, parquet.schema(name)), folder / category / f"{name}.parquet")
    told = {"format": 2, "name": "toy", "title": "a toy", "synthetic": False, "categories": categories}
    (folder / "dataset.json").write_text(json.dumps(told))


ROW = {
    "items": st.fixed_dictionaries({key: st.none() | lines for key in ("category", "item_id", "title", "description")}),
    "test": st.fixed_dictionaries(
        {key: st.none() | lines | st.just("Books") for key in ("sample_id", "split", "category", "user_id", "item_id")}
        | {
            "review": st.none() | st.integers(-2, 40),
            "history": st.none() | st.lists(st.none() | st.integers(-2, 40), max_size=4),
        }
    ),
    "reviews": st.fixed_dictionaries(
        {key: st.none() | lines for key in ("review_id", "category", "user_id", "item_id", "title", "text")}
        | {"rating": st.none() | st.floats(), "timestamp": st.none() | st.integers(-(2**63), 2**63 - 1)}
    ),
}


@cases(100)
@given(data=st.data())
def test_parquet(world: World, capfd: pytest.CaptureFixture[str], data: st.DataObject) -> None:
    folder = world.path / "packed"
    name = data.draw(st.sampled_from(list(ROW)))
    rows = data.draw(st.lists(ROW[name], max_size=2))
    names = data.draw(st.just(list(fakes.CATEGORIES)) | st.lists(texts | spells | st.just("Books"), max_size=3))
    write_parquet(folder, names, {name: rows} if data.draw(st.booleans()) else {})
    if data.draw(st.booleans()):
        file = folder / "Books" / f"{name}.parquet"
        whole = bytearray(file.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
        file.write_bytes(whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole)
    planned(world, capfd, folder)


def test_the_packed_dataset_as_it_is(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    folder = world.path / "whole"
    write_parquet(folder, list(fakes.CATEGORIES), {})
    assert planned(world, capfd, folder) == 0


# ---------------------------------------------------------------- raw files

RULES = "--min-chars 1 --min-user-reviews 3 --min-item-users 2 --min-description 0 --require title --train-inputs 1"
LOOSE = [*RULES.split(), "--min-profile-reviews", "1", "--min-profile-item-users", "1"]
REVIEWS = [raw(user, item, 100 * n) for user in ("ann", "bob") for n, item in enumerate("abcd", 1)]
ITEMS = [meta(item) for item in "abcd"]


@cases(25)
@given(data=st.data())
def test_raw_files(world: World, capfd: pytest.CaptureFixture[str], data: st.DataObject) -> None:
    """Odd lines beside eight good ones: left out and counted, and what is built loads."""
    odd = st.one_of(edited(REVIEWS[0]).map(as_line), values.map(as_line), torn(json.dumps(REVIEWS[0])))
    spoilt = [*map(as_line, REVIEWS), *data.draw(st.lists(odd, max_size=30))]
    goods = [*map(as_line, ITEMS), *data.draw(st.lists(edited(ITEMS[0]).map(as_line), max_size=10))]
    (world.path / "reviews.jsonl").write_bytes(b"\n".join(spoilt))
    (world.path / "meta.jsonl").write_bytes(b"\n".join(goods))
    out = world.path / "built"
    files = ["--reviews", world.path / "reviews.jsonl", "--meta", world.path / "meta.jsonl"]
    code, _, _ = said(capfd, "data", "build", *files, "--category", "Toys", "--out", out, *LOOSE)
    if code == 0:
        assert {sample.user_id for sample in load(str(out)).samples("test")} >= {"ann", "bob"}


@pytest.mark.parametrize(
    "name", ["../up", "a/b", "/etc", "a\\b", "..", ".hidden", "", " a", "x" * 300, "a\x1b[2Jb", "a\nb"]
)
def test_a_category_is_no_way_out_of_its_folder(world: World, capfd: pytest.CaptureFixture[str], name: str) -> None:
    for path, rows in (("r.jsonl", REVIEWS), ("m.jsonl", ITEMS)):
        (world.path / path).write_bytes(b"\n".join(map(as_line, rows)))
    out = world.path / "deep" / "er"
    files = ["--reviews", world.path / "r.jsonl", "--meta", world.path / "m.jsonl"]
    before = sorted(world.path.rglob("*"))
    code, _, err = said(capfd, "data", "build", *files, "--category", name, "--out", out, *LOOSE)
    assert (code, "category" in err) == (2, True)
    entry = {"id": "1", "title": "t", "text": "said", "date": "2016-05-21"}
    lamp = world.path / "lamp"
    lamp.mkdir(exist_ok=True)
    (lamp / "train_questions.json").write_text(json.dumps([{"id": "7", "input": "Write: x", "profile": [entry]}]))
    (lamp / "train_outputs.json").write_text(json.dumps({"task": "LaMP_4", "golds": [{"id": "7", "output": "out"}]}))
    words = ["data", "import", lamp, "--layout", "lamp", "--out", out]
    if name:  # an empty one means the task's
        code, _, err = said(capfd, *words, "--category", name)
        assert (code, "category" in err) == (2, True)
    made = [path for path in sorted(world.path.rglob("*")) if path not in before and lamp not in (path, *path.parents)]
    assert made == []


def test_no_file_is_named_by_a_user_an_item_or_a_review(world: World) -> None:
    """Ids that are paths, in a dataset that runs: every file below the output folder is one of ours."""
    plain = json.loads(json.dumps(fakes.tables()).replace("u0", "../u0").replace("Books", "../../Bo\\u0000oks"))
    manifest = {**MANIFEST, "categories": ["../../Books", "Films"]}
    for table in plain.values():
        for row in table:
            for key, value in row.items():
                row[key] = value.replace("\0", "") if key == "category" else value
    jsonl.write(world.path / "paths", manifest, plain)
    out = world.path / "named"
    before = {path for path in world.path.rglob("*") if out not in path.parents}
    assert world.run("--data", world.path / "paths", "--out", out, method="rag") == 0
    assert {path for path in world.path.rglob("*") if out not in (path, *path.parents)} == before
    (run,) = runs.find(out)
    ours = {"config.json", "provenance.json", "samples.jsonl", "scores.jsonl", "scores.npz", "summary.json", ".lock"}
    assert {path.name for path in run.path.iterdir()} == ours
    assert len(list(run.rows(runs.SAMPLES))) == 6
