"""Every kind of raw file gives the same numbered lines, and what cannot be read is named."""

from __future__ import annotations

import gzip
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.data.build import raw_files
from bench.data.build.raw_files import Block, sources
from bench.errors import UserError

ROWS = [{"user_id": f"u{n}", "text": "é \n" * n, "description": ["a", "b"][: n % 3], "timestamp": n} for n in range(9)]
TEXT = "".join(f"{json.dumps(row)}\n" for row in ROWS).encode()


def write(path: Path, data: bytes = TEXT) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif path.suffix == ".zst":
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(data)
    else:
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read(path: Path) -> tuple[list[Block], int]:
    advanced: list[int] = []
    (source,) = sources([path])
    found = list(source.blocks(advanced.append))
    assert source.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    return found, sum(advanced)


def numbered(blocks: list[Block]) -> list[tuple[int, Any]]:
    return [(row["number"], row["line"]) for block in blocks for row in block.table.to_pylist()]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
@pytest.mark.parametrize("block", [40, 1 << 20])
def test_every_kind_of_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, block: int) -> None:
    monkeypatch.setattr(raw_files, "BLOCK", block)
    monkeypatch.setattr(raw_files, "PARQUET_ROWS", block)
    path = write(tmp_path / name)
    blocks, n_bytes = read(path)
    assert [(number, json.loads(line)) for number, line in numbered(blocks)] == list(enumerate(ROWS, 1))
    assert [block.first for block in blocks] == [block.table["number"][0].as_py() for block in blocks]
    assert n_bytes == path.stat().st_size


def test_a_last_line_without_line_feed_and_empty_files(tmp_path: Path) -> None:
    assert numbered(read(write(tmp_path / "a.jsonl", b"1\n\n23"))[0]) == [(1, "1\n"), (2, "\n"), (3, "23")]
    assert read(write(tmp_path / "b.jsonl", b"")) == ([], 0)


def test_lines_that_are_not_utf8_stand_apart(tmp_path: Path) -> None:
    (block,), _ = read(write(tmp_path / "a.jsonl", b"1\n\xff\xfe\n\xc3\xa9\n"))
    assert block.undecoded == {2: b"\xff\xfe\n"}
    assert numbered([block]) == [(1, "1\n"), (2, None), (3, "é\n")]


def test_gzip_files_that_were_put_together(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"1\n") + gzip.compress(b"2\n"))
    assert numbered(read(tmp_path / "a.jsonl.gz")[0]) == [(1, "1\n"), (2, "2\n")]


def test_times_in_parquet_become_milliseconds(tmp_path: Path) -> None:
    times = [datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None), None]
    pq.write_table(pa.table({"timestamp": times, 'odd "name"': ["x", None]}), tmp_path / "it's.parquet")
    rows = [json.loads(line) for _, line in numbered(read(tmp_path / "it's.parquet")[0])]
    assert rows == [{"timestamp": 1577836800000, 'odd "name"': "x"}, {"timestamp": None, 'odd "name"': None}]


def test_numbers_of_single_precision_in_parquet_keep_their_decimals(tmp_path: Path) -> None:
    ratings = [4.3, 4.25, None, float("nan")]
    pq.write_table(pa.table({"rating": pa.array(ratings, pa.float32())}), tmp_path / "a.parquet")
    lines = [line for _, line in numbered(read(tmp_path / "a.parquet")[0])]
    assert lines[:3] == ['{"rating":4.3}', '{"rating":4.25}', '{"rating":null}']


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def test_a_cut_file_is_named(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match=rf"{name} cannot be read after (line|row) \d+ .*download or copy it again"):
        read(path)


def test_a_file_that_is_not_there_and_one_that_is_no_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="nowhere does not exist"):
        sources([tmp_path / "nowhere"])
    monkeypatch.setattr(raw_files, "BLOCK", 10)
    monkeypatch.setattr(raw_files, "LONGEST", 50)
    with pytest.raises(UserError, match=r"a\.jsonl line 2 has no end within 0 MB: no JSON lines"):
        read(write(tmp_path / "a.jsonl", b"1\n" + b"x" * 100))
