"""Runs that were scored with other metrics: one table, columns by choice, comparisons of what both have."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UserError
from results.tables.assemble import leaderboards
from results.tables.compare import compare
from results.tables.finished_runs import FinishedRun, comparable
from results.tables.formats.csv_json import as_csv, as_json
from results.tables.formats.html import page
from results.tables.formats.latex import latex
from results.tables.formats.markdown import markdown
from tests.fakes import bench
from tests.results import scored
from tests.results.tables.test_leaderboard import COLUMNS, labels, runs_of, shown, summary

BLEU = ("Books", "bleu")


@pytest.fixture
def found(tmp_path: Path) -> list[FinishedRun]:
    """Non-Perso and RAG with ROUGE and BLEU; PAG, far better than Non-Perso, with ROUGE alone."""
    out = tmp_path / "runs"
    cells: list[tuple[str, float, tuple[str, ...]]] = [
        ("pag", 0.9, ("rouge",)),
        ("nonperso", 0.5, ("rouge", "bleu")),
        ("rag", 0.8, ("rouge", "bleu")),
    ]
    return [
        scored.finished(out / method, summary(method, label=method.upper()), scored.rows(skill), metrics=metrics)
        for method, skill, metrics in cells
    ]


def named(method: str, metrics: dict[str, str], **changes: Any) -> dict[str, Any]:
    """A run with these metrics (name -> version), each with a column of its own name."""
    columns = [{**COLUMNS[0], "metric": name, "key": name, "label": name} for name in metrics]
    scores = {category: dict.fromkeys(metrics, 0.5) for category in ("Books", "Films")}
    versions = {name: {"version": version} for name, version in metrics.items()}
    settings = {name: {} for name in metrics}
    made = {"columns": columns, "scores": scores, "metric_versions": versions, "metric_settings": settings}
    return summary(method, **{**made, **changes})


def methods(made: list[list[FinishedRun]]) -> list[list[str]]:
    return [[run.summary["method"] for run in group] for group in made]


# ---------------------------------------------------------------- one table


def test_a_metric_more_is_a_column_more_and_no_table_more(found: list[FinishedRun]) -> None:
    (board,) = leaderboards(found, baseline="nonperso")
    assert [column.key for column in board.columns] == ["rouge1", "bleu"]
    rows = {row.method: row for row in board.rows}
    assert BLEU in rows["rag"].values and BLEU not in rows["pag"].values
    assert {cell[1] for cell in rows["pag"].intervals} == {"rouge1"}
    assert {cell[1]: dagger for cell, dagger in rows["pag"].significance.items()} == {"rouge1": "†"}
    assert {cell[1] for cell in rows["rag"].significance} == {"rouge1", "bleu"}
    assert board.rank(rows["rag"], BLEU) == 1
    note = f"-: not scored with bleu: PAG; `bench score {found[0].folder.path.parent} --metric bleu` adds it."
    assert note in board.notes


def test_intervals_do_not_depend_on_what_other_rows_have(found: list[FinishedRun]) -> None:
    (whole,) = leaderboards(found)
    (alone,) = leaderboards(found[1:])
    rag = [next(row for row in board.rows if row.method == "rag") for board in (whole, alone)]
    assert rag[0].values == rag[1].values
    for cell, ends in rag[1].intervals.items():
        assert rag[0].intervals[cell] == pytest.approx(ends, abs=1e-6)


def test_a_row_has_no_mean_where_one_of_its_seeds_lacks_the_metric(found: list[FinishedRun], tmp_path: Path) -> None:
    more = summary("rag", label="RAG", seed=1)
    other = scored.finished(tmp_path / "runs" / "rag-1", more, scored.rows(0.8, seed=1), metrics=("rouge",))
    (board,) = leaderboards([*found, other])
    rag = next(row for row in board.rows if row.method == "rag")
    assert rag.seeds == (0, 1) and {cell[1] for cell in rag.values} == {"rouge1", "rougeL"}
    assert {cell[1] for cell in rag.intervals} == {"rouge1"}
    assert any(note.startswith("-: not scored with bleu: RAG, PAG;") for note in board.notes)


def test_every_format_shows_what_is_missing(found: list[FinishedRun]) -> None:
    (board,) = leaderboards(found, intervals=False)
    pag = next(line for line in markdown(board).splitlines() if line.startswith("| PAG"))
    assert [cell.strip() for cell in pag.split("|")][3:6:2] == ["-", "-"]
    assert "PAG" in shown(board) and " -  " in next(line for line in shown(board).splitlines() if "PAG" in line)
    assert next(line for line in latex(board).splitlines() if line.startswith("PAG")).split(" & ")[2] == "--"
    assert "<td>-</td>" in next(line for line in page([board]).splitlines() if "<td>PAG</td>" in line)
    row = next(row for row in json.loads(as_json([board]))[0]["rows"] if row["method"] == "pag")
    assert row["values"]["Books"]["bleu"]["value"] is None
    assert {len(line.split(",")) for line in as_csv(board).splitlines()} == {
        len(as_csv(board).split("\n")[0].split(","))
    }


def test_metrics_that_disagree_are_tables_apart() -> None:
    one, two = named("rag", {"rouge": "1"}), named("pag", {"rouge": "2"})
    both = named("dpl", {"meteor": "1", "rouge": "2"})
    neither = named("dep", {"meteor": "1"})
    assert methods(comparable(runs_of(one, two, both, neither))) == [["rag"], ["pag", "dpl", "dep"]]
    options = named("pag", {"rouge": "1"}, metric_settings={"rouge": {"stem": True}})
    assert methods(comparable(runs_of(one, options))) == [["rag"], ["pag"]]


def test_one_column_name_of_two_metrics_is_never_one_column() -> None:
    """Two authors called their column `score`."""
    one, two = (
        named("rag", {name: "1"}, columns=[{**COLUMNS[0], "metric": name, "key": "score"}]) for name in ("his", "hers")
    )
    made = leaderboards(runs_of(one, two))
    assert [board.distinction for board in made] == ["metrics his", "metrics hers"]


def test_the_newest_words_for_a_column_count() -> None:
    """The author states the direction after the first run: that splits no table."""
    before = [{**COLUMNS[0], "higher_is_better": None}]
    old = summary("rag", 0.4, columns=before, finished="2030-01-01")
    new = summary("nonperso", 0.5, columns=COLUMNS[:1], finished="2030-01-02")
    (board,) = leaderboards(runs_of(old, new))
    assert [column.higher_is_better for column in board.columns] == [True]


# ---------------------------------------------------------------- which columns


@pytest.mark.parametrize(
    ("asked", "keys"),
    [
        (["rouge"], ["rouge1"]),
        (["bleu", "rouge"], ["bleu", "rouge1"]),
        (["rougeL"], ["rougeL"]),
        (["ROUGEl", "R-1"], ["rougeL", "rouge1"]),
        (["rou"], ["rouge1"]),  # the metric: its name comes before those of its columns
        (["bl."], ["bleu"]),
    ],
)
def test_metrics_and_columns_are_chosen_in_any_case(
    found: list[FinishedRun], asked: list[str], keys: list[str]
) -> None:
    (board,) = leaderboards(found, metrics=asked)
    assert [column.key for column in board.columns] == keys


def test_every_column_of_a_metric(found: list[FinishedRun]) -> None:
    (board,) = leaderboards(found, metrics=["rouge"], all_columns=True)
    assert [column.key for column in board.columns] == ["rouge1", "rougeL"]


def test_an_unknown_metric_is_named_with_those_that_are_there(found: list[FinishedRun]) -> None:
    with pytest.raises(UserError, match=r"no metric or column 'metoer'.* Known: .*bleu.*rouge"):
        leaderboards(found, metrics=["metoer"])
    with pytest.raises(UserError, match=r"'rouge[.]*' may be|no metric or column"):
        leaderboards(found, metrics=["x"])


@pytest.mark.parametrize(("word", "metric"), [("meteor", "meteor"), ("bertscore", "bertscore"), ("JUD", "judge")])
def test_a_metric_that_no_run_has_is_named_with_the_command_that_adds_it(
    found: list[FinishedRun], word: str, metric: str, capfd: pytest.CaptureFixture[str]
) -> None:
    out = found[0].folder.path.parent
    assert bench("table", out, "--metric", word) == 2
    said = f"no run here was scored with metric '{metric}'; `bench score {out} --metric {metric}` adds it"
    assert said in capfd.readouterr().err


def test_the_command_chooses_columns_and_counts_only_their_comparisons(
    found: list[FinishedRun], capfd: pytest.CaptureFixture[str]
) -> None:
    out = found[0].folder.path.parent
    assert bench("table", out, "--metric", "bleu", "--baseline", "nonperso", "--format", "markdown") == 0
    printed = capfd.readouterr().out
    assert "R-1" not in printed and "Books BL." in printed
    assert "over the 2 comparisons" in printed  # RAG in two categories: PAG has no BLEU
    assert bench("table", out, "--metric", "metoer") == 2
    assert "no metric or column 'metoer'" in capfd.readouterr().err


# ---------------------------------------------------------------- comparisons


def test_compare_uses_what_both_have(found: list[FinishedRun], tmp_path: Path) -> None:
    out = tmp_path / "runs"
    assert [line.column.key for line in compare("PAG", "RAG", out).lines] == ["rouge1", "rouge1"]
    assert {line.column.key for line in compare("RAG", "NONPERSO", out, metrics=["bleu"]).lines} == {"bleu"}
    with pytest.raises(
        UserError, match="only one or none of them was scored with metric 'bleu'; `bench score RUN --metric bleu`"
    ):
        compare("PAG", "RAG", out, metrics=["bleu"])


def test_compare_of_runs_with_no_metric_in_common_names_the_command(found: list[FinishedRun], tmp_path: Path) -> None:
    scored.finished(tmp_path / "runs" / "dpl", summary("dpl"), scored.rows(0.5), metrics=("bleu",))
    with pytest.raises(UserError, match="dpl and pag have no metric in common; `bench score RUN --metric bleu,rouge`"):
        compare("dpl", "pag", tmp_path / "runs")


# ---------------------------------------------------------------- columns without a direction


def test_nothing_is_best_or_better_where_no_direction_is_stated(found: list[FinishedRun], tmp_path: Path) -> None:
    for run in found:
        columns = [{**column, "higher_is_better": None} for column in run.summary["columns"] if column["key"] == "bleu"]
        others = [column for column in run.summary["columns"] if column["key"] != "bleu"]
        run.folder.write("summary.json", {**run.summary, "columns": [*others, *columns]})
    runs = [FinishedRun(run.folder, run.folder.summary()) for run in found]
    (board,) = leaderboards(runs, baseline="nonperso")
    for row in board.rows:
        assert board.rank(row, BLEU) == 0 and BLEU not in row.significance
    assert any(row.significance for row in board.rows)
    assert any(
        note.startswith("BL.: no direction, so no best and no daggers; `higher_is_better`") for note in board.notes
    )
    assert any("over the 4 comparisons" in note for note in board.notes)  # of ROUGE
    lines = {(line.category, line.column.key): line for line in compare("RAG", "NONPERSO", tmp_path / "runs").lines}
    assert lines["Books", "rouge1"].significance == "†"
    assert lines[BLEU].difference.p < 0.05 and lines[BLEU].significance == ""
    assert math.isnan(lines[BLEU].p)  # nothing to correct: it can be neither better nor worse


def test_a_table_of_such_columns_alone_promises_no_bold() -> None:
    columns = [{**COLUMNS[0], "higher_is_better": None}]
    (board,) = leaderboards(runs_of(summary(columns=columns), summary("nonperso", 0.1, columns=columns)))
    assert labels(board) == ["Non-Perso", "RAG"]
    assert not any("Best in bold" in note for note in board.notes)
    assert "**" not in markdown(board)
