"""The Python API: the command line's runs and rows, by the command line's names, and errors that are raised."""

from __future__ import annotations

import asyncio
import csv
import inspect
import io
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main

from bench import api, plugins, registry
from bench.cli import app
from bench.errors import EngineError, UserError
from bench.record import runs
from results.tables.frames import Rows
from tests import fakes
from tests.fakes import FakeGenerator, Plan, World, bench
from tests.paths import ROOT


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    monkeypatch.setattr(FakeGenerator, "plan", Plan())
    return World(tmp_path)


def run(world: World, *words: Any, out: Path | None = None, **options: Any) -> api.Runs:
    given = {"data": world.data, "profile": world.profile, "generator": "fake", "out": out or world.out}
    return api.run(*words, **{**given, **options})


def test_a_run_is_the_run_of_the_command(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    options = ["--seed", "0,1", "-k", "1,2", "--set", "temperature=0.5", "--limit", "1", "--metric", "rouge"]
    assert world.run(*options, "--retriever", "random", method="nonperso,rag") == 0
    asked = len(FakeGenerator.plan.requests)
    mine = run(
        world, ["nonperso", "rag"], retriever="random", seed=[0, 1], k=(1, 2), set={"temperature": 0.5}, limit=1,
        metric=["rouge"], out=world.path / "mine",
    )  # fmt: skip
    assert len(FakeGenerator.plan.requests) == 2 * asked
    theirs = {folder.path.name: folder for folder in runs.find(world.out)}
    assert {one.name for one in mine} == set(theirs) and len(mine) == 6

    def rows(folder: runs.RunFolder) -> list[dict[str, Any]]:
        of_time = ("stages", "began", "seconds")
        return [{k: v for k, v in row.items() if k not in of_time} for row in folder.rows(runs.SAMPLES)]

    for one in mine:
        assert rows(runs.RunFolder(one.path)) == rows(theirs[one.name])
        assert one.summary["scores"] == theirs[one.name].summary()["scores"]
    capfd.readouterr()
    again = run(
        world, "nonperso,rag", retriever="random", seed="0,1", k="1,2", set=["temperature=0.5"], limit=1, metric="rouge"
    )
    assert len(FakeGenerator.plan.requests) == 2 * asked  # the command's runs are finished
    assert {one.path for one in again} == {folder.path for folder in theirs.values()}
    assert capfd.readouterr().out == ""


def test_the_command_that_a_run_keeps_is_the_one_that_makes_it(world: World) -> None:
    odd = {"temperature": 0.5, "rag.order": "chronological"}
    (made,) = run(world, "rag", k=2, set=odd, limit=2, history="random", deterministic=True, metric="rouge")
    words = runs.RunFolder(made.path).read(runs.PROVENANCE)["command"]
    assert words[:3] == ["run", "--method", "rag"] and "--set" in words
    asked = len(FakeGenerator.plan.requests)
    assert bench(*words) == 0
    assert (len(FakeGenerator.plan.requests), len(runs.find(world.out))) == (asked, 1)


def test_the_options_are_those_of_the_command() -> None:
    command: Any = typer.main.get_command(app)
    known = {"-k" if one.opts == ["-k"] else max(one.opts, key=len): one for one in command.commands["run"].params}
    del known["--dry-run"]
    mine = inspect.signature(api.run).parameters
    names = {name.lstrip("-").replace("-", "_") for name in known}
    assert set(mine) == names
    for name, one in known.items():
        theirs, ours = one.default, mine[name.lstrip("-").replace("-", "_")].default
        assert (str(theirs) if theirs else "") == (str(ours) if ours not in (None, ()) and ours is not False else ""), (
            name
        )


def test_tables_scores_and_samples_are_rows(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    found = run(world, "nonperso,rag", seed=[0, 1])
    assert bench("table", world.out, "--format", "csv", "--all", "--baseline", "nonperso") == 0
    shown = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    table = found.table(all=True, baseline="nonperso")
    assert [row["label"] for row in table] == [row["label"] for row in shown]
    for row, text in zip(table, shown, strict=True):
        for column in ("Books/rouge1", "Books/rougeL", "Films/bleu", "Films/bleu/low", "Films/bleu/high"):
            assert row[column] == float(text[column])
        assert row["Books/bleu/significance"] == text["Books/bleu/significance"]
        assert (row["seeds"], row["n"], row["failed"]) == ([0, 1], int(text["n"]), 0)
    assert "Books/rougeL" not in found.table()[0]
    for row in found.scores:
        (one,) = (one for one in found if one.name == row["run"])
        assert one.summary["scores"][row["category"]][row["column"]] == row["value"]
        assert (row["method"], row["seed"]) == (one.summary["method"], one.summary["seed"])
    assert len(found.scores) == 4 * 2 * 3
    samples = found.samples
    assert len(samples) == 4 * 6 and len(found[0].samples) == 6
    for one in found:
        folder = runs.RunFolder(one.path)
        scored = {row["sample_id"]: row for row in folder.rows(runs.SCORES)}
        for row, mine in zip(folder.rows(runs.SAMPLES), one.samples, strict=True):
            assert (mine["run"], mine["text"], mine["retrieved"]) == (one.name, row["text"], row["retrieved"])
            assert mine["rouge1"] == scored[row["sample_id"]]["rouge"]["rouge1"] and "bleu" not in mine
            assert mine["stages.review.requests"] == 1 and json.loads(mine["requests"]) == row["requests"]
    assert len({tuple(row) for row in samples}) == 1  # the same keys in every row
    assert isinstance(found[:2], api.Runs) and len(found[:2]) == 2


def test_runs_are_loaded_as_a_table_finds_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run(world, "nonperso,rag")
    assert [one.path for one in api.load_runs(world.out)] == sorted(one.path for one in made)
    assert [one.name for one in api.load_runs(made[1].path)] == [made[1].name]
    monkeypatch.chdir(world.path)  # where runs/ is
    assert len(api.load_runs()) == 2 and len(api.load_runs(made[0].name)) == 1
    with pytest.raises(UserError, match="holds no runs"):
        api.load_runs(world.path / "nowhere")


def test_data_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows([{"a": 1, "b": "x"}, {"b": "y", "c": [1, 2]}])
    assert rows == [{"a": 1, "b": "x", "c": None}, {"a": None, "b": "y", "c": [1, 2]}]
    frame = rows.to_pandas()
    assert list(frame.columns) == ["a", "b", "c"] and list(frame["b"]) == ["x", "y"]
    polars = ModuleType("polars")
    monkeypatch.setitem(vars(polars), "DataFrame", lambda rows, **options: ("polars", rows, options))
    monkeypatch.setitem(sys.modules, "polars", polars)
    made: Any = rows.to_polars()
    assert made == ("polars", list(rows), {"infer_schema_length": None, "strict": False})
    for package, convert in (("pandas", rows.to_pandas), ("polars", rows.to_polars)):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(UserError, match=f"{package} is not installed; `pip install {package}`, or use the rows"):
            convert()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "rga"}, "no method 'rga'; did you mean 'rag'"),
        ({"method": []}, "method '' names no method"),
        ({"retriever": "bm24"}, "no retriever 'bm24'"),
        ({"k": "two"}, "-k 'two': whole numbers are expected"),
        ({"seed": 1.5}, "seed '1.5'"),
        ({"limit": 0}, "limit 0 leaves no sample"),
        ({"limit": "4"}, "limit='4': a whole number is expected"),
        ({"limit": True}, "limit=True: a whole number is expected"),
        ({"set": {"temperatur": 0}}, "no setting 'temperatur'"),
        ({"set": {"temperature": object()}}, "set temperature="),
        ({"set": {"temperature": float("nan")}}, "set temperature=nan"),
        ({"set": ["temperature"]}, "key=value is expected"),
        ({"split": "tests"}, "no split 'tests'"),
        ({"metric": "rogue"}, "no metric 'rogue'"),
        ({"data": "nothing/here"}, "nothing/here"),
        ({"profile": "nothing.toml"}, "profile file nothing.toml does not exist"),
        ({"plugin": "nothing.py"}, "nothing.py is no Python file"),
        ({"checkpoint": "nothing"}, "takes none; name a trained method"),
        ({"base_url": "http://localhost:1"}, "go with generator openai"),
        ({"out": "/proc/nothing"}, "/proc/nothing"),
    ],
)  # fmt: skip
def test_what_the_user_can_change_is_a_user_error(world: World, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        run(world, **{"method": "nonperso", **options})
    assert said in str(error.value) and len(str(error.value).splitlines()) == 1


def test_a_dead_engine_is_raised_and_a_failed_sample_is_a_row(world: World) -> None:
    FakeGenerator.plan.die_after = 2
    with pytest.raises(EngineError):
        run(world, "nonperso")
    FakeGenerator.plan.die_after = None
    FakeGenerator.plan.refuse = "2-4"
    errors = [row["error"] for row in run(world, "nonperso").samples]
    assert len(errors) == 6 and {bool(error) for error in errors} == {True, False}
    FakeGenerator.plan.refuse = ""
    assert not any(row["error"] for row in run(world, "nonperso", retry=True).samples)


def test_a_plugin_file_is_loaded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_from_files", {})
    monkeypatch.setattr(plugins, "_loaded", [])
    file = world.path / "api_plugin.py"
    file.write_text(
        "from dataclasses import dataclass\n\n\n@dataclass(frozen=True)\nclass Last:\n    uses_embeddings = False\n\n"
        "    def texts(self, samples):\n        return ()\n\n"
        "    def rank(self, sample, k, ctx):\n        return sample.history[-k:]\n"
    )
    assert [one.summary["retriever"] for one in run(world, "rag", retriever="last", plugin=file)] == ["last"]
    sys.modules.pop("api_plugin", None)


def test_it_runs_where_an_event_loop_is_running(world: World) -> None:
    """As in a notebook, whose loop goes on afterwards."""

    async def cell() -> int:
        found = run(world, "nonperso")
        await asyncio.sleep(0)
        assert asyncio.get_event_loop() is asyncio.get_running_loop()
        return len(found)

    assert asyncio.run(cell()) == 1


def test_a_script_without_a_guard_is_not_run_again_by_its_processes(world: World) -> None:
    """METEOR's pairs, and scores beside the engine, are made in processes that begin as new interpreters."""
    script = world.path / "script.py"
    script.write_text(
        "print('begun', flush=True)\n"
        "from bench import registry, run\nfrom bench.run import scoring\nfrom bench.score import scoring as pairs\n"
        "registry.BUILTIN['generator']['fake'] = 'tests.fakes:FakeGenerator'\n"
        "scoring.PATIENCE = 0.0\n"
        f"found = run('nonperso', data={str(world.data)!r}, profile={str(world.profile)!r}, generator='fake', "
        f"out={str(world.out)!r})\n"
        "print(len(found), found[0].summary['failed'], __name__)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=ROOT, env=_env(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "begun\n1 0 __main__\n"), done.stderr
    assert "is scored" in done.stderr  # in a process


def _env() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_importing_bench_is_instant_and_its_names_are_the_functions() -> None:
    script = (
        "import sys, bench\n"
        "heavy = {'typer', 'pydantic', 'numpy', 'torch', 'rich', 'bench.api'}\n"
        "assert not set(sys.modules) & heavy, set(sys.modules) & heavy\n"
        "import bench.run.asked\n"
        "from bench.run import runner\n"
        "from bench import load_runs, run\n"
        "assert (run.__module__, run.__name__) == ('bench.api', 'run') and bench.run is run, run\n"
        "assert load_runs.__name__ == 'load_runs' and {'run', 'load_runs'} <= set(dir(bench))\n"
        "assert runner.__name__ == 'bench.run.runner' and 'torch' not in sys.modules\n"
        "assert not hasattr(bench, 'nothing')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("add --set bm25.fields=full; or stop", 'add set={"bm25.fields": "full"}; or stop'),
        ("raise --set input_budget=2048, or", 'raise set={"input_budget": 2048}, or'),
        ("--limit 0 leaves no sample", "limit 0 leaves no sample"),
        (
            "add --base-url; `bench score RUN --metric bleu` adds it",
            "add base_url; `bench score RUN --metric bleu` adds it",
        ),
        ("raise --set train.lr, not --model-name", "raise set train.lr, not model_name"),
    ],
)
def test_errors_speak_of_arguments(message: str, said: str) -> None:
    assert api._of_arguments(message) == said


def test_a_table_of_some_metrics(world: World) -> None:
    made = run(world, "nonperso", metric=["rouge", "bleu"])
    (row,) = made.table(metric="bleu")
    assert {key.partition("/")[2] for key in row if "/" in key and key.count("/") == 1} == {"bleu"}
