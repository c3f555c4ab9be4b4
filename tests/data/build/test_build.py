from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.data.build import database
from bench.data.build.pipeline import build
from bench.data.build.report import BuildReport, Step
from bench.data.build.rules import Rules
from bench.data.corpus import load
from bench.data.folder import writing
from bench.errors import UserError
from bench.types import Item
from results.tables import dataset_sizes
from tests.data.toy import Row, meta, raw, read_table, write_lines, write_toy
from tests.paths import SHARED

LOOSE = Rules(
    min_chars=1, min_description=0, min_user_reviews=3, min_item_users=2,
    train_inputs=1, min_profile_item_users=1, min_profile_reviews=1,
)  # fmt: skip
REVIEWS = [raw(user, item, 100 * n) for user in ("ann", "bob") for n, item in enumerate("abcd", 1)]
ITEMS = [meta(item) for item in "abcd"]


def run(folder: Path, rows: list[Any] = REVIEWS, items: list[Any] = ITEMS, **options: Any) -> BuildReport:
    files: dict[str, Any] = {
        "reviews": [write_lines(folder / "reviews.jsonl", rows)],
        "meta": [write_lines(folder / "meta.jsonl", items)],
    }
    return build(**{**files, "category": "Toys", "out": folder / "out", "rules": LOOSE, **options})


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_build_is_a_corpus(tmp_path: Path) -> None:
    report = run(tmp_path)
    found = load(str(report.out))
    assert report.samples == {"test": 2, "val": 2, "train": 2}
    assert report.steps[0] == Step("read", 8, 2, 4)
    assert (found.name, found.synthetic, found.fingerprint) == ("Toys", False, report.fingerprint)
    test = found.samples("test")[0]
    assert test.user_id == "ann"
    assert test.item == Item("Toys", "d", "Item d", "A thing")
    assert [past.item.item_id for past in test.history] == ["c", "b", "a"]
    assert found.reference(test.sample_id) == "ann on d"
    # c and d are targets of bob's val and test samples.
    assert [len(found.peers(past)) for past in test.history] == [0, 1, 1]


def test_dataset_json_says_where_it_comes_from(tmp_path: Path) -> None:
    run(tmp_path)
    manifest = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert manifest["thresholds"]["Toys"]["min_item_users"] == 2
    assert manifest["counts"]["Toys"] == {"users": 2, "items": 4, "reviews": 8, "train": 2, "val": 2, "test": 2}
    source = (tmp_path / "reviews.jsonl").read_bytes()
    assert manifest["sources"]["Toys"][0] == {
        "file": "reviews.jsonl", "bytes": len(source), "sha256": hashlib.sha256(source).hexdigest(),
    }  # fmt: skip
    assert str(tmp_path) not in json.dumps(manifest)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, out=tmp_path / "elsewhere")
    once = content(tmp_path / "out")
    assert once == content(tmp_path / "elsewhere")
    tables = ("items", "reviews", "test", "train", "val")
    assert set(once) == {".lock", "dataset.json", *(f"Toys/{table}.parquet" for table in tables)}
    run(tmp_path)
    assert once == content(tmp_path / "out")


def test_categories_share_a_folder_in_either_order(tmp_path: Path) -> None:
    games = [{**row, "title": "A game"} for row in REVIEWS]
    run(tmp_path, category="Toys")
    report = run(tmp_path, games, category="Games")
    run(tmp_path, games, category="Games", out=tmp_path / "other")
    run(tmp_path, category="Toys", out=tmp_path / "other")
    assert "already held: Toys" in report.notes[-1]
    assert content(tmp_path / "out") == content(tmp_path / "other")
    found = load(str(tmp_path / "out"))
    assert found.categories == ("Games", "Toys")
    # The same ids in the other category are neither peers nor history.
    for past in (past for sample in found.samples("test") for past in sample.history):
        assert {peer.category for peer in found.peers(past)} <= {past.category}


def test_two_categories_built_at_once_are_both_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    move = writing.move_into_place

    def slowly(*given: Any) -> None:  # what is read before and written after it would lose what came between
        time.sleep(0.5)
        move(*given)

    monkeypatch.setattr(writing, "move_into_place", slowly)
    names = ["Games", "Music", "Toys"]
    with ThreadPoolExecutor(len(names)) as pool:
        folders = [tmp_path / name for name in names]
        for folder in folders:
            folder.mkdir()
        list(pool.map(lambda folder: run(folder, category=folder.name, out=tmp_path / "out"), folders))
    found = load(str(tmp_path / "out"))
    assert list(found.categories) == names
    assert {sample.category for sample in found.samples("test")} == set(names)


