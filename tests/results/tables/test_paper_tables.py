"""The paper's tables as data, and its rows below ours."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from results.tables import paper_tables
from results.tables.assemble import leaderboards
from tests.paths import SHARED
from tests.results.tables.test_leaderboard import COLUMNS, runs_of, summary

SEVEN, THIRTY_TWO = "/models/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-32B-Instruct"


def test_all_tables_are_here_and_whole() -> None:
    tables = paper_tables.tables()
    assert list(tables) == [1, 2, 3, 4, 6, 7, 8, 9]
    assert {number: len(table["rows"]) for number, table in tables.items()} == {
        1: 10, 2: 7, 3: 3, 4: 5, 6: 7, 7: 3, 8: 4, 9: 2
    }  # fmt: skip
    for row in paper_tables.rows():
        assert all(0 < value < (40 if key == "bleu" else 1) for (_, key), value in row.values.items())


def test_short_tables_repeat_the_long_ones() -> None:
    meteor = {
        number: [[row[c][t["columns"].index("meteor")] for c in t["categories"]] for row in t["rows"]]
        for number, t in paper_tables.tables().items()
        if number != 4
    }
    assert meteor[2] == meteor[6]
    assert meteor[3] == meteor[7]


def test_the_paper_prints_one_ablation_twice() -> None:
    seven, nine = (paper_tables.tables()[number]["rows"][0] for number in (7, 9))
    assert (seven["name"], nine["name"]) == ("w/o DR", "w/o Guidance")
    for category in ("Books", "Movies_and_TV", "CDs_and_Vinyl"):
        assert seven[category] == nine[category]


def test_every_number_is_in_the_text_of_the_paper() -> None:
    file = SHARED / "paper.txt"
    if not file.is_file():
        pytest.skip("the paper's text is not here")
    printed = set(re.findall(r"\d+\.\d+", file.read_text()))
    for row in paper_tables.rows():
        for value in row.values.values():
            assert {f"{value:.4f}"} & printed, (row.table, row.name, value)
    for row in paper_tables.tables()[4]["rows"]:
        for value in (*row["profile"], *row["output"]):
            assert f"{value:.2f}" in printed


def test_a_row_is_found_by_method_retriever_options_and_model() -> None:
    (board,) = leaderboards(runs_of(summary("nonperso"), summary(retriever="recency"), summary(retriever="bm25")))
    nonperso, recency, bm25 = board.rows

    def found(row: object, model: str) -> tuple[int, str] | None:
        made = paper_tables.find(row, model)  # type: ignore[arg-type]
        return (made.table, made.model.split("-")[1]) if made else None

    assert found(nonperso, SEVEN) == (1, "7B")
    assert found(recency, THIRTY_TWO) == (1, "32B")
    assert found(recency, "smollm") == (1, "7B")
    assert found(bm25, SEVEN) == (8, "32B")  # the paper has other retrievers on 32B only
    dep = replace(recency, method="dep")
    assert found(dep, SEVEN) == (1, "7B")
    assert found(replace(dep, variant="dep.text=False, dep.embeddings=his"), SEVEN) == (6, "7B")
    assert found(replace(dep, variant="dep.guidance=False"), SEVEN) == (9, "7B")
    assert found(replace(dep, variant="dep.peers_before_target=True"), SEVEN) is None
    assert found(replace(dep, method="soft"), SEVEN) is None


def test_the_paper_s_rows_are_below_ours_with_the_difference() -> None:
    scores = {"Books": {"rouge1": 0.30, "rougeL": 0.2, "length": 9.0}, "Games": {"rouge1": 0.9, "length": 9.0}}
    ours = summary("nonperso", scores=scores, model=SEVEN)
    (board,) = leaderboards(runs_of(ours, summary("zebra", scores=scores, model=SEVEN)))
    made = paper_tables.beside(board)
    assert [(row.label, row.kind) for row in made.rows] == [
        ("Non-Perso", "run"),
        ("  paper, table 1, 7B", "paper"),
        ("  difference", "difference"),
        ("zebra · bm25" if "bm25" in board.rows[1].label else "zebra", "run"),
    ]
    cell = ("Books", "rouge1")
    assert [row.values.get(cell) for row in made.rows] == [0.30, 0.2907, pytest.approx(0.0093), 0.30]
    assert ("Games", "rouge1") not in made.rows[1].values
    assert [made.rank(row, cell) for row in made.rows[1:3]] == [0, 0]
    assert made.notes[-1].startswith("Paper: Latent Inter-User Difference Modeling")


def test_a_note_says_that_the_paper_lacks_all_categories() -> None:
    scores = {"Games": {"rouge1": 0.3, "rougeL": 0.2, "length": 9.0}}
    (board,) = leaderboards(runs_of(summary("nonperso", scores=scores, columns=COLUMNS)))
    made = paper_tables.beside(board)
    assert made.rows == board.rows
    assert made.notes[-1] == "The paper has no number for these rows and categories."
