"""`bench metrics`: what is correlated, which rows are swaps of each other, orders, the figure, and what is said."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from bench.errors import UserError
from results.figures import plots
from results.statistics import inference
from results.tables import agreement, agreement_shown, scored_rows
from results.tables.agreement import Agreement
from results.tables.finished_runs import FinishedRun
from tests import fakes
from tests.results import scored
from tests.results.tables.test_leaderboard import summary

SKILLS = {"nonperso": 0.3, "rag": 0.5, "pag": 0.4}
R1, RL, BL = "R-1", "R-L", "BL."


@pytest.fixture
def found(tmp_path: Path) -> list[FinishedRun]:
    out = tmp_path / "runs"
    runs = [scored.finished(out / name, summary(name), scored.rows(skill)) for name, skill in SKILLS.items()]
    swapped = summary("rag", variant="history=random")
    return [*runs, scored.finished(out / "swapped", swapped, scored.rows(0.35, seed=1))]


def made_of(found: list[FinishedRun], *, baseline: str = "") -> Agreement:
    (made,) = agreement.measure(scored_rows.tables(found, all_columns=True), baseline=baseline)
    return made


def by_user(run: FinishedRun, key: str) -> np.ndarray:
    """(users of both categories,) means over the two samples of each user."""
    return np.array([row["rouge"][key] for row in run.folder.rows("scores.jsonl")]).reshape(-1, 2).mean(axis=1)


def bleu_of_users(run: FinishedRun) -> np.ndarray:
    rows = [row["bleu"] for row in run.folder.rows("scores.jsonl")]
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return np.array([scored.METRICS["bleu"].aggregate(pair)["bleu"] for pair in pairs])


def both_ways(values: list[np.ndarray], pairs: list[tuple[int, int]]) -> np.ndarray:
    return np.concatenate([values[a] - values[b] for one in pairs for a, b in (one, one[::-1])])


def printed(made: Agreement) -> str:
    console = Console(width=240)
    with console.capture() as capture:
        agreement_shown.show(console, made)
    return capture.get()


# ---------------------------------------------------------------- correlations


def test_differences_of_all_pairs_of_rows_are_pooled_over_users_and_categories(found: list[FinishedRun]) -> None:
    made = made_of(found)
    assert [column.label for column in made.columns] == [R1, RL, BL]
    assert (made.metrics, made.users) == (("rouge", "rouge", "bleu"), 60)
    pairs = [(a, b) for a in range(4) for b in range(a)]
    rouge, bleu = (both_ways(list(map(of, found)), pairs) for of in (lambda run: by_user(run, "rouge1"), bleu_of_users))
    assert made.pearson.values[0, 2] == pytest.approx(np.corrcoef(rouge, bleu)[0, 1])
    assert made.spearman.values[0, 2] == pytest.approx(stats.spearmanr(rouge.round(9), bleu.round(9)).statistic)
    low, high = made.pearson.ends[:, 0, 2]
    assert low < made.pearson.values[0, 2] < high < 1


def test_with_a_baseline_they_are_the_differences_from_it(found: list[FinishedRun]) -> None:
    made = made_of(found, baseline="nonperso")
    pairs = [(other, 0) for other in (1, 2, 3)]
    one, other = (both_ways([by_user(run, key) for run in found], pairs) for key in ("rouge1", "rougeL"))
    assert made.pearson.values[0, 1] == pytest.approx(np.corrcoef(one, other)[0, 1])
    assert "every row and Non-Perso" in printed(made)
    with pytest.raises(UserError, match="no baseline 'nonperson'; did you mean 'nonperso'"):
        made_of(found, baseline="nonperson")


def test_a_column_where_less_is_better_is_turned_round(found: list[FinishedRun]) -> None:
    def turned(run: FinishedRun) -> FinishedRun:
        columns = [{**one, "higher_is_better": one["key"] != "rougeL"} for one in run.summary["columns"]]
        return replace(run, summary={**run.summary, "columns": columns})

    plain, other = made_of(found), made_of([turned(run) for run in found])
    assert other.pearson.values[0, 1] == pytest.approx(-plain.pearson.values[0, 1])
    assert other.spearman.values[1, 2] == pytest.approx(-plain.spearman.values[1, 2])
    assert other.kendall is not None and plain.kendall is not None
    assert other.kendall.values[0, 1] == pytest.approx(-plain.kendall.values[0, 1])
    assert other.places[:, 1].tolist() == (4 - plain.places[:, 1]).tolist()


def test_a_column_in_which_no_rows_differ_is_left_out_and_named(tmp_path: Path) -> None:
    rows = {name: scored.rows(skill) for name, skill in SKILLS.items()}
    for other in ("rag", "pag"):
        for row, first in zip(rows[other], rows["nonperso"], strict=True):
            row["bleu"] = first["bleu"]
    made = made_of([scored.finished(tmp_path / name, summary(name), rows[name]) for name in SKILLS])
    assert ([column.label for column in made.columns], made.left_out) == ([R1, RL], (BL,))
    assert "Left out: BL.; no two rows differ there." in printed(made)


def test_a_column_that_a_row_lacks_is_correlated_over_the_others(found: list[FinishedRun], tmp_path: Path) -> None:
    lacks = scored.finished(tmp_path / "few", summary("dpl"), scored.rows(0.45), metrics=("rouge",))
    made = made_of([*found[:3], lacks])
    pairs = [(0, 1), (0, 2), (1, 2)]
    rouge, bleu = (
        both_ways(list(map(of, found[:3])), pairs) for of in (lambda run: by_user(run, "rouge1"), bleu_of_users)
    )
    assert made.pearson.values[0, 2] == pytest.approx(np.corrcoef(rouge, bleu)[0, 1])
    assert made.lacking == (BL,)
    assert "BL.: only over the users that have a value in both rows." in printed(made)
    places = dict(zip(made.rows, made.places[:, 2].tolist(), strict=True))
    assert math.isnan(places["dpl"]) and sorted(places[name] for name in ("Non-Perso", "RAG", "pag")) == [1, 2, 3]


# ---------------------------------------------------------------- swaps


def test_a_row_is_compared_with_itself_under_another_user_s_history(found: list[FinishedRun]) -> None:
    made = made_of(found)
    assert [(one.row, one.other, one.column.label) for one in made.swaps] == [
        ("RAG", "RAG · history=random", label) for label in (R1, RL, BL)
    ]
    first = made.swaps[0]
    test = stats.ttest_rel(by_user(found[1], "rouge1"), by_user(found[3], "rouge1"))
    assert (first.errors, first.difference.p) == (pytest.approx(test.statistic), pytest.approx(test.pvalue))
    assert [one.p for one in made.swaps] == pytest.approx(inference.holm([one.difference.p for one in made.swaps]))
    said = printed(made).partition("history: RAG less RAG · history=random")[2]
    line = next(one for one in said.splitlines() if one.strip().startswith(R1))
    assert line.split()[-1] == "†"


@pytest.mark.parametrize("kind", ["swapped", "random", "similar", "dissimilar"])
def test_any_other_history_is_a_swap_of_the_row_with_the_same_options(
    kind: str, found: list[FinishedRun], tmp_path: Path
) -> None:
    runs = [
        scored.finished(tmp_path / str(place), summary("rag", variant=variant), scored.rows(0.4, seed=place))
        for place, variant in enumerate(["rag.order=x", f"history={kind}, rag.order=x", f"history={kind}, rag.order=y"])
    ]
    made = made_of([*found[:3], *runs])
    assert {(one.row, one.other) for one in made.swaps} == {("RAG · rag.order=x", f"RAG · history={kind}, rag.order=x")}
    assert made.alone == (f"RAG · history={kind}, rag.order=y",)
    assert f"Without the same row with the user's own history: RAG · history={kind}, rag.order=y." in printed(made)


def test_without_a_swap_a_line_names_the_command(found: list[FinishedRun]) -> None:
    made = made_of(found[:3])
    assert made.swaps == ()
    assert "`bench swap rag` makes one" in printed(made)  # the run's name


# ---------------------------------------------------------------- orders


def test_orders_are_those_of_the_table_without_swapped_rows(found: list[FinishedRun]) -> None:
    made = made_of(found)
    assert made.rows == ("Non-Perso", "RAG", "pag")
    assert made.places[:, 0].tolist() == [3, 1, 2]
    assert made.kendall is not None
    taus = [[stats.kendalltau(made.places[:, a], made.places[:, b]).statistic for b in range(3)] for a in range(3)]
    assert made.kendall.values == pytest.approx(np.array(taus))
    two = made_of(found[:2])
    assert two.kendall is None
    assert "Kendall's tau between these orders needs three rows." in printed(two)


def test_a_column_without_a_direction_is_correlated_but_orders_no_rows(found: list[FinishedRun]) -> None:
    def without(run: FinishedRun, *keys: str) -> FinishedRun:
        columns = [{**one, "higher_is_better": None if one["key"] in keys else True} for one in run.summary["columns"]]
        return replace(run, summary={**run.summary, "columns": columns})

    plain, made = made_of(found), made_of([without(run, "rougeL") for run in found])
    assert made.pearson.values == pytest.approx(plain.pearson.values)
    assert made.places.tolist() == plain.places[:, [0, 2]].tolist()
    assert made.kendall is not None and plain.kendall is not None
    assert made.kendall.values == pytest.approx(plain.kendall.values[np.ix_([0, 2], [0, 2])])
    orders = printed(made).partition("No order by R-L: no direction")[2]
    assert "The order of methods" in orders and RL not in orders
    (figure,) = plots.draw("metrics", [without(run, "rougeL") for run in found], ["rouge1", "rougeL", "bleu"])
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == [R1, BL]
    none = made_of([without(run, "rouge1", "rougeL", "bleu") for run in found])
    assert none.kendall is None and "1: best" not in printed(none)


def test_rows_that_show_the_same_digits_share_a_place(found: list[FinishedRun], tmp_path: Path) -> None:
    twin = scored.finished(tmp_path / "twin", summary("twin"), scored.rows(SKILLS["rag"]))
    made = made_of([*found[:3], twin])
    assert dict(zip(made.rows, made.places[:, 0].tolist(), strict=True)) == {
        "Non-Perso": 4, "RAG": 1, "pag": 3, "twin": 1,
    }  # fmt: skip


# ---------------------------------------------------------------- the command and the figure


def test_the_command_prints_all_three_and_what_they_do_not_show(
    found: list[FinishedRun], capfd: pytest.CaptureFixture[str]
) -> None:
    out = found[0].folder.path.parent
    assert fakes.bench("metrics", out, "--all") == 0
    said = capfd.readouterr().out
    made = made_of(found)
    assert f"{made.pearson.values[1, 0]:.2f} ±" in said
    for part in ("Pearson below, Spearman above", "another user's history", "order of methods", "Kendall's tau"):
        assert part in said
    assert "What agreement does not show: that a metric is right." in said
    assert fakes.bench("metrics", out, "--metric", "bleu") == 0
    assert "One column alone has nothing to agree with" in capfd.readouterr().out
    assert fakes.bench("metrics", out, "--baseline", "dpp") == 2
    assert capfd.readouterr().err.startswith("bench: no baseline 'dpp'")


def test_the_figure_shows_what_is_printed(found: list[FinishedRun], tmp_path: Path) -> None:
    (figure,) = plots.draw("metrics", found, ["rouge1", "rougeL", "bleu"])
    left, middle, right = figure.axes
    made = made_of(found)
    shown = [text.get_text() for text in left.texts]
    assert shown[1] == f"{made.spearman.values[0, 1]:.2f}"
    assert shown[3] == f"{made.pearson.values[1, 0]:.2f}"
    points: Any = [one.get_offsets().tolist() for one in middle.collections]
    assert sorted(place for one in points for _, place in one) == [0, 1, 2]
    assert [x for one in points for x, place in one if place == 0] == [pytest.approx(made.swaps[0].errors)]
    assert {line.get_label(): list(line.get_ydata()) for line in right.get_lines()} == {
        label: places for label, places in zip(made.rows, made.places.tolist(), strict=True)
    }
    (without,) = plots.draw("metrics", found[:3], ())
    assert len(without.axes) == 2
    assert plots.save([figure], tmp_path / "m.svg")[0].stat().st_size > 0
    with pytest.raises(plots.NothingToDraw, match="two rows that have scores of two columns; `bench grid smoke`"):
        plots.draw("metrics", found[:1], ())
    with pytest.raises(plots.NothingToDraw):
        plots.draw("metrics", found, ["bleu"])
