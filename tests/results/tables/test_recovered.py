"""The column of what was recovered between floor and ceiling: by hand, its interval, and where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.data.synthetic import world
from bench.types import Column, StageCost
from results.statistics import inference
from results.statistics.resampling import Estimate, Estimates
from results.tables import recovered
from results.tables.leaderboard import Leaderboard, Row
from tests.fakes import bench

USERS = 40


def estimate(values: np.ndarray) -> Estimate:
    counts = inference.counts(len(values))
    resampled = counts @ values / len(values)
    low, high = inference.interval(resampled, len(values))
    left_out = (values.sum() - values) / (len(values) - 1)
    return Estimate(float(values.mean()), float(low), float(high), len(values), left_out, resampled)


def row(method: str, value: float, variant: str = "") -> Row:
    return Row(method, method, None, 0, (0,), USERS, 0, {("c", "habits"): value}, StageCost(), variant)


def board(*rows: Row) -> Leaderboard:
    return Leaderboard("t", ("c",), (Column("habits", "HAB."), Column("rouge1", "R-1")), rows, ("A note.",))


@pytest.fixture
def three() -> tuple[Leaderboard, Estimates]:
    rng = np.random.default_rng(0)
    by_user = [base + rng.normal(0, 0.05, USERS) for base in (0.2, 0.5, 0.8)]
    rows = [row(name, float(v.mean())) for name, v in zip(("nonperso", "rag", "oracle"), by_user, strict=True)]
    return board(*rows), {(place, "c", "habits"): estimate(v) for place, v in enumerate(by_user)}


def test_values_by_hand_and_intervals_around_them(three: tuple[Leaderboard, Estimates]) -> None:
    before, found = three
    after, estimates = recovered.with_column(before, found)
    assert [column.key for column in after.columns] == ["habits", "recovered", "rouge1"]
    low, own, high = (one.values["c", "habits"] for one in before.rows)
    values = [one.values["c", "recovered"] for one in after.rows]
    assert values == pytest.approx([0, (own - low) / (high - low), 1], abs=1e-9)
    middle = estimates[1, "c", "recovered"]
    assert middle.low < middle.value < middle.high
    assert middle.high - middle.low < 0.2
    assert (estimates[0, "c", "recovered"].low, estimates[2, "c", "recovered"].high) == (0, 1)
    assert after.notes[-1] == recovered.NOTE


def test_none_without_floor_or_ceiling_or_room_between_them(three: tuple[Leaderboard, Estimates]) -> None:
    before, found = three
    for lost in (0, 2):
        rest = replace(before, rows=tuple(one for place, one in enumerate(before.rows) if place != lost))
        assert recovered.with_column(rest, found)[0] == rest
    upside_down = {**found, (0, "c", "habits"): found[2, "c", "habits"], (2, "c", "habits"): found[0, "c", "habits"]}
    assert not any(("c", "recovered") in one.values for one in recovered.with_column(before, upside_down)[0].rows)


def test_a_ceiling_that_may_be_none_leaves_no_value_and_no_nan() -> None:
    rng = np.random.default_rng(1)
    by_user = [rng.normal(0.3, 0.5, 12) for _ in range(3)]
    found: Estimates = {(place, "c", "habits"): estimate(v) for place, v in enumerate(by_user)}
    rows = [row(name, float(v.mean())) for name, v in zip(("nonperso", "rag", "oracle"), by_user, strict=True)]
    assert not any(("c", "recovered") in one.values for one in recovered.with_column(board(*rows), found)[0].rows)


def test_a_swapped_floor_is_not_the_floor(three: tuple[Leaderboard, Estimates]) -> None:
    before, found = three
    first, *others = before.rows
    swapped = replace(before, rows=(replace(first, variant="history=random"), *others))
    assert recovered.with_column(swapped, found)[0] == swapped


def test_a_table_of_a_world_has_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    world.write(tmp_path / "w", world.Knobs(users=8, items=30, categories=1), name="w")
    words = ["--data", tmp_path / "w", "--metric", "habits,bleu", "--generator", "echo", "--out", tmp_path / "runs"]
    assert bench("run", "--method", "nonperso,rag,oracle", *words) == 0
    capfd.readouterr()
    assert bench("table", tmp_path / "runs", "--format", "markdown", "--baseline", "nonperso") == 0
    out = capfd.readouterr().out
    assert "REC." in out
    assert "Oracle (ceiling)" in out
    assert "is told the habits and is no method" in out
