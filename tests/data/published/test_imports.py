"""Published layouts become datasets: DPL's saved copies, LaMP, LongLaMP."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict

from bench.data.corpus import Corpus, load
from bench.data.folder import merge
from bench.data.published import dpl, lamp
from bench.errors import UserError
from tests.data.toy import read_table

Row = dict[str, Any]
USERS = {"Books": ["ann", "bob"], "CDs_and_Vinyl": ["ann", "cid", "dan"]}
ITEMS = [f"a{n}" for n in range(7)]


FIRST = 1_600_000_000_000  # ms since 1970; toy times count from here


def review(user: str, n: int) -> Row:
    return {"asin": ITEMS[n], "title": f"So {n}", "timestamp": FIRST + 10 * n, "rating": 4.0, "text": f"{user} on {n}"}


def samples(users: list[str]) -> dict[str, list[Row]]:
    """Reviews 0 and 1 are the profile, 2 to 4 train, 5 val, 6 test; profiles oldest first, as DPL writes them."""
    found: dict[str, list[Row]] = {"train": [], "val": [], "test": []}
    for user in users:
        for n in range(2, 7):
            split = {5: "val", 6: "test"}.get(n, "train")
            profile = [review(user, past) for past in range(n)]
            found[split].append({"user_id": user, "profile": profile, "data": review(user, n)})
    return found


META = [{"asin": item, "title": f"Thing {item}", "description": "A thing"} for item in ITEMS[:-1]]


def saved(folder: Path) -> Path:
    for category, users in USERS.items():
        main = DatasetDict({split: Dataset.from_list(rows) for split, rows in samples(users).items()})
        main.save_to_disk(folder / "DPL-main" / category)
        DatasetDict({"full": Dataset.from_list(META)}).save_to_disk(folder / "DPL-meta" / category)
    return folder


def parquet_copy(folder: Path) -> Path:
    for category, users in USERS.items():
        main, meta = folder / "DPL-main" / category, folder / "DPL-meta" / category
        main.mkdir(parents=True)
        meta.mkdir(parents=True)
        for split, rows in samples(users).items():
            pq.write_table(pa.Table.from_pylist(rows), main / f"{split}-00000-of-00001.parquet")
        pq.write_table(pa.Table.from_pylist(META), meta / "full-00000-of-00001.parquet")
    return folder


def lines_copy(folder: Path) -> Path:
    for category, users in USERS.items():
        main, meta = folder / "DPL-main" / category, folder / "DPL-meta" / category
        main.mkdir(parents=True)
        meta.mkdir(parents=True)
        for split, rows in samples(users).items():
            (main / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        (meta / "full.json").write_text(json.dumps(META))
    return folder


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("copy"))


@pytest.fixture(scope="module")
def found(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    out = tmp_path_factory.mktemp("dpl")
    dpl.load(copy, out)
    return load(str(out))


def test_a_saved_copy_becomes_the_paper_s_sets(found: Corpus) -> None:
    assert found.categories == ("Books", "CDs_and_Vinyl")
    assert {split: len(found.samples(split)) for split in ("train", "val", "test")} == {
        "train": 15,
        "val": 5,
        "test": 5,
    }
    unified = found.training_samples()
    assert [(s.category, s.user_id, s.item.item_id) for s in unified] == [
        (category, user, "a4") for category, users in USERS.items() for user in users
    ]
    test = found.samples("test")[0]
    assert (test.user_id, test.item.item_id, test.item.title, test.title, test.rating) == ("ann", "a6", "", "So 6", 4.0)
    assert [past.item.item_id for past in test.history] == ["a5", "a4", "a3", "a2", "a1", "a0"]
    assert test.history[0].item.description == "A thing"
    assert found.reference(test.sample_id) == "ann on 6"


def test_targets_of_val_and_test_are_nobody_s_peers(found: Corpus) -> None:
    test = found.samples("test")[0]
    peers = {past.item.item_id: [peer.user_id for peer in found.peers(past)] for past in test.history}
    assert peers == {"a5": [], **{item: ["bob"] for item in ("a4", "a3", "a2", "a1", "a0")}}
    assert found.peers(found.target(test.sample_id)) == ()


@pytest.mark.parametrize("make", [parquet_copy, lines_copy])
def test_every_layout_gives_the_same_dataset(make: Any, found: Corpus, tmp_path: Path) -> None:
    report = dpl.load(make(tmp_path / "copy"), tmp_path / "out")
    assert report.fingerprint == found.fingerprint
    manifest = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert all(len(source["sha256"]) == 64 for source in manifest["sources"]["Books"])
    assert manifest["counts"]["Books"] == {"users": 2, "items": 7, "reviews": 14, "train": 6, "val": 2, "test": 2}


def test_the_validation_draw_is_the_released_shuffle_and_the_rest_stays_held_out(copy: Path, tmp_path: Path) -> None:
    report = dpl.load(copy, tmp_path, n_val=2)
    corpus = load(str(tmp_path))
    everything = [(category, user) for category in ("Books", "CDs_and_Vinyl") for user in USERS[category]]
    rows = Dataset.from_list([{"at": n} for n in range(5)]).shuffle(seed=42)["at"][:2]
    assert sorted(rows) == sorted(np.random.default_rng(42).permutation(5)[:2])
    assert {(s.category, s.user_id) for s in corpus.samples("val")} == {everything[n] for n in rows}
    assert sum(counts["val"] for counts in report.counts.values()) == 2
    held_out = [row["review_id"] for row in read_table(tmp_path, "reviews") if row["held_out"]]
    assert sorted(held_out) == sorted(f"{c}/{u}/{item}" for c, u in everything for item in ("a5", "a6"))


def test_what_is_missing_is_said(copy: Path, tmp_path: Path) -> None:
    report = dpl.load(copy, tmp_path / "out")
    assert report.notes[0] == "Books: 2 texts on items that Books's metadata lacks: no title or description"
    with pytest.raises(UserError, match=r"is no copy of DPL's data: DPL-main/CATEGORY .*`bench data fetch dpl`"):
        dpl.load(tmp_path, tmp_path / "out")
    broken = lines_copy(tmp_path / "copy")
    (broken / "DPL-main" / "Books" / "val.jsonl").write_text('{"user_id": "ann", "profile": []}\n')
    with pytest.raises(UserError, match=r"Books val, sample 1: field 'data' is missing; check"):
        dpl.load(broken, tmp_path / "out")
    (broken / "DPL-main" / "Books" / "val.jsonl").unlink()
    with pytest.raises(UserError, match=r"Books has no split 'val': .*val\*\.parquet, \.jsonl or \.json is expected"):
        dpl.load(broken, tmp_path / "out")


def test_a_fetched_copy_that_was_changed_is_refused(tmp_path: Path) -> None:
    folder = lines_copy(tmp_path)
    fetched = {"revisions": {"SnowCharmQ/DPL-main": "c0ffee"}, "sha256": {"DPL-meta/Books/full.json": "0" * 64}}
    (folder / dpl.FETCHED).write_text(json.dumps(fetched))
    with pytest.raises(UserError, match=r"full\.json is not the file that was fetched; run `bench data fetch dpl`"):
        dpl.load(folder, tmp_path / "out")


def test_fetching_pins_the_commits_and_keeps_checksums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str]] = []

    class Hub:
        def dataset_info(self, repository: str, revision: str | None) -> Any:
            return type("Info", (), {"sha": revision or f"newest of {repository}"})

    def load_dataset(repository: str, category: str, *, revision: str) -> DatasetDict:
        asked.append((repository, category, revision))
        rows = samples(USERS[category]) if "main" in repository else {"full": META}
        return DatasetDict({split: Dataset.from_list(found) for split, found in rows.items()})

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    dpl.fetch(tmp_path, USERS)
    assert asked[0] == ("SnowCharmQ/DPL-main", "Books", "newest of SnowCharmQ/DPL-main")
    assert len(asked) == 4
    (tmp_path / dpl.FETCHED).write_text(
        (tmp_path / dpl.FETCHED).read_text().replace("newest of SnowCharmQ/DPL-main", "c0ffee")
    )
    dpl.fetch(tmp_path, USERS)
    assert asked[4] == ("SnowCharmQ/DPL-main", "Books", "c0ffee")
    dpl.load(tmp_path, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert manifest["published"]["Books"]["revisions"]["SnowCharmQ/DPL-main"] == "c0ffee"


def test_without_the_hub_it_says_what_to_download_and_where_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hub:
        def dataset_info(self, *_: object, **__: object) -> None:
            raise ConnectionError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    with pytest.raises(UserError) as caught:
        dpl.fetch(tmp_path / "copy")
    message = str(caught.value)
    assert "cannot be fetched from huggingface.co (no route)" in message
    assert "SnowCharmQ/DPL-main and SnowCharmQ/DPL-meta" in message
    assert f"{tmp_path}/copy/DPL-main/CATEGORY" in message
    assert f"`bench data import {tmp_path}/copy --out OUT`" in message


# ---------------------------------------------------------------- LaMP and LongLaMP


def write_lamp(folder: Path, task: str, questions: list[Row], outputs: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    golds = [{"id": row["id"], "output": output} for row, output in zip(questions, outputs, strict=True)]
    for split in ("train", "dev"):
        (folder / f"{split}_questions.json").write_text(json.dumps(questions))
        (folder / f"{split}_outputs.json").write_text(json.dumps({"task": task, "golds": golds}))
    (folder / "test_questions.json").write_text(json.dumps(questions))
    return folder


def test_lamp_headlines(tmp_path: Path) -> None:
    profile = [
        {"id": "10", "title": "Old news", "text": "An old article", "date": "2015-03-01"},
        {"id": "11", "title": "New news", "text": "A new article", "date": "2016-03-01"},
    ]
    asked = "Generate a headline for the following article: The article itself"
    folder = write_lamp(tmp_path / "in", "LaMP_4", [{"id": "1", "input": asked, "profile": profile}], ["The headline"])
    report = lamp.load(folder, tmp_path / "out", "lamp")
    assert report.counts == {"LaMP_4": {"users": 1, "items": 3, "reviews": 3, "train": 1, "val": 1, "test": 0}}
    assert any("no item of LaMP_4 is shared by two users: methods that compare users" in note for note in report.notes)
    assert any("no test sample has a published text" in note for note in report.notes)
    found = load(str(tmp_path / "out"))
    assert found.without_peers() == ["LaMP_4"]
    (sample,) = found.samples("val")
    assert (sample.item.description, sample.item.title, sample.rating) == ("The article itself", "", 0.0)
    assert found.reference(sample.sample_id) == "The headline"
    assert [(past.text, past.item.description) for past in sample.history] == [
        ("New news", "A new article"), ("Old news", "An old article"),
    ]  # fmt: skip
    assert sample.history[0].timestamp == 1456790400000


@pytest.mark.parametrize(
    ("task", "asked", "past", "text", "description"),
    [
        ("LaMP_5", "Generate a title for the following abstract of a paper", {"title": "T", "abstract": "A"}, "T", "A"),
        ("LaMP_6", "Generate a subject for the following email", {"title": "T", "text": "A"}, "T", "A"),
        ("LaMP_7", "Paraphrase the following tweet without any explanation before or after it", {"text": "T"}, "T", ""),
    ],
)
def test_lamp_s_other_texts(tmp_path: Path, task: str, asked: str, past: Row, text: str, description: str) -> None:
    profile = [{"id": "9", **past}, {"id": "8", **past, "text": "Later" if task == "LaMP_7" else past.get("text")}]
    folder = write_lamp(
        tmp_path / "in", task.replace("_", "-"), [{"id": "1", "input": f"{asked}: We do", "profile": profile}], ["Out"]
    )
    lamp.load(folder, tmp_path / "out", "lamp", category="Mine")
    found = load(str(tmp_path / "out"))
    (sample,) = found.samples("train")
    assert (found.categories, sample.item.description) == (("Mine",), "We do")
    assert [one.item.item_id for one in sample.history] == ["1/8", "1/9"]  # no dates: the last of the profile is newest
    assert (sample.history[1].text, sample.history[1].item.description) == (text, description)


def test_lamp_s_classification_tasks_are_none(tmp_path: Path) -> None:
    folder = write_lamp(tmp_path, "LaMP_3", [{"id": "1", "input": "?", "profile": []}], ["5"])
    with pytest.raises(UserError, match=r"no text-generation task of LaMP 'LaMP_3'; did you mean 'LaMP_\d'"):
        lamp.load(folder, tmp_path / "out", "lamp")
    with pytest.raises(UserError, match=r"has no file of the layout 'longlamp', e\.g\. train\.json; check the folder"):
        lamp.load(tmp_path / "nowhere", tmp_path / "out", "longlamp")


def test_longlamp_reviews(tmp_path: Path) -> None:
    def row(n: int) -> Row:
        return {"overall": f"{n}.0", "summary": f"Sum {n}", "description": f"What {n}", "reviewText": f"Text {n}"}

    folder = tmp_path / "in"
    folder.mkdir()
    rows = [{"reviewerId": user, **row(5), "profile": [row(1), row(2), row(5)]} for user in ("A1", "A2")]
    pq.write_table(pa.Table.from_pylist(rows), folder / "train-00000-of-00001.parquet")
    (folder / "validation.json").write_text(json.dumps(rows[:1]))
    (folder / "test.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in rows))
    report = lamp.load(folder, tmp_path / "out", "longlamp")
    assert report.counts["product_review"] == {"users": 2, "items": 6, "reviews": 6, "train": 2, "val": 1, "test": 2}
    found = load(str(tmp_path / "out"))
    sample = found.samples("test")[0]
    assert (sample.user_id, sample.rating, sample.title, sample.item.description) == ("A1", 5.0, "Sum 5", "What 5")
    # The target itself stood in the profile.
    assert [(past.text, past.rating) for past in sample.history] == [("Text 2", 2.0), ("Text 1", 1.0)]


def test_longlamp_abstracts_and_topics(tmp_path: Path) -> None:
    paper = {"title": "On x", "abstract": "We show x", "year": 2001, "id": "p1"}
    post = {"summary": "In short", "content": "At length", "author": "me"}
    for name, rows in {
        "papers": [{"name": "N", "title": "On y", "abstract": "We show y", "profile": [paper]}],
        "posts": [{"author": "me", "summary": "Short", "content": "Long", "profile": [post]}],
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "test.json").write_text(json.dumps(rows))
        lamp.load(tmp_path / name, tmp_path / "out", "longlamp")
    found = load(str(tmp_path / "out"))
    paper_sample, post_sample = found.samples("test")
    assert (paper_sample.category, paper_sample.item.title) == ("abstract_generation", "On y")
    assert paper_sample.history[0].timestamp == 978307200000
    assert (post_sample.category, post_sample.item.description) == ("topic_writing", "Short")
    assert post_sample.history[0].text == "At length"


def test_a_category_has_a_name_that_can_be_a_folder(tmp_path: Path) -> None:
    for name in ("", " a", "a/b", "..", ".a", "a\\b"):
        with pytest.raises(UserError, match="give it a name without / or"):
            merge.check_category(tmp_path, name)


def lamp_folder(folder: Path, dates: list[Any]) -> Path:
    folder.mkdir()
    profile = [
        {"id": str(n), "title": f"Title {n}", "abstract": f"Text {n}", "date": one} for n, one in enumerate(dates)
    ]
    asked = {"id": "1", "input": "Generate a title for the following abstract of a paper: So.", "profile": profile}
    for split in ("train", "dev"):
        (folder / f"{split}_questions.json").write_text(json.dumps([asked]))
        (folder / f"{split}_outputs.json").write_text(
            json.dumps({"task": "LaMP_5", "golds": [{"id": "1", "output": "A title"}]})
        )
    return folder


@pytest.mark.parametrize(
    ("dates", "newest", "note"),
    [
        (["2009", "2019", "1999", "2015"], [2019, 2015, 2009, 1999], "8 times are years alone"),
        (["2009-01-01", "05 Mar 2019", 1438387200, "1999"], [2019, 2015, 2009, 1999], ""),
        (
            [None, None, None, None],
            [3, 2, 1, 0],
            "2 samples with past texts that have no time: these come last, in the order of the file",
        ),
        (["2009", "soon", "2019", "2015"], [2019, 2015, 2009, 1970], "2 times cannot be read, like 'soon'"),
    ],
)
def test_dates_of_any_spelling_order_a_profile_or_are_noted(
    dates: list[Any], newest: list[int], note: str, tmp_path: Path
) -> None:
    report = lamp.load(lamp_folder(tmp_path / "lamp", dates), tmp_path / "out", "lamp")
    (sample,) = load(str(tmp_path / "out")).samples("val")
    if max(newest) > 3:
        years = [time.gmtime((past.timestamp or 0) / 1000).tm_year for past in sample.history]
        assert years == newest
    else:
        assert [past.text for past in sample.history] == [f"Title {n}" for n in newest]
    assert any(note in found for found in report.notes), report.notes


def test_strict_refuses_odd_times(tmp_path: Path) -> None:
    folder = lamp_folder(tmp_path / "lamp", ["2009", "soon"])
    with pytest.raises(UserError, match=r"LaMP_5: 2 times cannot be read, like 'soon': .* import without --strict"):
        lamp.load(folder, tmp_path / "out", "lamp", strict=True)
    assert not (tmp_path / "out" / "LaMP_5").exists()


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    folder = lamp_folder(tmp_path / "lamp", ["2009"])
    for path in folder.iterdir():
        path.write_text(path.read_text(), "utf-8-sig")
    assert lamp.load(folder, tmp_path / "out", "lamp").counts["LaMP_5"]["train"] == 1