def test_the_same_category_is_replaced(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, category="Games")
    report = run(tmp_path, [{**row, "title": "New"} for row in REVIEWS], category="Toys")
    titles = {(row["category"], row["title"]) for row in read_table(report.out, "reviews")}
    assert titles == {("Games", "Fine"), ("Toys", "New")}


def test_a_dataset_of_json_lines_is_not_added_to(tmp_path: Path) -> None:
    write_toy(tmp_path / "out", synthetic=False)
    with pytest.raises(UserError, match="holds 'toy' as JSON lines, which is not added to; choose another folder"):
        run(tmp_path)


def test_a_synthetic_dataset_is_not_added_to(tmp_path: Path) -> None:
    write_toy(tmp_path / "out")
    with pytest.raises(UserError, match="holds the synthetic dataset 'toy'; choose another folder"):
        run(tmp_path)


def test_item_rules(tmp_path: Path) -> None:
    items = [
        meta("a", description=["Product Description", "exactly", "ten"]),
        meta("b", description=["Product Description"]),
        meta("c", description="a plain text"),
        meta("d", title="", description=["long enough"]),
    ]
    loose = Rules(min_chars=1, min_description=11, max_description=12, min_user_reviews=1, min_item_users=1,
                  train_inputs=0, min_profile_item_users=0, min_profile_reviews=0)  # fmt: skip
    report = run(tmp_path, items=items, rules=loose)
    kept = {row["item_id"]: row["description"] for row in read_table(report.out, "items")}
    assert kept == {"a": "exactly ten", "c": "a plain text"}


def test_broken_lines_are_counted_named_and_strict_raises(tmp_path: Path) -> None:
    bad = ['{"user_id": "ann"', "7", '{"user_id": " ", "asin": "a"}', '{"user_id": "ann"}', *["no"] * 9]
    rows = [REVIEWS[0], *bad, "", *REVIEWS[1:], *REVIEWS[:1]]
    report = run(tmp_path, rows)
    note = next(note for note in report.notes if "broken" in note)
    assert note.startswith("13 broken lines left out, first reviews.jsonl line 2: not JSON")
    assert "reviews.jsonl line 3: not a JSON object: '7'" in note
    assert "line 4: no user_id" in note
    assert "line 5: no parent_asin or asin" in note
    assert note.count("; reviews.jsonl") == 9
    with pytest.raises(UserError, match=r"reviews\.jsonl line 2: not JSON"):
        run(tmp_path, rows, strict=True)


def test_what_reviews_lack_is_counted(tmp_path: Path) -> None:
    spoilt: list[Row] = [{"text": "  "}, {"rating": None}, {"rating": "4"}, {"title": ""}, {"timestamp": None}]
    report = run(tmp_path, [*REVIEWS, *(REVIEWS[0] | change for change in spoilt)])
    assert report.notes == (
        "reviews left out: 1 with less than 1 characters, 2 without a rating, 1 without a timestamp, 1 without a title",
    )


def test_fields_of_another_type_count_as_missing_and_are_noted(tmp_path: Path) -> None:
    odd: list[Row] = [{"title": 7}, {"title": ["a"]}, {"text": 3}, {"rating": True}, {"timestamp": "12"}]
    report = run(tmp_path, [*REVIEWS, *(REVIEWS[0] | change for change in odd)])
    assert report.steps[0].reviews == 13
    assert report.notes[0].startswith("1 times are not between 1990 and 2099, like '12': these reviews count as")
    assert report.notes[2:] == (
        "2 reviews whose title is no text: read as without one",
        "1 reviews whose text is no text: read as without one",
    )
    assert report.notes[1].endswith(
        "1 with less than 1 characters, 1 without a rating, 1 without a timestamp, 2 without a title"
    )


def test_what_items_lack_is_counted(tmp_path: Path) -> None:
    items = [*ITEMS, meta("e", title=None), meta("f", rating_number=0), meta("g", description="x" * 2001)]
    report = run(tmp_path, items=[*items, '{"title": "nobody"}', "{"])
    assert report.notes == (
        "2 broken lines left out, first meta.jsonl line 8: no parent_asin or asin; meta.jsonl line 9: not JSON "
        "(Expecting property name enclosed in double quotes at column 3): '{'",
        "items left out: 1 without a description of 0 to 2000 characters, 1 without rating_number, 1 without title",
    )


