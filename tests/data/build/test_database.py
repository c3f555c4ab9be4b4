"""The database has Python's idea of white space, and spills to files that it removes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.build.database import Database, open_database

SPACES = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
TEXTS = st.lists(st.sampled_from([*SPACES, " ", " ", "\n", "a", "bc", "é", "😀", "\u200b", "\ufeff", "\x00"])).map(
    "".join
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    with open_database(tmp_path_factory.mktemp("database")) as found:
        yield found


@given(texts=st.lists(TEXTS, min_size=1, max_size=20))
def test_collapsing_is_split_and_join(database: Database, texts: list[str]) -> None:
    query = "SELECT collapse(x), blank(x), word(x), trim(flat(concat(' ', x, ' '))) FROM (SELECT unnest($texts) AS x)"
    for text, (collapsed, blank, word, flat) in zip(texts, database.rows(query, texts=texts), strict=True):
        expected = " ".join(text.split())
        assert (collapsed, blank, word, flat) == (expected, not expected, expected, expected)


def test_long_runs_of_every_kind(database: Database) -> None:
    for n in range(1, 40):
        for space in SPACES:
            text = f"a{space * n}b\n{' ' * n}\n"
            assert database.one("SELECT collapse($text)", text=text) == "a b"


def test_what_does_not_fit_in_memory_spills_to_files_that_are_removed(tmp_path: Path) -> None:
    with open_database(tmp_path) as database:
        database.run("SET memory_limit = '60MB'; SET threads = 1")
        database.run(
            "CREATE TABLE t AS SELECT hash(range) AS x, repeat('text ', 20) || range AS y FROM range(1_500_000)"
        )
        assert database.one("SELECT count(*) FROM (SELECT * FROM t ORDER BY x)") == 1_500_000
        assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) > 0
    assert list(tmp_path.iterdir()) == []
