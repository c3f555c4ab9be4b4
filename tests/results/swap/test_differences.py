"""Own minus another's history: every number against one computed here from the rows."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.types import Column
from results.statistics import inference
from results.statistics.resampling import Difference, Estimate
from results.swap import differences, show
from results.swap.sides import Pair
from results.tables import compare
from results.tables.compare import Line
from results.tables.finished_runs import FinishedRun
from tests.results import scored
from tests.results.tables.test_leaderboard import summary

Rows = list[dict[str, Any]]


def run(folder: Path, skill: float, method: str = "rag", *, users: int = 30) -> tuple[FinishedRun, Rows]:
    rows = scored.rows(skill, users=users)
    return scored.finished(folder, summary(method), rows), rows


@pytest.fixture
def sides(tmp_path: Path) -> dict[str, tuple[FinishedRun, Rows]]:
    skills = {"own": 0.6, "swapped": 0.45, "floor": 0.3}
    return {
        name: run(tmp_path / name, skill, "nonperso" if name == "floor" else "rag") for name, skill in skills.items()
    }


def pair(sides: dict[str, tuple[FinishedRun, Rows]], **changed: Any) -> Pair:
    return Pair("RAG", "random", *((sides[name][0],) for name in ("own", "swapped", "floor")), **changed)


def by_user(rows: Rows, category: str | None) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        if category in (None, row["category"]):
            found[row["category"], row["user_id"]].append(row["rouge"]["rouge1"])
    return dict(found)


def mean(users: dict[Any, list[float]], without: Any = None) -> float:
    return fmean(value for user, values in users.items() if user != without for value in values)


def p_value(one: dict[Any, list[float]], other: dict[Any, list[float]]) -> float:
    """t-test with the delete-one-user jackknife's standard error, in plain Python."""
    left_out = [mean(one, user) - mean(other, user) for user in one]
    n, centre = len(left_out), fmean(left_out)
    error = math.sqrt((n - 1) / n * sum((value - centre) ** 2 for value in left_out))
    return float(2 * stats.t.sf(abs(mean(one) - mean(other)) / error, n - 1))


def holm(p_values: list[float]) -> list[float]:
    """By definition: each p times the number of those at least as large, made monotone."""
    times = [p * sum(other >= p for other in p_values) for p in p_values]
    return [min(1.0, max(t for t, q in zip(times, p_values, strict=True) if q <= p)) for p in p_values]


def test_differences_and_their_tests_are_those_of_the_rows(sides: dict[str, tuple[FinishedRun, Rows]]) -> None:
    (found,) = differences.measured([pair(sides)], metrics=["rouge1"])
    categories = ["Books", "Films", None]
    assert [line.category for line in found.lines] == ["Books", "Films", differences.ALL]
    raw = []
    for line, category in zip(found.lines, categories, strict=True):
        own, swapped = (by_user(sides[name][1], category) for name in ("own", "swapped"))
        assert line.difference.value == pytest.approx(mean(own) - mean(swapped), abs=1e-12)
        raw.append(p_value(own, swapped))
        assert line.difference.p == pytest.approx(raw[-1], rel=1e-6)
        assert (line.a.users, line.a.n) == (len(own), 2 * len(own))
        assert line.difference.low < line.difference.value < line.difference.high
        assert line.significance == "†"
    assert [line.p for line in found.lines] == pytest.approx(holm(raw), rel=1e-6)


def test_holm_counts_the_lines_of_all_rows(sides: dict[str, tuple[FinishedRun, Rows]]) -> None:
    (alone,) = differences.measured([pair(sides)])
    twice = differences.measured([pair(sides), replace(pair(sides), history="similar")])
    raw = [line.difference.p for one in twice for line in one.lines]
    assert [line.p for one in twice for line in one.lines] == pytest.approx(holm(raw), rel=1e-9)
    assert max(line.p for line in twice[0].lines) > max(line.p for line in alone.lines)


