"""Tables of methods that were really trained: what was trained in another way is another row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.record import runs
from results.tables.assemble import leaderboards
from results.tables.finished_runs import find_finished
from results.tables.formats.csv_json import as_csv
from tests.fakes import FAKE, FakeGenerator, Plan, bench
from tests.generate.folders import SMOLLM
from tests.train.test_runs import call
from tests.train.toy import World

pytestmark = [pytest.mark.models, pytest.mark.slow]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, require_assets: Callable[..., None]) -> World:
    require_assets(SMOLLM, "wordnet", "punkt")
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def out(world: World) -> Iterator[Path]:
    """`soft` and `rag` at two learning rates: seeds 0 and 1 of each, by two commands, the profile's own rate first."""
    registry.BUILTIN["generator"]["fake"] = FAKE
    FakeGenerator.plan = Plan()
    try:
        assert call(world, "run", "--method", "soft,rag", "--seed", "0,1", out="rates") == 0
        assert call(world, "run", "--method", "soft,rag", "--seed", "0,1", "--set", "train.lr=0.5", out="rates") == 0
        yield world.path / "rates"
    finally:
        del registry.BUILTIN["generator"]["fake"]


def test_other_training_is_another_row_and_untrained_methods_stay_one(out: Path) -> None:
    (board,) = leaderboards(find_finished([out]))
    assert [row.label for row in board.rows] == ["RAG", "Soft prompt · train.lr=0.01", "Soft prompt · train.lr=0.5"]
    assert [row.seeds for row in board.rows] == [(0, 1)] * 3
    assert [row.settings.get("train.lr") for row in board.rows] == [None, 0.01, 0.5]
    said = "\n".join(board.notes)
    assert (
        "Set by hand, the own value of profile profile in brackets: Soft prompt · train.lr=0.5: train.lr 0.5 (0.01)."
        in said
    )
    assert "Trained, Soft prompt · train.lr=0.5: k 0, epochs 2, lr 0.5, " in said
    assert "older" not in said
    labels = [row["label"] for row in csv.DictReader(io.StringIO(as_csv(board)))]
    assert labels == [row.label for row in board.rows]


def test_summaries_hold_what_was_effective(out: Path) -> None:
    summaries: list[dict[str, Any]] = [json.loads(file.read_text()) for file in out.glob(f"*/{runs.SUMMARY}")]
    rates = {"soft": {0.01, 0.5}, "rag": {None}}
    for method, expected in rates.items():
        mine = [one for one in summaries if one["method"] == method]
        assert {one["settings"].get("train.lr") for one in mine} == expected
        assert {one["settings"].get("train.k") for one in mine} == {0 if method == "soft" else None}
    assert [one["changed"] for one in summaries if one["settings"].get("train.lr") == 0.5] == [{"train.lr": 0.01}] * 2
    assert all(not one["changed"] for one in summaries if one["method"] == "rag")


def test_compare_needs_the_row_that_is_meant(
    out: Path, world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", FAKE)
    assert bench("compare", "soft", "rag", "--out", out) == 2
    said = capfd.readouterr().err
    assert "'soft' matches 2 rows of" in said and "'Soft prompt train.lr=0.5'" in said
    assert bench("compare", "Soft prompt train.lr=0.5", "rag", "--out", out) == 0