def test_lines_that_are_not_utf8_are_broken(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "raw.jsonl", REVIEWS)
    path.write_bytes(b'{"user_id": "\xff", "asin": "a"}\n' + path.read_bytes())
    report = run(tmp_path, reviews=[path])
    assert report.notes[0].startswith("1 broken lines left out, first raw.jsonl line 1: ")
    assert "decode byte 0xff" in report.notes[0]
    assert report.steps[0].reviews == 8


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst", ".parquet"])
def test_every_kind_of_file_gives_the_same_dataset(tmp_path: Path, suffix: str) -> None:
    fingerprint = run(tmp_path).fingerprint
    files: dict[str, list[Path]] = {}
    for name, rows in (("reviews", REVIEWS), ("meta", ITEMS)):
        path = tmp_path / f"{name}{suffix}"
        if suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        else:
            write_lines(path, rows)
        files[name] = [path]
    assert run(tmp_path, out=tmp_path / "other", **files).fingerprint == fingerprint


def test_many_rows_give_the_same_bytes_whatever_the_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.data.folder.parquet.GROUP", 700)
    monkeypatch.setattr("bench.data.build.raw_files.BLOCK", 300_000)
    rows = [raw(f"u{n % 97}", f"i{n * 7 % 89}", n % 500, f"text {n} " * (n % 9 + 1)) for n in range(6000)]
    items = [meta(f"i{n}") for n in range(89)]
    contents = []
    for threads in (1, 2, 7):
        macros = database._MACROS.removesuffix(f"SET threads = {threads};") + f"SET threads = {threads};"
        monkeypatch.setattr(database, "_MACROS", macros)
        run(tmp_path, rows, items, out=tmp_path / f"out{threads}")
        contents.append(content(tmp_path / f"out{threads}"))
    assert contents[0] == contents[1] == contents[2]
    assert pq.ParquetFile(tmp_path / "out1" / "Toys" / "reviews.parquet").num_row_groups > 3
    assert load(str(tmp_path / "out1")) == load(str(tmp_path / "out7"))


def test_a_changed_table_is_refused_whatever_wrote_it(tmp_path: Path) -> None:
    report = run(tmp_path)
    path = report.out / "Toys" / "reviews.parquet"
    table = pq.read_table(path)
    pq.write_table(table, path, compression="none", row_group_size=2)
    assert load(str(report.out)).fingerprint == report.fingerprint  # the content is the same
    changed = table.set_column(6, "text", pa.array(["other", *table["text"].to_pylist()[1:]]))
    pq.write_table(changed, path)
    with pytest.raises(UserError, match="was changed after it was written"):
        load(str(report.out))
    pq.write_table(table.drop_columns(["text"]), path)
    with pytest.raises(
        UserError, match=r"reviews\.parquet: columns review_id, .* are expected; run `bench data build`"
    ):
        load(str(report.out))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"reviews\.parquet cannot be read \(.*\); copy it or run"):
        load(str(report.out))
    path.unlink()
    with pytest.raises(UserError, match=r"reviews\.parquet does not exist; run `bench data build` again"):
        load(str(report.out))


