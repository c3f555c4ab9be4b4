"""Unfinished runs are named under the table of their data."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import registry
from bench.record import runs
from results.tables import unfinished
from results.tables.which_runs import select
from results.tables.which_runs import unfinished as of_places
from tests import fakes
from tests.fakes import World, bench


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Non-Perso, and RAG that was killed before its last sample."""
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    world = World(tmp_path)
    assert world.run(method="nonperso,rag") == 0
    folder = world.folders()["data-rag-recency-k2-seed0"]
    (folder.path / runs.SUMMARY).unlink()
    folder.write_rows(runs.SAMPLES, list(folder.rows(runs.SAMPLES))[:4])
    return world


@pytest.mark.parametrize("form", ["terminal", "markdown", "latex", "json", "html"])
def test_every_format_names_it(world: World, form: str, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    assert bench("table", world.out, "--format", form) == 0
    printed = capfd.readouterr().out.replace("\\_", "_")
    name = world.folders()["data-rag-recency-k2-seed0"].path.name
    assert f"Not finished, and in no row: {name} (4 samples written)" in printed


def test_a_report_names_it_too(world: World, tmp_path: Path) -> None:
    assert bench("report", world.out, "--to", tmp_path / "new" / "folders" / "r.html") == 0
    assert "Not finished, and in no row: data-rag-" in (tmp_path / "new" / "folders" / "r.html").read_text()


def test_it_stands_under_the_table_of_its_data_and_else_under_the_last(world: World) -> None:
    (folder,) = of_places([world.out])
    mine = select([world.out])[1][0].summary["data"]["fingerprint"]
    assert [bool(note) for note in unfinished.notes([mine, "other"], [folder])] == [True, False]
    assert [bool(note) for note in unfinished.notes(["one", "two"], [folder])] == [False, True]
    (folder.path / runs.CONFIG).write_text("damaged")
    assert [bool(note) for note in unfinished.notes([mine, "two"], [folder])] == [False, True]
    assert unfinished.notes([mine], []) == [""]
    assert "and 2 more;" in unfinished.notes([mine], [folder] * 7)[0]


def suite_file(folder: Path, *methods: str) -> Path:
    file = folder / f"{'-'.join(methods)}.toml"
    file.write_text(f'title = "x"\n[[cells]]\nmethods = {list(methods)}\n'.replace("'", '"'))
    return file


def of_suite(world: World, *methods: str) -> list[str]:
    """The unfinished runs that the suite's table names, without their identities."""
    places = [suite_file(world.path, *methods), world.out]
    return [folder.path.name.rpartition("-")[0] for folder in of_places(places, select(places)[1])]


def test_a_suite_s_table_names_the_suite_s_runs_only(world: World) -> None:
    assert of_suite(world, "nonperso", "rag") == ["data-rag-recency-k2-seed0"]
    assert of_suite(world, "nonperso") == []


def test_a_suite_s_table_names_no_run_of_its_cells_on_other_data_or_samples(world: World) -> None:
    """Non-Perso is Non-Perso on any data: the cell alone does not tell whose run it is."""
    (world.path / "elsewhere").mkdir()
    other = World(world.path / "elsewhere")
    other.out = world.out
    assert other.run("--limit", 2) == 0
    assert world.run("--limit", 4) == 0
    for folder in runs.find(world.out):
        if folder.path.name.startswith("data-nonperso") and folder.read(runs.CONFIG)["config"]["limit"]:
            (folder.path / runs.SUMMARY).unlink()
    assert len(of_places([world.out])) == 3
    assert of_suite(world, "nonperso", "rag") == ["data-rag-recency-k2-seed0"]
