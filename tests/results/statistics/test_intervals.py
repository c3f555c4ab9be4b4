"""Tables of runs with scores: score arrays, intervals, daggers, slices and comparisons."""

from __future__ import annotations

import json
import math
import os
import statistics as plain
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.errors import UserError
from bench.record import runs
from bench.score import score_arrays
from bench.types import Column
from results.statistics.resampling import Difference, Estimate
from results.tables import compare as comparing
from results.tables import slices
from results.tables.assemble import leaderboards
from results.tables.compare import Line, compare
from results.tables.finished_runs import FinishedRun
from tests.results import scored
from tests.results.tables.test_leaderboard import summary


@pytest.fixture
def found(tmp_path: Path) -> list[FinishedRun]:
    """Non-Perso, RAG that is far better, and PAG that is as good as Non-Perso, of two seeds."""
    out = tmp_path / "runs"
    skills: list[tuple[str, float, int]] = [("nonperso", 0.5, 0), ("rag", 0.9, 0), ("pag", 0.5, 1), ("pag", 0.5, 2)]
    return [
        scored.finished(out / f"{method}-{seed}", summary(method, seed=seed), scored.rows(skill, seed=seed))
        for method, skill, seed in skills
    ]


def out_of(found: list[FinishedRun]) -> Path:
    return found[0].folder.path.parent


# ---------------------------------------------------------------- arrays


