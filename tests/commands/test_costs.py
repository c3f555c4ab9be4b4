"""What a run says of its answers and of its time: how they ended, how many there were, how long it took."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import api, registry
from bench.commands.output import tell_truncated
from bench.record import runs
from bench.score.summary import _wall_seconds
from bench.types import Completion, Request, StageCost
from tests.fakes import FakeGenerator, Plan, World, bench


class Cutting(FakeGenerator):
    """Every answer to a prompt with the word `long` ends at its limit."""

    long = "Books"

    async def generate(self, request: Request) -> Completion:
        words = [self.encoder.words[number] for number in request.ids]
        answer = await super().generate(request)
        return replace(answer, finish="length") if self.long in words else answer


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", "tests.commands.test_costs:Cutting")
    monkeypatch.setattr(FakeGenerator, "plan", Plan(seconds=0.05))
    return World(tmp_path)


def test_truncated_answers_are_on_the_row_in_the_table_in_show_and_in_a_warning(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    assert world.run(method="pag") == 0
    out, err = capfd.readouterr()
    folder = world.folder()
    rows = {row["sample_id"]: row["finish"] for row in folder.rows(runs.SAMPLES)}
    assert rows["Books/u0/r4"] == [["profile", "length"], ["review", "length"]]
    assert rows["Films/u0/r4"] == [["profile", "stop"], ["review", "stop"]]
    said = "Truncated, answers that ended at their limit of new tokens: PAG 50.0 % (6 of 12: "
    assert f"{said}profile 3 of 6, review 3 of 6). References have 4 words (median)" in out
    warned = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert warned == [
        f"warning: answers were cut off at their limit of new tokens: {folder.path.name} 50 % (6 of 12); "
        "references have 4 words (median), 4 (95th percentile): about 4 tokens at the 1.0 a word of these answers; the "
        "limit of 12 holds these: cut are answers longer than users write, or stages before the last"
    ]
    api.run("pag", data=world.data, profile=world.profile, generator="fake", out=world.out)
    assert warned[0] in capfd.readouterr().err
    assert bench("show", folder.path) == 0
    shown = capfd.readouterr().out
    assert "truncated" in shown and "50.0 %" in shown and "wall seconds" in shown
    assert bench("show", folder.path, "--sample", "Books/u0/r4") == 0
    assert "Prompt of stage review (its answer ended at its limit of new tokens)" in capfd.readouterr().out
    assert bench("table", world.out, "--costs") == 0
    assert "truncated" in capfd.readouterr().out


def test_a_few_truncated_answers_are_no_warning(capfd: pytest.CaptureFixture[str]) -> None:
    def summary(capped: int, requests: int) -> dict[str, object]:
        cost = {"requests": requests, "capped": capped}
        whole = {name: cost.get(name, 0) for name in StageCost.__dataclass_fields__}
        return {"run": f"run{capped}", "stages": {"review": whole}, "sampling": {"max_new_tokens": 100}}

    tell_truncated([summary(0, 0), summary(0, 40), summary(2, 40)])
    assert capfd.readouterr().err == ""
    tell_truncated(summary(capped, 40) for capped in (2, 3, 4, 5, 6, 7))
    err = capfd.readouterr().err
    assert "run7 18 % (7 of 40), run6 15 % (6 of 40), run5 12 % (5 of 40) and 2 more runs; --set max_new" in err
    assert err.count("\n") == 1


def test_seconds_are_of_the_engine_and_of_the_clock_and_requests_agree_everywhere(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    """Six samples of two requests wait 0.05 s each, all at once: waits sum up to 0.6 s, and the engine worked 0.1 s."""
    assert world.run(method="pag") == 0
    summary = world.folder().summary()
    use, costs = summary["engine_use"], summary["stages"].values()
    worked = sum(cost["engine_seconds"] for cost in costs)
    assert 0.09 < worked < 0.5
    assert worked == pytest.approx(use["engine_seconds"], abs=0.02)
    assert worked <= summary["wall_seconds"] < 5
    for key in ("requests", "from_store", "new_tokens"):
        assert sum(cost[key] for cost in costs) == use[key], key
    assert (use["requests"], use["generated"], use["from_store"]) == (12, 12, 0)
    assert "12 requests: 12 generated, 0 from the store; 144 new tokens in 0." in capfd.readouterr().err

    FakeGenerator.plan = Plan()
    for name in (runs.SUMMARY, runs.SAMPLES):
        (world.folder().path / name).unlink()
    assert world.run(method="pag") == 0
    summary = world.folder().summary()
    assert "12 requests: 0 generated, 12 from the store; " in capfd.readouterr().err
    assert sum(cost["from_store"] for cost in summary["stages"].values()) == summary["engine_use"]["from_store"] == 12
    assert sum(cost["engine_seconds"] for cost in summary["stages"].values()) == 0


def test_wall_seconds_leave_out_pauses_and_count_what_overlaps_once() -> None:
    def row(began: float, seconds: float) -> dict[str, float]:
        return {"began": began, "seconds": seconds}

    assert _wall_seconds([row(100, 10), row(95, 10), row(96, 1), row(500, 2)]) == 15 + 2
    assert _wall_seconds([]) == 0


def test_the_proposed_limit_holds_the_references_of_the_runs_that_are_cut(capfd: pytest.CaptureFixture[str]) -> None:
    """300 words at 1.5 tokens a word are 450 tokens, and 480 is the next multiple of 32; twice the limit is 128."""
    cost = {**dict.fromkeys(StageCost.__dataclass_fields__, 0), "requests": 10, "capped": 8}
    references = {"median": 120.5, "long": 300, "tokens_per_word": 1.5}
    cut = {"run": "r", "stages": {"review": cost}, "sampling": {"max_new_tokens": 64}, "references": references}
    fine = {**cut, "stages": {"review": {**cost, "capped": 0}}, "references": {**references, "long": 9000}}
    tell_truncated([cut, fine])
    said = "references have 120.5 words (median), 300 (95th percentile): about 450 tokens at the 1.5 a word of these"
    err = capfd.readouterr().err
    assert said in err and "--set max_new_tokens=480 allows longer ones" in err
    tell_truncated([{**cut, "references": {**references, "tokens_per_word": None}}])
    err = capfd.readouterr().err
    assert "300 (95th percentile); --set max_new_tokens=N allows" in err
