"""`bench power` and the note of tables: which pairs of rows count, what is printed, and what is refused."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from bench.errors import UserError
from results.statistics import power as statistics
from results.tables import power, scored_rows
from results.tables.assemble import leaderboards
from results.tables.detectable import two_digits
from results.tables.finished_runs import FinishedRun
from results.tables.power import Power, Wanted
from tests import fakes
from tests.results import scored
from tests.results.tables.test_leaderboard import summary

SKILLS = {"nonperso": 0.3, "rag": 0.4, "dpl": 0.5, "pag": 0.45}
FIVE = Wanted(0.05, relative=True)


@pytest.fixture
def found(tmp_path: Path) -> list[FinishedRun]:
    out = tmp_path / "runs"
    return [scored.finished(out / name, summary(name), scored.rows(skill)) for name, skill in SKILLS.items()]


def by_user(run: FinishedRun, category: str, key: str = "rouge1") -> np.ndarray:
    """Each user's mean: two samples each."""
    rows = [row for row in run.folder.rows("scores.jsonl") if row["category"] == category]
    return np.array([row["rouge"][key] for row in rows]).reshape(-1, 2).mean(axis=1)


def measured(found: list[FinishedRun], want: Wanted = FIVE, *, baseline: str = "", pair: tuple[str, ...] = ()) -> Power:
    (made,) = power.measure(scored_rows.tables(found), want, baseline=baseline, pair=pair)
    return made


def error(one: FinishedRun, other: FinishedRun, category: str) -> float:
    return float(stats.sem(by_user(one, category) - by_user(other, category)))


def smallest(error: float, level: float = 0.05) -> float:
    """For 30 users: scipy's noncentral t, which is not what the code calls."""
    bound = stats.t.ppf(1 - level / 2, 29)
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if stats.nct.sf(bound, 29, middle) >= 0.8 else (middle, high)
    return high * error


def test_without_a_name_it_is_the_median_of_all_pairs(found: list[FinishedRun]) -> None:
    made = measured(found)
    assert [(line.category, line.column.label) for line in made.lines] == [
        ("Books", "R-1"), ("Books", "BL."), ("Films", "R-1"), ("Films", "BL."),
    ]  # fmt: skip
    errors = sorted(error(*pair, "Films") for pair in combinations(found, 2))
    line = made.lines[2]
    assert line.spread.errors == pytest.approx(errors)
    assert line.spread.smallest() == pytest.approx(smallest(median(errors)), rel=1e-4)
    assert line.spread.range() == pytest.approx((smallest(errors[0]), smallest(errors[-1])), rel=1e-4)
    assert line.value == pytest.approx(median(run.summary["scores"]["Films"]["rouge1"] for run in found))
    assert (made.comparisons, made.of) == (3 * 4, "all pairs of the 4 rows")
    assert line.spread.smallest(made.holm) == pytest.approx(smallest(median(errors), 0.05 / 12), rel=1e-4)


def test_a_baseline_or_a_pair_counts_only_its_own_differences(found: list[FinishedRun]) -> None:
    nonperso, rag, dpl, pag = found
    line = measured(found, baseline="nonperso").lines[0]
    errors = [error(nonperso, other, "Books") for other in (rag, dpl, pag)]
    assert line.spread.errors == pytest.approx(sorted(errors))
    assert line.value == pytest.approx(nonperso.summary["scores"]["Books"]["rouge1"])
    made = measured(found, Wanted(0.02, relative=False), pair=("dpl", "rag"))
    line = made.lines[0]
    assert line.spread.errors == pytest.approx([error(rag, dpl, "Books")])
    assert (made.comparisons, made.of) == (4, "dpl less RAG")
    needed = line.spread.needed(0.02)
    assert needed == statistics.users_needed(0.02, error(rag, dpl, "Books"), 30)
    assert needed is not None
    deviation = math.sqrt(30) * error(rag, dpl, "Books")
    bounds = [
        (1 - stats.nct.cdf(stats.t.ppf(0.975, n - 1), n - 1, 0.02 * math.sqrt(n) / deviation), n)
        for n in (needed - 1, needed)
    ]
    assert bounds[0][0] < 0.8 <= bounds[1][0] + 1e-5


def test_holm_counts_no_column_without_a_direction(found: list[FinishedRun]) -> None:
    """As in tables and `bench compare`: such a column can be neither better nor worse."""
    for run in found:
        columns = [{**one, "higher_is_better": None} if one["key"] == "bleu" else one for one in run.summary["columns"]]
        run.summary["columns"] = columns
    for made in (measured(found, pair=("dpl", "rag")), measured(found, baseline="rag")):
        assert made.comparisons == sum(line.column.key == "rouge1" for line in made.lines) * len(
            made.lines[0].spread.errors
        )
        assert {line.column.key for line in made.lines if not line.tested} == {"bleu"}


def test_seeds_are_one_row(tmp_path: Path) -> None:
    runs = [
        scored.finished(tmp_path / f"rag-{seed}", summary("rag", seed=seed), scored.rows(0.4, seed=seed))
        for seed in (0, 1)
    ]
    other = scored.finished(tmp_path / "nonperso", summary("nonperso"), scored.rows(0.3))
    line = measured([*runs, other]).lines[0]
    mean = (by_user(runs[0], "Books") + by_user(runs[1], "Books")) / 2
    assert line.spread.errors == pytest.approx([stats.sem(mean - by_user(other, "Books"))])