def test_the_arrays_are_those_of_the_rows(found: list[FinishedRun]) -> None:
    run = found[0]
    scores = score_arrays.load(run.folder)
    assert scores is not None
    rows = list(run.folder.rows(runs.SCORES))
    assert scores.categories == ("Books", "Films")
    assert scores.category.tolist() == [0] * 60 + [1] * 60
    assert scores.user.tolist() == [n // 2 for n in range(120)]  # u0 of Films is not u0 of Books
    assert scores.statistics("rouge")[:, 0].tolist() == [row["rouge"]["rouge1"] for row in rows]
    assert scores.statistics("bleu").tolist() == [row["bleu"]["bleu"] for row in rows]
    assert scores.properties["history"].tolist() == [row["properties"]["history"] for row in rows]


def test_arrays_are_kept_and_made_again_when_the_scores_change(found: list[FinishedRun]) -> None:
    folder = found[0].folder
    score_arrays.load(folder)
    kept = folder.path / score_arrays.FILE
    before = kept.stat().st_mtime_ns
    score_arrays.load(folder)
    assert kept.stat().st_mtime_ns == before
    rows = list(folder.rows(runs.SCORES))
    folder.write_rows(runs.SCORES, [{**rows[0], "rouge": {"rouge1": 0.125, "rougeL": 0.0}}, *rows[1:]])
    changed = score_arrays.load(folder)
    assert changed is not None and changed.statistics("rouge")[0, 0] == 0.125
    for damage in (b"", b"no archive"):
        kept.write_bytes(damage)
        again = score_arrays.load(folder)
        assert again is not None and again.statistics("rouge")[0, 0] == 0.125


def test_arrays_follow_the_content_of_the_scores_not_their_time(found: list[FinishedRun]) -> None:
    folder = found[0].folder
    scores, kept = folder.path / runs.SCORES, folder.path / score_arrays.FILE
    score_arrays.load(folder)
    made = kept.stat().st_mtime_ns
    os.utime(scores)  # as a copy
    score_arrays.load(folder)
    assert kept.stat().st_mtime_ns == made
    before, text = scores.stat(), scores.read_text()
    value = json.loads(text.splitlines()[0])["rouge"]["rouge1"]
    scores.write_text(text.replace(f'"rouge1": {value}', f'"rouge1": {"9" * len(str(value))}', 1))
    os.utime(scores, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert scores.stat().st_size == before.st_size
    changed = score_arrays.load(folder)
    assert changed is not None and changed.statistics("rouge")[0, 0] > 1


@pytest.mark.parametrize("part", ["codes", "values", "header"])
def test_arrays_that_were_changed_are_made_again(found: list[FinishedRun], part: str) -> None:
    folder = found[0].folder
    before = score_arrays.load(folder)
    with np.load(folder.path / score_arrays.FILE) as file:
        arrays = dict(file)
    changed = arrays["header"].tobytes().replace(b'"Books"', b'"Hooks"')
    arrays[part] = np.frombuffer(changed, np.uint8) if part == "header" else np.ones_like(arrays[part])
    np.savez(folder.path / score_arrays.FILE, **arrays)
    after = score_arrays.load(folder)
    assert before is not None and after is not None
    assert before.categories == after.categories
    assert (before.user == after.user).all() and (before.numbers == after.numbers).all()


def test_no_arrays_are_kept_while_a_plug_in_s_metric_is_missing(found: list[FinishedRun]) -> None:
    folder = found[0].folder
    rows = [{**row, "not-here": {"x": 1.0}} for row in folder.rows(runs.SCORES)]
    folder.write_rows(runs.SCORES, rows)
    (folder.path / score_arrays.FILE).unlink(missing_ok=True)
    scores = score_arrays.load(folder)
    assert scores is not None and scores.statistics("not-here").shape == (120, 0)
    assert not (folder.path / score_arrays.FILE).exists()


def test_a_missing_value_counts_for_nothing() -> None:
    numbers, keys = score_arrays.statistics("judge", [{"judge": 4.0}, {"judge": None}, {"judge": 7.0}])
    assert keys == ["judge"]
    assert numbers.tolist() == [[4.0, 1.0], [0.0, 0.0], [7.0, 1.0]]
    assert score_arrays.values("judge", numbers.sum(axis=0), keys)["judge"] == 5.5
    assert math.isnan(score_arrays.values("judge", numbers[1], keys)["judge"])


def test_a_metric_that_is_not_here_leaves_no_numbers() -> None:
    numbers, keys = score_arrays.statistics("gone", [{"gone": 1.0}])
    assert (numbers.shape, keys, score_arrays.values("gone", numbers, keys)) == ((1, 0), [], {})


# ---------------------------------------------------------------- intervals and significance


def test_a_table_has_intervals_around_its_values(found: list[FinishedRun]) -> None:
    (board,) = leaderboards(found)
    for row in board.rows:
        for cell in board.cells():
            low, high = row.intervals[cell]
            assert low < row.values[cell] < high
    sums = [sum(pair) / 2 for pair in zip(*[iter(_rouge(found[0])[:60])] * 2, strict=True)]
    low, high = board.rows[0].intervals["Books", "rouge1"]
    expected = stats.t.interval(0.95, 29, plain.fmean(sums), stats.sem(sums))
    assert (low, high) == pytest.approx(expected, abs=0.15 * (expected[1] - expected[0]))
    assert any("bootstrap over Books 30, Films 30 users (1,000 draws)" in note for note in board.notes)
    (bare,) = leaderboards(found, intervals=False)
    assert not any(row.intervals for row in bare.rows)
    assert [row.values for row in bare.rows] == [row.values for row in board.rows]


def _rouge(run: FinishedRun) -> list[float]:
    return [row["rouge"]["rouge1"] for row in run.folder.rows(runs.SCORES)]


def test_a_row_has_the_mean_and_the_value_of_each_seed(found: list[FinishedRun]) -> None:
    (board,) = leaderboards(found)
    row = next(row for row in board.rows if row.method == "pag")
    single = [run.summary["scores"]["Books"]["bleu"] for run in found[2:]]
    assert row.by_seed["Books", "bleu"] == tuple(single)
    assert row.values["Books", "bleu"] == pytest.approx(plain.fmean(single))
    (one_seed,) = leaderboards(found[:3])
    narrow, wide = (
        next(row for row in made.rows if row.method == "pag").intervals["Books", "rouge1"] for made in (board, one_seed)
    )
    assert narrow[1] - narrow[0] < wide[1] - wide[0]  # two seeds have less noise of sampling than one


def test_daggers_show_what_differs_from_the_baseline(found: list[FinishedRun]) -> None:
    (board,) = leaderboards(found, baseline="nonperso")
    daggers = {row.method: set(row.significance.values()) for row in board.rows}
    assert daggers == {"nonperso": set(), "rag": {"†"}, "pag": set()}
    assert board.rows[1].significance.keys() == set(board.cells())
    assert any("than Non-Perso: t-test over users, paired, Holm-corrected over the 8" in note for note in board.notes)
    (board,) = leaderboards(found, baseline="RAG")
    assert {row.method: set(row.significance.values()) for row in board.rows}["pag"] == {"‡"}
    with pytest.raises(UserError, match=r"no baseline 'ragg'; did you mean 'rag'\?"):
        leaderboards(found, baseline="ragg")


def test_a_run_without_scores_leaves_the_table_without_intervals(found: list[FinishedRun]) -> None:
    (found[1].folder.path / runs.SCORES).unlink()
    (board,) = leaderboards([FinishedRun(run.folder, run.summary) for run in found])
    assert [len(row.intervals) for row in board.rows] == [0, 0, 0]
    with pytest.raises(UserError, match=r"rag-0 has no scores.jsonl, which slices, daggers and .* need; `bench score"):
        leaderboards([FinishedRun(run.folder, run.summary) for run in found], baseline="rag")


# ---------------------------------------------------------------- slices


def test_slices_of_a_number_have_the_values_of_their_samples(found: list[FinishedRun]) -> None:
    boards = leaderboards(found, slice_by=slices.parse("history:3"))
    assert [board.title for board in boards] == ["toy · smollm · Books", "toy · smollm · Films"]
    assert boards[0].categories == ("history 0–9", "history 10–19", "history 20–29")
    rows = list(found[0].folder.rows(runs.SCORES))
    mine = [r["rouge"]["rouge1"] for r in rows if r["category"] == "Books" and 10 <= r["properties"]["history"] < 20]
    assert boards[0].rows[0].values["history 10–19", "rouge1"] == pytest.approx(plain.fmean(mine))
    assert any("n = history 0–9 20, history 10–19 20, history 20–29 20" in note for note in boards[0].notes)


def test_a_property_of_few_values_is_cut_by_value(found: list[FinishedRun]) -> None:
    boards = leaderboards(found, slice_by=slices.parse("rating"), baseline="nonperso")
    assert boards[0].categories == tuple(f"rating {value}" for value in range(1, 6))
    assert set(boards[0].rows[1].significance.values()) == {"†"}


def test_equal_values_stay_together(tmp_path: Path) -> None:
    rows = scored.rows(0.5)
    for place, row in enumerate(rows):
        row["properties"]["history"] = 1 if place % 60 < 50 else place
    (board, _) = leaderboards([scored.finished(tmp_path / "run", summary(), rows)], slice_by=slices.parse("history:4"))
    assert board.categories == ("history 1", "history 50–59")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("histroy:4", "no slice 'histroy'; did you mean 'history:4'?"),
        ("history:1", "--by 'history:1': a number of groups from 2 to 19 is expected"),
        ("history:x", "--by 'history:x': a number"),
    ],
)
def test_an_unknown_slice_is_named(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        slices.parse(text)
    assert str(error.value).startswith(message)


def test_scores_without_a_property_name_the_cure(tmp_path: Path) -> None:
    rows = [{key: row[key] for key in row if key != "properties"} for row in scored.rows(0.5)]
    run = scored.finished(tmp_path / "run", summary(), rows)
    with pytest.raises(UserError, match="the scores of run lack the property peers; `bench score` adds it"):
        leaderboards([run], slice_by=slices.parse("peers:2"))


# ---------------------------------------------------------------- bench compare


def test_compare_is_the_paired_test(found: list[FinishedRun]) -> None:
    made = compare("rag-0", "nonperso", out_of(found))
    assert (made.a, made.b, made.users) == ("rag-0", "Non-Perso", 60)
    line = made.lines[0]
    assert (line.category, line.column.key, line.significance) == ("Books", "rouge1", "†")
    a, b = (np.array(_rouge(run)[:60]).reshape(30, 2).mean(axis=1) for run in (found[1], found[0]))
    assert line.difference.p == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert line.difference.value == pytest.approx(float((a - b).mean()))
    assert line.difference.low < line.difference.value < line.difference.high
    assert line.p == pytest.approx(min(1.0, 4 * min(one.difference.p for one in made.lines)), rel=10)


def test_compare_averages_seeds_and_finds_no_difference_where_none_is(found: list[FinishedRun]) -> None:
    made = compare("pag", "Non-Perso", out_of(found))
    assert made.lines[0].a.value == pytest.approx(plain.fmean(plain.fmean(_rouge(run)[:60]) for run in found[2:]))
    assert [line.significance for line in made.lines] == [""] * 4


def test_compare_names_lines_whose_dagger_and_interval_disagree() -> None:
    column = Column("rouge1", "R-1", digits=4, higher_is_better=True)
    side = Estimate(0.5, 0.4, 0.6, 10, np.zeros(5), np.zeros(9))

    def line(low: float, p: float, column: Column = column) -> Line:
        return Line("Books", column, side, side, Difference(0.1, low, 0.2, p), p)

    says = comparing._disagreement
    assert says([line(0.05, 0.01), line(-0.05, 0.3)]) == []
    (said,) = says([line(0.05, 0.051), line(-0.05, 0.3)])
    assert said.endswith("They disagree in Books R-1.")
    assert says([line(0.05, 0.3, replace(column, higher_is_better=None))]) == []  # has no dagger at all


def test_compare_refuses_runs_that_do_not_pair_up(found: list[FinishedRun]) -> None:
    out = out_of(found)
    with pytest.raises(UserError, match="no run or row 'dpl'"):
        compare("dpl", "rag", out)
    other: dict[str, Any] = {**summary("rag")["data"], "limit": 3}
    scored.finished(out / "limited", summary("rag", data=other), scored.rows(0.5, users=3))
    with pytest.raises(UserError, match="A and B differ in their data"):
        compare("limited", "rag-0", out)
    assert compare("rag", "pag", out).a == "RAG · no limit"  # the only one with the samples of the other side


def test_arrays_that_cannot_be_kept_are_only_slower(found: list[FinishedRun], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "getpid", os.getpid)
    monkeypatch.setattr(np, "savez", refuse)
    (found[0].folder.path / score_arrays.FILE).unlink(missing_ok=True)
    assert score_arrays.load(found[0].folder) is not None
    assert not (found[0].folder.path / score_arrays.FILE).exists()
