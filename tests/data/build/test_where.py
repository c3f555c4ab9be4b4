"""`--where` takes rows by a condition on their raw fields, and refuses what is no such condition in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.data.build.pipeline import build
from bench.data.build.report import BuildReport
from bench.data.build.rules import Rules
from bench.data.corpus import load
from bench.errors import UserError
from tests.data.toy import Row, meta, raw, write_lines

LOOSE = Rules(
    min_chars=1, min_description=0, min_user_reviews=3, min_item_users=1,
    train_inputs=1, min_profile_item_users=1, min_profile_reviews=1,
)  # fmt: skip
REVIEWS = [
    raw(user, item, 100 * n, lang="en" if user == "ann" else "de", votes=n / 2, file="x", place={"city": user.title()})
    for user in ("ann", "bob")
    for n, item in enumerate("abcdef", 1)
]
ITEMS = [meta(item, details={"style": "Pale Ale" if item in "abcd" else "Stout", "abv": None}) for item in "abcdef"]


def run(folder: Path, rows: list[Any] = REVIEWS, suffix: str = ".jsonl", **rules: str) -> BuildReport:
    files: dict[str, Any] = {"reviews": [folder / f"reviews{suffix}"], "meta": [folder / f"meta{suffix}"]}
    for (path,), found in zip(files.values(), (rows, ITEMS), strict=True):
        if suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(found), path)
        else:
            write_lines(path, found)
    return build(**files, category="Toys", out=folder / "out", rules=replace(LOOSE, **rules))  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
@pytest.mark.parametrize(
    "where",
    [
        "lang = 'en'", "LANG IN ('en', 'fr')", "upper(lang) = 'EN' -- only these", "place.city = 'Ann'",
        "file = 'x' AND lang LIKE 'e%'", "lang='en' OR year(make_timestamp_ms(timestamp)) < 2000",
        "length(list_filter([lang], lambda x: x = 'en')) = 1", "if(lang = 'en', true, false)",
    ],
)  # fmt: skip
def test_rows_are_taken_by_a_condition(tmp_path: Path, where: str, suffix: str) -> None:
    report = run(tmp_path, suffix=suffix, where=where)
    assert [(step.step, step.reviews) for step in report.steps[:2]] == [("read", 12), (f"where {where}", 6)]
    corpus = load(str(report.out))
    assert {review.user_id for review in corpus.reviews()} == {"ann"}
    manifest = json.loads((report.out / "dataset.json").read_text())
    assert manifest["thresholds"]["Toys"]["where"] == where
    assert corpus.title.startswith(f"Toys: raw reviews where {where}, of at least")


def test_numbers_keep_their_fractions_where_the_first_rows_have_none(tmp_path: Path) -> None:
    rows = [{**row, "votes": int(row["votes"])} for row in REVIEWS[:6]] + REVIEWS[6:]
    report = run(tmp_path, rows, where="votes <> 2.5")
    assert report.steps[1].reviews == 11


def test_rows_that_are_left_out_count_nowhere_else(tmp_path: Path) -> None:
    odd: list[Row] = [{**REVIEWS[0], "lang": "pl", "timestamp": None, "title": 7}, {**REVIEWS[0], "lang": None}]
    spoilt = json.loads(json.dumps(REVIEWS[0]))
    del spoilt["lang"]
    report = run(tmp_path, [*REVIEWS, *odd, spoilt, "[1]", "{", "7"], where="lang IN ('en', 'de')")
    assert [step.reviews for step in report.steps[:3]] == [15, 12, 12]
    assert len(report.notes) == 1
    assert report.notes[0].startswith("3 broken lines left out")


def test_items_are_taken_by_a_condition(tmp_path: Path) -> None:
    report = run(tmp_path, where_meta="details.style LIKE '%Ale' AND details.abv IS NULL")
    assert {review.item.item_id for review in load(str(report.out)).reviews()} == set("abcd")
    assert "items left out: 2 by --where-meta" in report.notes


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("lnag = 'en'", "no field 'lnag' in the first rows; did you mean 'lang'? They have asin, file, lang,"),
        ("current_date > '2020-01-01'", "no field 'current_date' in the first rows. They have asin, file,"),
        ("rate = 5", "no field 'rate' in the first rows. They have asin,"),
        ("lang = ", "syntax error at or near"),
        ("lang = 'en'; DROP TABLE raw_reviews", "syntax error at or near"),
        ("lang", "gives VARCHAR, and a condition is true or false"),
        ("votes + 1", "gives DOUBLE, and a condition is true or false"),
        ("uper(lang) = 'EN'", "no function 'uper'; did you mean 'upper'?"),
        ("lang > 3", "Cannot compare values of type VARCHAR"),
        ("place.town = 'x'", "town"),
        ("EXISTS (FROM '/etc/passwd')", "a subquery is not allowed"),
        ("lang IN (SELECT content FROM read_text('/etc/passwd'))", "a subquery is not allowed"),
        ("true) FROM read_text('/etc/passwd') WHERE (true", "it is more than a condition"),
        ("true), (lang = 'en'", "it is more than a condition"),
        ("read_text('/etc/passwd') = ''", "read_text() is not allowed"),
        ("write_log(lang) IS NULL", "write_log() is not allowed"),
        ("nextval('s') > 1", "nextval() is not allowed"),
        ("random() < 0.5", "random() is not allowed"),
        ("now() > '2020-01-01'", "now() is not allowed"),
        ("current_setting('memory_limit') = ''", "current_setting() is not allowed"),
        ("count(*) > 1", "count_star() is not allowed"),
        ("array_agg(lang) = []", "array_agg() is not allowed"),
        ("row_number() OVER () > 1", "a window function is not allowed"),
        ("COLUMNS(*) IS NULL", "* or COLUMNS is not allowed"),
        ("lang = ?", "a parameter is not allowed"),
        ("lang = '\udcff'", "holds half a character"),
    ],
)
def test_what_is_no_condition_is_refused_before_reading(tmp_path: Path, where: str, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        run(tmp_path, where=where)
    assert expected in str(caught.value)
    assert str(caught.value).startswith("--where ")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_condition_on_a_list_names_the_function_for_lists(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the field is a list: list_contains\(FIELD, 'text'\)$"):
        run(tmp_path, where_meta="categories LIKE '%Rock%'")


def test_a_condition_that_one_row_does_not_fit_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--where lang::INT > 3: cannot be computed for a row: Could not convert"):
        run(tmp_path, where="lang::INT > 3")
    with pytest.raises(UserError, match=r"--where-meta title::INT > 3: cannot be computed for a row"):
        run(tmp_path, where_meta="title::INT > 3")
    with pytest.raises(
        UserError, match=r"step 'where try_cast\(lang AS INT\) > 3' left none of 12 reviews; loosen --w"
    ):
        run(tmp_path, where="try_cast(lang AS INT) > 3")