def test_a_file_without_timestamps_or_titles_builds_and_says_so(tmp_path: Path) -> None:
    rows = [{**row, "timestamp": None, "title": ""} for row in REVIEWS]
    with pytest.raises(
        UserError, match=r"left none of 8 reviews \(8 without a title\); give --no-require-review-title and"
    ):
        run(tmp_path, rows)
    report = run(tmp_path, rows, rules=replace(LOOSE, require_review_title=False))
    assert any("no review has a timestamp" in note for note in report.notes)
    assert load(str(report.out)).samples("test")[0].timestamp is None


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        (
            {"min_chars": 900},
            r"step 'review rules' left none of 8 reviews \(8 with less than 900 characters\); loosen --min-chars 900",
        ),
        (
            {"min_description": 900},
            r"step 'item rules' .*loosen --require .*, --min-description 900, --max-description 2000",
        ),
        (
            {"min_item_users": 3},
            "step 'core' .*loosen --min-item-users 3, --min-user-reviews 3, --max-user-reviews 500",
        ),
        (
            {"min_profile_reviews": 2},
            "step 'profile' .*loosen --min-profile-item-users 1, --min-profile-reviews 2, --tr",
        ),
    ],
)
def test_rules_that_leave_nothing_name_the_step(tmp_path: Path, thresholds: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        run(tmp_path, rules=replace(LOOSE, **thresholds))
    assert "`bench data build`" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_files_and_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.jsonl does not exist"):
        run(tmp_path, reviews=[tmp_path / "nowhere.jsonl"])
    with pytest.raises(UserError, match=r"is a folder; name the files in it$"):
        run(tmp_path, reviews=[tmp_path])
    with pytest.raises(UserError, match="no metadata file given for Toys"):
        run(tmp_path, meta=[])
    with pytest.raises(UserError, match=r"step 'read' left none of 0 reviews \(the files are empty\); check the rev"):
        run(tmp_path, [])
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written \(.*file is no writable folder\); choose another"):
        run(tmp_path, out=tmp_path / "file" / "out")
    with pytest.raises(UserError, match="category ' Toys'"):
        run(tmp_path, category=" Toys")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [*[{"user": "ann", "asin": "a", "rating": 5.0}] * 3, "{"],
            r"\(3 lines: no user_id, first reviews\.jsonl line 1: its fields are user, asin, rating\); check",
        ),
        ([json.dumps(REVIEWS)], r"1 lines: not a JSON object, first reviews\.jsonl line 1: an array; write one JSON"),
        (["[", *(f"{json.dumps(row)}," for row in REVIEWS), "]"], r"10 lines: not JSON, first .* line 1: an array; wr"),
        (
            [{**row, "rating": "5.0"} for row in REVIEWS],
            r"\(8 without a rating; 8 have a rating that is no number\); write ratings as numbers, like 5\.0 and run",
        ),
    ],
)
def test_reviews_that_cannot_be_used_say_why(tmp_path: Path, rows: list[Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        run(tmp_path, rows)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], r"\(0 items were read: the metadata files are empty\); check the metadata files"),
        (
            [{"id": "a"}],
            r"0 items were read: 1 lines: no parent_asin or asin, first meta\.jsonl line 1: its fields are id",
        ),
        ([meta("x")], r"no item id of the metadata, like 'x', occurs in the reviews, like 'a'\); check the metadata"),
        (REVIEWS, r"of 8 items 8 that are reviews\); check the metadata files"),
        ([meta("a", categories=[])], r"\(of 1 items 1 without categories\); loosen --require "),
    ],
)
def test_metadata_that_cannot_be_used_says_why(tmp_path: Path, items: list[Any], expected: str) -> None:
    with pytest.raises(UserError, match=rf"step 'item rules' left none of 8 reviews .*{expected}"):
        run(tmp_path, items=items)


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_an_unknown_required_field_is_refused_before_reading(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"raw{suffix}"
    items = [{**item, "brand": "x"} for item in ITEMS]
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(items), path)
    else:
        write_lines(path, items)
    with pytest.raises(UserError, match="no field of the metadata 'titel'; did you mean 'title'"):
        run(tmp_path, ["broken"], meta=[path], rules=replace(LOOSE, require=("titel",)))
    assert run(tmp_path, meta=[path], rules=replace(LOOSE, require=("brand",))).samples["test"] == 2


def test_timestamps_may_be_texts(tmp_path: Path) -> None:
    whole = read_table(run(tmp_path, REVIEWS).out, "reviews")
    texts = run(tmp_path, [{**row, "timestamp": str(row["timestamp"])} for row in REVIEWS])
    assert (texts.notes, read_table(texts.out, "reviews")) == ((), whole)


def test_ratings_of_another_scale_are_noted(tmp_path: Path) -> None:
    report = run(tmp_path, [{**REVIEWS[0], "rating": 99}, *REVIEWS[1:]])
    assert report.notes == ("1 ratings are outside 1 to 5, which prompts show as they are",)


def test_the_title_is_the_name_and_a_sentence(tmp_path: Path) -> None:
    titles = [load(str(run(tmp_path, category=name).out)).title for name in ("Toys", "Games")]
    rules = "raw reviews of at least 1 characters, users of at least 3 reviews, items of at least 2 users"
    assert titles == [f"Toys: {rules}", f"Games+Toys: {rules}"]
    run(tmp_path, category="Games", rules=replace(LOOSE, min_chars=2))
    found = load(str(tmp_path / "out"))
    assert found.title == "Games+Toys: raw reviews, each category by rules of its own"
    assert dataset_sizes.title(found) == found.title


