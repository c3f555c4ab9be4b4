"""The same reviews in every export give the same dataset, wherever and from whatever path it is built."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.data.build.pipeline import build
from bench.data.build.report import BuildReport
from bench.data.build.rules import Rules
from bench.data.corpus import load
from bench.data.validate import units, validate
from bench.errors import UserError
from tests.data.toy import Row, meta, raw, read_table, write_lines
from tests.paths import ROOT, SHARED

RULES = Rules(
    min_chars=1, min_description=0, min_user_reviews=3, min_item_users=1, require=("title",), train_inputs=1,
    min_profile_item_users=1, min_profile_reviews=1,
)  # fmt: skip
DAY = 86_400_000
# Days apart, so that exports of days alone order them too; the file has them oldest first.
REVIEWS = [
    {**raw(user, item, None), "timestamp": 1_552_262_400_000 + n * DAY, "rating": 4.0}
    for user in ("ann", "bob", "cid")
    for n, item in enumerate(("001", "002", "003", "004", "1e5", "NaN"))
]
ITEMS = [meta(str(row["asin"])) for row in REVIEWS[:6]]
TIMES = [row["timestamp"] for row in REVIEWS]
Export = Callable[[Path], Path]


def run(folder: Path, reviews: Path, **more: Any) -> BuildReport:
    items = write_lines(folder / "meta.jsonl", ITEMS)
    files: dict[str, Any] = {"reviews": [reviews], "meta": [items], "category": "Toys", "rules": RULES}
    return build(out=folder / "out", **{**files, **more})


def table(folder: Path) -> list[Row]:
    return read_table(folder / "out", "reviews") + read_table(folder / "out", "samples")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    folder = tmp_path_factory.mktemp("plain")
    run(folder, write_lines(folder / "reviews.jsonl", REVIEWS))
    return table(folder)


def frame(times: Any, **columns: Any) -> Export:
    """A Parquet file with this column of times, and others instead of the plain ones."""

    def export(folder: Path) -> Path:
        plain = {name: [row[name] for row in REVIEWS] for name in REVIEWS[0]}
        made = {**plain, "timestamp": times, **{name: make(plain[name]) for name, make in columns.items()}}
        pq.write_table(pa.table(made), folder / "reviews.parquet")
        return folder / "reviews.parquet"

    return export


def lines(change: Callable[[Row], Row], *, head: bytes = b"", end: str = "\n", name: str = "reviews.jsonl") -> Export:
    def export(folder: Path) -> Path:
        text = end.join(json.dumps(change(row)) for row in REVIEWS) + end
        (folder / name).write_bytes(head + text.encode())
        return folder / name

    return export


def dated(spell: Callable[[datetime], Any]) -> Export:
    return lines(lambda row: {**row, "timestamp": spell(moment(row["timestamp"]))})


def moment(ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def stamps(unit: str, zone: str | None = None) -> pa.Array:
    return (
        pa.array(TIMES, pa.timestamp("ms", "UTC"))
        .cast(pa.timestamp(unit, zone or "UTC"))
        .cast(pa.timestamp(unit, zone))
    )


def binary(values: list[str]) -> pa.Array:
    return pa.array([value.encode() for value in values], pa.binary())


EXPORTS: dict[str, Export] = {
    "timestamp[s]": frame(stamps("s")),
    "timestamp[ms]": frame(stamps("ms")),
    "timestamp[us]": frame(stamps("us")),
    "timestamp[ns]": frame(stamps("ns")),
    "timestamp[us, UTC]": frame(stamps("us", "UTC")),
    "timestamp[ns, New York]": frame(stamps("ns", "America/New_York")),
    "date32": frame(pa.array([moment(ms).date() for ms in TIMES], pa.date32())),
    "date64": frame(pa.array([moment(ms).date() for ms in TIMES], pa.date64())),
    "int64 seconds": frame(pa.array([ms // 1000 for ms in TIMES], pa.int64())),
    "int64 nanoseconds": frame(pa.array([ms * 10**6 for ms in TIMES], pa.int64())),
    "uint64": frame(pa.array(TIMES, pa.uint64())),
    "float seconds": frame(pa.array([ms / 1000 for ms in TIMES], pa.float64())),
    "decimal": frame(pa.array([Decimal(ms) for ms in TIMES], pa.decimal128(20, 0))),
    "strings": frame([moment(ms).isoformat() for ms in TIMES]),
    "large strings": frame(pa.array([str(moment(ms)) for ms in TIMES], pa.large_string())),
    "categories": frame(
        pa.array([str(ms) for ms in TIMES]).dictionary_encode(),
        user_id=lambda users: pa.array(users).dictionary_encode(),
        text=lambda texts: pa.array(texts).dictionary_encode(),
    ),
    "binary": frame(TIMES, user_id=binary, asin=binary, text=binary, title=binary),
    "struct": frame(pa.array([{"seconds": ms // 1000, "nanos": 0} for ms in TIMES])),
    "pandas to_json": dated(lambda at: round(at.timestamp() * 1000)),
    "pandas to_json iso": dated(lambda at: at.strftime("%Y-%m-%dT%H:%M:%S.000Z")),
    "pandas to_csv": dated(str),
    "BigQuery": dated(lambda at: at.strftime("%Y-%m-%d %H:%M:%S UTC")),
    "mongoexport": dated(lambda at: {"$date": at.strftime("%Y-%m-%dT%H:%M:%SZ")}),
    "mongodump": dated(lambda at: {"$date": {"$numberLong": str(round(at.timestamp() * 1000))}}),
    "Amazon 2014": dated(lambda at: f"{at:%m} {at.day}, {at:%Y}"),
    "mail": dated(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT")),
    "Twitter": dated(lambda at: at.strftime("%a %b %d %H:%M:%S +0000 %Y")),
    "Java": dated(lambda at: [at.year, at.month, at.day, 0, 0]),
    "American days": dated(lambda at: at.strftime("%m/%d/%Y")),
    "byte order mark": lines(dict, head=b"\xef\xbb\xbf"),
    "CRLF": lines(dict, end="\r\n"),
    "blank lines": lines(dict, end="\n\n \n"),
    "star in the name": lines(dict, name="rev*[1]?{a}.jsonl"),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_every_export_gives_the_same_dataset(name: str, tmp_path: Path, expected: list[Row]) -> None:
    report = run(tmp_path, EXPORTS[name](tmp_path))
    assert table(tmp_path) == expected
    assert not any("left out" in note or "count as" in note for note in report.notes)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu"])
@pytest.mark.parametrize("name", ["timestamp[us]", "timestamp[ns, New York]", "date32", "strings", "struct"])
def test_no_zone_of_the_machine_changes_a_dataset(name: str, zone: str, tmp_path: Path, expected: list[Row]) -> None:
    path = EXPORTS[name](tmp_path)
    code = (
        "import sys; from pathlib import Path; from tests.data.build.test_exports import run;"
        "run(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    environment = {**os.environ, "TZ": zone, "LC_ALL": "de_DE.UTF-8", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, tmp_path, path], check=True, env=environment, cwd=tmp_path)
    assert table(tmp_path) == expected


def test_a_parquet_path_is_no_pattern_and_its_folders_name_no_columns(tmp_path: Path, expected: list[Row]) -> None:
    """DuckDB reads `*` in a path as a pattern, and `rating=1` as a column."""
    folder = tmp_path / "a*b" / "rating=1" / "user_id=zoe"
    folder.mkdir(parents=True)
    other = tmp_path / "aXb" / "rating=1" / "user_id=zoe"
    other.mkdir(parents=True)
    (other / "reviews.parquet").write_bytes(b"no Parquet")
    run(tmp_path, EXPORTS["timestamp[us]"](folder))
    assert table(tmp_path) == expected


def test_binary_values_that_are_no_text_are_broken_lines(tmp_path: Path) -> None:
    texts = [str(row["text"]).encode() for row in REVIEWS]
    texts[0] = b"\xff\xfe no text"
    path = frame(TIMES, text=lambda _: pa.array(texts, pa.binary()))(tmp_path)
    report = run(tmp_path, path)
    assert report.notes[0].startswith("1 broken lines left out, first reviews.parquet row 1")
    assert not any("\\x" in str(row["text"]) for row in read_table(tmp_path / "out", "reviews"))


def test_a_file_in_utf_16_is_named(tmp_path: Path) -> None:
    (tmp_path / "reviews.jsonl").write_text("\n".join(json.dumps(row) for row in REVIEWS), "utf-16")
    with pytest.raises(UserError, match="is UTF-16, and JSON lines are UTF-8; save it as UTF-8"):
        run(tmp_path, tmp_path / "reviews.jsonl")


def test_marks_in_the_middle_of_files_that_were_put_together(tmp_path: Path, expected: list[Row]) -> None:
    half = [json.dumps(row) + "\n" for row in REVIEWS]
    text = "\ufeff" + "".join(half[:9]) + "\ufeff" + "".join(half[9:])
    (tmp_path / "reviews.jsonl").write_text(text, "utf-8")
    run(tmp_path, tmp_path / "reviews.jsonl")
    assert table(tmp_path) == expected


ODD: dict[str, tuple[Callable[[int, int], Any], str]] = {
    "two units": (lambda n, ms: ms // 1000 if n % 3 else ms, "in several units, each read in its own: 6 in milli"),
    "zeros": (lambda n, ms: ms if n % 6 else 0, "3 times are not between 1990 and 2099, like '0'"),
    "the end of time": (lambda n, ms: "9999-12-31" if n % 6 == 5 else ms, "3 times are not between 1990 and 2099"),
    "words": (lambda n, ms: "last week" if n % 6 == 5 else ms, "3 times cannot be read, like 'last week'"),
    "day or month": (lambda n, ms: f"0{n % 6 + 1}/07/2019", "18 dates that may be day or month first"),
    "days alone": (lambda n, ms: "2019-03-05", "18 of 18 reviews have the time of another review by the same user"),
    "the future": (lambda n, ms: 4_000_000_000 if n == 0 else ms, "1 times of reviews are in the future"),
    "Excel": (lambda n, ms: 43529 + n % 6, "their numbers order them, and are no dates"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_times_are_noted_or_refused(name: str, tmp_path: Path) -> None:
    spell, note = ODD[name]
    rows = [{**row, "timestamp": spell(n, int(row["timestamp"]))} for n, row in enumerate(REVIEWS)]
    path = write_lines(tmp_path / "reviews.jsonl", rows)
    report = run(tmp_path, path)
    assert any(note in found for found in report.notes), report.notes
    with pytest.raises(UserError, match="correct the files, or build without --strict"):
        run(tmp_path, path, strict=True)


def test_days_before_months_are_read_as_the_others_must_be(tmp_path: Path, expected: list[Row]) -> None:
    run(tmp_path, dated(lambda at: at.strftime("%d/%m/%Y"))(tmp_path))  # 11/03/2019 may be in November, 16/03/2019 not
    assert table(tmp_path) == expected


def test_a_dataset_of_mixed_units_does_not_validate(tmp_path: Path) -> None:
    """One that was built elsewhere, or before times were checked."""
    run(tmp_path, write_lines(tmp_path / "reviews.jsonl", REVIEWS))
    corpus, found = validate(str(tmp_path / "out"))
    assert (corpus is not None, found) == (True, [])
    reviews = [
        replace(review, timestamp=TIMES[0] // 1000 if n % 2 else TIMES[0])
        for n, review in enumerate(load(str(tmp_path / "out")).reviews())
    ]
    mixed: Any = SimpleNamespace(categories=("Toys",), reviews=lambda: reviews)
    (finding,) = units(mixed)
    assert (finding.what, finding.count) == ("a time is in another unit than milliseconds", 9)
    assert finding.examples[0] == f"{reviews[1].review_id}: {reviews[1].timestamp}"


@pytest.mark.skipif(not (SHARED / "cases").is_dir(), reason="the small failing inputs are not part of the project")
@pytest.mark.parametrize(
    ("reviews", "items"),
    [
        ("tz_reviews.parquet", "meta.jsonl"),
        ("mixed_reviews.jsonl", "meta.jsonl"),
        ("bom_reviews.jsonl", "bom_meta.jsonl"),
    ],
)
def test_the_cases(reviews: str, items: str, tmp_path: Path) -> None:
    cases = SHARED / "cases"
    rules = Rules(
        min_chars=10, min_user_reviews=4, min_item_users=1, min_description=0, require=("title",), train_inputs=1,
        min_profile_reviews=1, min_profile_item_users=1,
    )  # fmt: skip
    build(reviews=[cases / "reviews.jsonl"], meta=[cases / "meta.jsonl"], category="X", out=tmp_path / "a", rules=rules)
    report = build(reviews=[cases / reviews], meta=[cases / items], category="X", out=tmp_path / "b", rules=rules)
    history = [(row["sample_id"], row["history"]) for row in read_table(tmp_path / "b", "samples")]
    if not reviews.startswith("tz"):
        assert report.steps[0].reviews == 24
        assert history == [(row["sample_id"], row["history"]) for row in read_table(tmp_path / "a", "samples")]
    if reviews.startswith("mixed"):
        assert "16 in milliseconds, 8 in seconds" in " ".join(report.notes)