def test_rows_that_differ_for_no_user_are_left_out_and_counted(found: list[FinishedRun], tmp_path: Path) -> None:
    twin = scored.finished(tmp_path / "twin", summary("twin"), scored.rows(SKILLS["rag"]))
    made = measured([*found[:2], twin])
    assert [(len(line.spread.errors), line.spread.equal) for line in made.lines] == [(2, 1)] * 4
    said = "Left out, pairs of rows with the same difference for every user: Books R-1 1, Books BL. 1, Films R-1 1"
    assert any(note.startswith(said) for note in power.notes(made))
    (line, *_) = measured([found[1], twin]).lines
    assert line.spread.errors == ()


# ---------------------------------------------------------------- the note of tables


def test_a_table_says_once_what_its_users_can_show(found: list[FinishedRun]) -> None:
    def notes(**options: str) -> list[str]:
        (board,) = leaderboards(found, **options)  # type: ignore[arg-type]
        return [note for note in board.notes if "smallest true difference" in note]

    ends = sorted(
        smallest(median(error(*pair, category) for pair in combinations(found, 2))) for category in ("Books", "Films")
    )
    (said,) = notes()
    assert said.startswith(
        "At these users, the smallest true difference of two rows that shows at 80 % (5 % two-sided, before Holm; "
        f"median of all pairs): R-1 {two_digits(ends[0])} to {two_digits(ends[1])}, BL. "
    )
    (said,) = notes(baseline="nonperso")
    assert "median of the rows against Non-Perso): R-1 " in said


def test_a_table_without_a_second_row_intervals_or_users_says_nothing(found: list[FinishedRun], tmp_path: Path) -> None:
    alone = [scored.finished(tmp_path / name, summary(name), scored.rows(0.4, users=1)) for name in ("a", "b")]
    for runs, intervals in ((found[:1], True), (found, False), (alone, True)):
        (board,) = leaderboards(runs, intervals=intervals)
        assert not any("smallest" in note for note in board.notes)


def test_two_digits_count() -> None:
    numbers = {0.0123: "0.012", 0.1: "0.10", 0.0996: "0.100", 1.26: "1.3", 123.4: "123", 0.0: "0", 3e-6: "0.0000030"}
    assert {number: two_digits(number) for number in numbers} == numbers


# ---------------------------------------------------------------- the command


def test_the_command_prints_numbers_and_what_they_do_not_show(
    found: list[FinishedRun], capfd: pytest.CaptureFixture[str]
) -> None:
    out = found[0].folder.path.parent
    assert fakes.bench("power", out, "--baseline", "nonperso", "--relative", "10%", "--metric", "rouge") == 0
    said = capfd.readouterr().out
    line = measured(found, baseline="nonperso").lines[0]
    printed = next(one.split() for one in said.partition("Books")[2].splitlines() if one.strip().startswith("R-1"))
    needed = line.spread.needed(0.1 * line.value)
    assert printed[:3] == ["R-1", f"{line.value:.4f}", two_digits(line.spread.smallest())]
    assert "Books, 30 users" in said
    assert f"{needed:,}" in printed
    assert "users for 10 %" in said
    assert "one of 6 comparisons" in said
    assert "other users are independent, differ as much as these" in said
    assert "what a test can show, not what is there" in said


def test_a_narrow_terminal_cuts_no_number(found: list[FinishedRun]) -> None:
    for width in (30, 200):
        console = Console(width=width, force_terminal=True, no_color=True)
        with console.capture() as capture:
            power.show(console, measured(found))
        line = next(one for one in capture.get().splitlines() if "R-1" in one)
        assert "…" not in line
        assert two_digits(measured(found).lines[0].spread.smallest()) in line


def test_a_difference_from_nothing_needs_no_number_of_users(found: list[FinishedRun]) -> None:
    assert FIVE.of(-2.0) == pytest.approx(0.1)
    assert measured(found).lines[0].spread.needed(FIVE.of(0.0)) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--difference", "0.1", "--relative", "5%"], "--difference and --relative both say"),
        (["--difference", "-1"], "--difference -1: a number above 0 is expected"),
        (["--difference", "nan"], "--difference nan: a number above 0 is expected"),
        (["--relative", "0%"], "--relative 0%: a share above 0 is expected"),
        (["--relative", "five"], "--relative five: a share above 0 is expected"),
        (["--method", "rag"], "--method: two rows are expected"),
        (["--method", "rag,dpl", "--baseline", "pag"], "--method: two rows are expected"),
        (["--method", "rag,RAG"], "--method: both names mean the row RAG"),
        (["--method", "rag,dpp"], "no row 'dpp'; did you mean 'dpl'?"),
        (["--baseline", "dpp"], "no row 'dpp'; did you mean 'dpl'?"),
        (["--metric", "rog"], "no metric or column 'rog'"),
    ],
)
def test_what_is_refused_is_one_line(
    found: list[FinishedRun], words: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert fakes.bench("power", found[0].folder.path.parent, *words) == 2
    (said,) = capfd.readouterr().err.splitlines()
    assert said.startswith(f"bench: {message}")


def test_one_row_unscored_runs_and_single_users_are_refused(found: list[FinishedRun], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no two rows of these finished runs share a table"):
        scored_rows.tables(found[:1])
    alone = [scored.finished(tmp_path / name, summary(name), scored.rows(0.4, users=1)) for name in ("a", "b")]
    with pytest.raises(UserError, match="no category has two users with these columns"):
        power.measure(scored_rows.tables(alone), FIVE)
    (found[0].folder.path / "scores.jsonl").unlink()
    with pytest.raises(UserError, match=r"has no scores.jsonl; `bench score"):
        scored_rows.tables(found)
