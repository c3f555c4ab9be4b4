"""Where other runs are, as `bench ls runs` and tables of an empty folder say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.record import elsewhere, runs
from tests.fakes import bench


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two runs in results/a and one in out."""
    for name in ("results/a/one", "results/a/two", "out/three", ".hidden/runs/four", "data/no-run"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / runs.CONFIG).write_text("{}")
        if name != "data/no-run":
            (tmp_path / name / runs.PROVENANCE).write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_output_folders_are_found_nearest_first(here: Path) -> None:
    assert elsewhere.said(Path("runs")) == "out (1), results/a (2)"
    assert elsewhere.said(Path("results/a")) == "out (1)"
    assert elsewhere.said(here / "out") == "results/a (2)"


def test_the_search_ends(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "out" / "back").symlink_to(here)
    assert elsewhere.said(Path("runs")) == "out (1), results/a (2)"
    monkeypatch.setattr(elsewhere, "MOST_LOOKED_AT", 3)
    assert elsewhere.said(Path("runs")) == "out (1)"
    monkeypatch.setattr(elsewhere, "DEPTH", 0)
    assert elsewhere.said(Path("runs")) == ""


def test_commands_say_where_runs_are(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("ls", "runs") == 0
    said = "runs holds no runs; there are runs in out (1), results/a (2): `bench ls runs --out FOLDER`\n"
    assert capfd.readouterr() == ("", said)
    assert bench("ls", "runs", "--out", "results/a") == 0
    out, err = capfd.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["one", "two"]
    assert err == "more runs in out (1): `bench ls runs --out FOLDER`\n"
    assert bench("table") == 2
    assert "first, or name a folder that has some: out (1), results/a (2)" in capfd.readouterr().err
    assert bench("score") == 2
    assert "there are runs in out (1), results/a (2)" in capfd.readouterr().err