def test_the_share_that_survives_is_the_ratio_of_the_gains(sides: dict[str, tuple[FinishedRun, Rows]]) -> None:
    (found,) = differences.measured([pair(sides)], metrics=["rouge1"])
    users = {name: by_user(sides[name][1], None) for name in sides}
    own, swapped, floor = (mean(users[name]) for name in ("own", "swapped", "floor"))
    gain = found.gains[-1]
    assert gain.own.value == pytest.approx(own - floor) and gain.swapped.value == pytest.approx(swapped - floor)
    assert gain.survives is not None
    assert gain.survives.value == pytest.approx((swapped - floor) / (own - floor))
    # The interval: the ratio in each draw of users, one after the other.
    sums = {name: np.array([sum(values) for values in users[name].values()]) for name in users}
    again = []
    for drawn in inference.counts(60):
        one, other, low = (float((drawn * sums[name]).sum()) for name in ("own", "swapped", "floor"))
        again.append((other - low) / (one - low))
    low, high = inference.interval(np.array(again), 60)
    assert (gain.survives.low, gain.survives.high) == pytest.approx((low, high), rel=1e-3)
    said = show.words([found])[0]
    assert f"{100 * gain.survives.value:.0f} % of it survives the swap" in said
    assert said.endswith("part of it is register, not person.")
    (similar,) = differences.measured([replace(pair(sides), history="similar")], metrics=["rouge1"])
    shared = "part of it is register, or shared with the most similar user."
    assert show.words([similar])[0].endswith(shared)


def test_no_certain_gain_is_not_divided(tmp_path: Path) -> None:
    sides = {name: run(tmp_path / name, 0.5) for name in ("own", "swapped")}
    sides["floor"] = run(tmp_path / "floor", 0.501, "nonperso")
    (found,) = differences.measured([pair(sides)], metrics=["rouge1"])
    assert found.gains and all(gain.survives is None for gain in found.gains)
    assert "which is not certain" in show.words([found])[0]


def test_without_a_floor_the_words_say_what_is_missing(sides: dict[str, tuple[FinishedRun, Rows]]) -> None:
    (found,) = differences.measured([replace(pair(sides), floor=())])
    assert not found.gains
    assert "`bench run --method nonperso` with the same options adds it" in show.words([found])[0]


def test_a_column_that_one_side_lacks_is_left_out(tmp_path: Path) -> None:
    own, _ = run(tmp_path / "own", 0.6)
    swapped = scored.finished(tmp_path / "swapped", summary("rag"), scored.rows(0.4), metrics=["rouge"])
    (found,) = differences.measured([Pair("RAG", "random", (own,), (swapped,), ())], every=True)
    assert {line.column.key for line in found.lines} == {"rouge1", "rougeL"}


def test_one_user_has_values_without_intervals_in_every_format(tmp_path: Path) -> None:
    sides = {name: run(tmp_path / name, skill, users=1) for name, skill in (("own", 0.9), ("swapped", 0.1))}
    (found,) = differences.measured([Pair("RAG", "random", *((sides[name][0],) for name in sides), ())])
    made = json.loads(show.as_json([found]))["swaps"][0]["lines"]
    assert made[0]["low"] is None and made[0]["p_holm"] is None and made[0]["difference"] is not None
    assert "| RAG | random | Books | R-1 |" in show.as_markdown([found])


def test_columns_without_a_direction_are_not_corrected_over() -> None:
    estimate = Estimate(0.5, 0.4, 0.6, 9, np.zeros(9), np.zeros(9))
    columns = [Column("a", "A", higher_is_better=True), Column("l", "LEN."), Column("b", "B", higher_is_better=False)]
    made = [
        Line("Books", column, estimate, estimate, Difference(0.1, 0.05, 0.2, p), p)
        for column, p in zip(columns, (0.02, 0.001, 0.03), strict=True)
    ]
    assert compare.tested(made) == 2
    one, none, other = compare.corrected(made)
    assert (one.p, other.p) == (0.04, 0.04)
    assert math.isnan(none.p) and none.significance == "" and compare.numbers(none)[4:6] == ["0.0010", "-"]
    assert (one.significance, other.significance) == ("†", "‡")


def test_a_difference_without_an_interval_says_so() -> None:
    alone = Estimate(0.5, math.nan, math.nan, 1, np.zeros(1), np.zeros(1))
    column = Column("rouge1", "R-1", higher_is_better=True)
    unsure = Difference(0.1, math.nan, math.nan, math.nan)
    said = show._worth(differences.Gain("Books", column, unsure, unsure, None), "random")
    assert "nan" not in said and "+0.1000 without an interval, which is not certain" in said
    assert "nan" not in " ".join(compare.numbers(Line("Books", column, alone, alone, unsure, math.nan)))


@pytest.mark.parametrize(("higher", "value", "said"), [(True, -0.1, True), (False, 0.1, True), (True, 0.1, False)])
def test_no_gain_is_no_mystery(higher: bool, value: float, said: bool) -> None:
    column, floor = Column("rouge1", "R-1", higher_is_better=higher), Difference(value, -0.2, 0.2, 0.5)
    words = show._worth(differences.Gain("Books", column, floor, floor, None), "random")
    assert ("there is no gain" in words) is said
    assert ("which is not certain" in words) is not said
