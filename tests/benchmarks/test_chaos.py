"""The comparison behind `make chaos`: it sees whatever a disturbed run lost, made twice or changed."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.record import runs
from benchmarks import endstate
from benchmarks.chaos import Tally, table
from tests import fakes
from tests.fakes import FakeGenerator, Plan, World

PARTS = ("rows", "texts", "scores", "requests", "weights", "steps")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    monkeypatch.setattr(FakeGenerator, "plan", Plan())
    world = World(tmp_path)
    assert world.run(method="nonperso,rag") == 0
    return world


@pytest.fixture
def other(world: World) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(world.out, world.path / "other"))


def changed(world: World, other: Path) -> dict[str, str]:
    found = endstate.compare(endstate.read(world.out), endstate.read(other))
    assert tuple(found) == PARTS
    return {part: str(difference) for part, difference in found.items() if str(difference) != "equal"}


def edit(other: Path, name: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
    (file,) = other.glob(f"*nonperso*/{name}")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    change(rows)
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def test_the_same_command_elsewhere_ends_the_same(world: World) -> None:
    first = world.out
    world.out = world.path / "again"
    FakeGenerator.plan = Plan(die_after=3)
    assert world.run(method="nonperso,rag") == 1
    FakeGenerator.plan = Plan()
    assert world.run(method="nonperso,rag") == 0
    state = endstate.read(first)
    assert (len(state.rows), len(state.scores), len(state.requests)) == (12, 2, 12)
    assert changed(world, first) == {}


def test_a_lost_row_and_a_lost_request_are_named(world: World, other: Path) -> None:
    edit(other, runs.SAMPLES, lambda rows: rows.pop(2))
    with sqlite3.connect(other / ".store" / "requests.sqlite") as db:
        db.execute("DELETE FROM completions WHERE rowid IN (SELECT rowid FROM completions LIMIT 2)")
    found = changed(world, other)
    assert set(found) == {"rows", "texts", "requests"}
    assert found["rows"].startswith("1 lost (data-nonperso")
    assert found["requests"].startswith("2 lost")
    back = endstate.compare(endstate.read(other), endstate.read(world.out))
    assert str(back["requests"]).startswith("2 too many")


def test_another_text_and_another_score_are_named(world: World, other: Path) -> None:
    edit(other, runs.SAMPLES, lambda rows: rows[0].update(text="another"))
    edit(other, runs.SCORES, lambda rows: rows[0]["rouge"].update(rouge1=0.123))
    found = changed(world, other)
    assert set(found) == {"texts", "scores"}
    assert all(said.startswith("1 changed") for said in found.values())


def test_what_a_clock_decides_is_no_difference(world: World, other: Path) -> None:
    edit(other, runs.SAMPLES, lambda rows: rows[0].update(seconds=99.0, stages={}))
    assert changed(world, other) == {}


def test_a_completed_request_that_a_new_row_generated_is_made_again(world: World) -> None:
    state = endstate.read(world.out)
    rows, requests = state.rows.keys(), state.requests.keys()
    assert endstate.made_again(world.out, rows=set(), requests=set()) == []
    assert endstate.made_again(world.out, rows=rows, requests=requests) == []
    guilty, *others = rows
    assert endstate.made_again(world.out, rows=set(others), requests=requests) == [f"{guilty} review"]


def test_nothing_yet_is_an_empty_state(tmp_path: Path) -> None:
    state = endstate.read(tmp_path)
    assert not any(getattr(state, part) for part in PARTS)


def test_the_table_counts_kills_and_flaws(world: World, other: Path) -> None:
    tally = Tally(starts=3, lost=1)
    tally.kills.update([("command", "writing"), ("command", "writing"), ("engine", "engine start")])
    tally.parts = endstate.compare(endstate.read(world.out), endstate.read(other))
    assert tally.flaws == 1
    edit(other, runs.SAMPLES, lambda rows: rows.pop())
    tally.parts = endstate.compare(endstate.read(world.out), endstate.read(other))
    assert tally.flaws == 3  # the lost request, the rows and their texts
    lines = table([tally, Tally()]).splitlines()
    assert lines[1].split() == ["command", "0", "0", "0", "2", "0", "2"]
    assert lines[2].split() == ["engine", "0", "0", "1", "0", "0", "1"]
    assert any(line.split()[:4] == ["1", "3", "3", "1"] for line in lines)