def test_thresholds_that_make_no_sense() -> None:
    with pytest.raises(UserError, match="--min-chars -1: give 0 or more"):
        Rules(min_chars=-1)
    with pytest.raises(UserError, match="--min-user-reviews 9, --max-user-reviews 8: nothing lies between"):
        Rules(min_user_reviews=9, max_user_reviews=8)


def test_a_write_that_fails_leaves_the_old_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path)
    before = content(tmp_path / "out")

    monkeypatch.setattr("bench.data.folder.writing.os.replace", failing_after(0))
    with pytest.raises(UserError, match="cannot be written: No space left on device"):
        run(tmp_path, category="Games")
    assert content(tmp_path / "out") == before


def test_a_write_cut_in_the_middle_is_noticed_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path)
    with monkeypatch.context() as patched, pytest.raises(UserError):
        patched.setattr("bench.data.folder.writing.os.replace", failing_after(2))
        run(tmp_path, [{**row, "title": "New"} for row in REVIEWS])
    with pytest.raises(UserError, match="was changed after it was written"):
        load(str(tmp_path / "out"))
    report = run(tmp_path)
    assert load(str(report.out)).fingerprint == report.fingerprint


def failing_after(n_files: int) -> Callable[[Path, Path], None]:
    """An os.replace that works for so many files and then finds the disk full."""
    done: list[Path] = []
    really = os.replace

    def step(source: Path, target: Path) -> None:
        if len(done) == n_files:
            raise OSError(28, "No space left on device")
        done.append(target)
        really(source, target)

    return step


def test_half_a_surrogate_pair_does_not_stop_a_build(tmp_path: Path) -> None:
    report = run(tmp_path, [*REVIEWS[:3], {**REVIEWS[3], "text": "cut \ud83d"}, *REVIEWS[4:]])
    assert load(str(report.out)).reference("Toys/ann/d") == "cut ?"


def build_real(category: str, out: Path, rules: Rules) -> BuildReport:
    folder = SHARED / "data" / category
    if not folder.exists():
        pytest.skip(f"the real reviews are not here ({folder})")
    files: dict[str, Any] = {"reviews": [folder / "reviews.jsonl.gz"], "meta": [folder / "meta.jsonl.gz"]}
    return build(**files, category=category, out=out, rules=rules)


def test_the_core_of_real_reviews_is_the_published_one(tmp_path: Path) -> None:
    rules = Rules(
        min_chars=100, min_description=0, max_description=10**9, require=(), dedupe_text=False,
        min_user_reviews=6, min_item_users=3, train_inputs=1, min_profile_item_users=1, min_profile_reviews=3,
    )  # fmt: skip
    report = build_real("Digital_Music", tmp_path, rules)
    core = next(step for step in report.steps if step.step == "core")
    assert (core.users, core.items, core.reviews) == (223, 284, 2497)  # shared/data/README.md


def test_real_reviews_give_a_usable_corpus(tmp_path: Path) -> None:
    rules = Rules(
        min_description=0, require=("title", "categories"), min_user_reviews=8, min_item_users=3,
        train_inputs=3, min_profile_item_users=2, min_profile_reviews=3,
    )  # fmt: skip
    report = build_real("Digital_Music", tmp_path, rules)
    found = load(str(tmp_path))
    assert found.fingerprint == report.fingerprint
    test = found.samples("test")
    assert len(test) >= 60
    for sample in test:
        assert len(sample.history) >= 3 + 4  # the profile's minimum, three train targets and the val target
        assert all((past.timestamp or 0) <= (sample.timestamp or 0) for past in sample.history)


def test_dpl_s_own_thresholds_leave_nothing_of_real_reviews_and_say_why(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Digital_Music: step 'item rules' .*rating_number"):
        build_real("Digital_Music", tmp_path, Rules())
    with pytest.raises(UserError, match=r"step 'core' left none of .*--min-item-users 8, --min-user-reviews 18"):
        build_real("Digital_Music", tmp_path, Rules(require=("title",), min_description=0))


def test_reviews_without_times_and_titles_build(tmp_path: Path) -> None:
    rules = Rules(
        min_chars=100, require_review_title=False, min_description=0, min_user_reviews=10, min_item_users=4,
        train_inputs=2, min_profile_item_users=2, min_profile_reviews=3,
    )  # fmt: skip
    report = build_real("Beer", tmp_path, rules)
    assert any("no review has a timestamp" in note for note in report.notes)
    assert len(load(str(tmp_path)).samples("test")) == report.samples["test"] > 500
