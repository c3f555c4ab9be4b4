"""The commands on finished runs as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import bench
from tests.results import scored
from tests.results.tables.test_leaderboard import summary


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for method, skill in (("nonperso", 0.4), ("rag", 0.8)):
        scored.finished(tmp_path / "runs" / method, summary(method), scored.rows(skill))
    return tmp_path / "runs"


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("terminal", "toy · smollm\n"),
        ("markdown", "### toy · smollm\n"),
        ("latex", "\\begin{table*}"),
        ("csv", "table,kind,label,"),
        ("json", "["),
        ("html", "<!DOCTYPE html>"),
    ],
)
def test_every_format(out: Path, capfd: pytest.CaptureFixture[str], form: str, start: str) -> None:
    assert bench("table", out, "--format", form, "--baseline", "nonperso", "--paper", "--costs") == 0
    printed, err = capfd.readouterr()
    assert printed.startswith(start)
    assert err == ""
    assert {"latex": r"$^\dagger$", "json": r"\u2020"}.get(form, "†") in printed
    assert "0.2907" in printed  # the paper's Non-Perso on Books, 7B


def test_intervals_can_be_left_out(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("table", out, "--no-intervals") == 0
    assert "±" not in capfd.readouterr().out


def test_compare_prints_a_line_for_each_value(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("compare", "RAG", "Non-Perso", "--out", out) == 0
    printed = capfd.readouterr().out
    assert "RAG  minus  Non-Perso" in printed
    lines = [line.split() for line in printed.splitlines() if line.strip().startswith(("Books", "Films"))]
    assert [line[:2] for line in lines] == [["Books", "R-1"], ["Books", "BL."], ["Films", "R-1"], ["Films", "BL."]]
    assert all("<0.0001" in line and "†" in line and line[-2:] == ["60", "30"] for line in lines)


def test_compare_distinguishes_runs_of_one_label(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for limit in (4, 6):
        data = {**summary()["data"], "limit": limit}
        for method, skill in (("nonperso", 0.4), ("rag", 0.8)):
            scored.finished(out / f"{method}-{limit}", summary(method, data=data), scored.rows(skill))
    assert bench("compare", "RAG", "Non-Perso", "--out", out) == 2
    err = capfd.readouterr().err
    assert "'RAG' matches 3 rows of" in err and len(err.splitlines()) == 1
    assert "'RAG · no limit' (rag), 'RAG · limit 4' (rag-4), 'RAG · limit 6' (rag-6)" in err
    for a, b in (("RAG · limit 4", "non-perso · limit 4"), ("rag-4", "nonperso-4"), ("rag-4", "Non-Perso · limit 4")):
        assert bench("compare", a, b, "--out", out) == 0
    assert bench("compare", "RAG · limit 4", "Non-Perso · limit 6", "--out", out) == 2
    assert "differ in their data" in capfd.readouterr().err


def test_compare_distinguishes_models(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    scored.finished(out / "echo", summary("rag", engine="echo 1"), scored.rows(0.5))
    assert bench("compare", "RAG", "Non-Perso", "--out", out) == 2
    assert "'RAG · echo, not a model' (echo), 'RAG · smollm' (rag)" in capfd.readouterr().err
    assert bench("compare", "RAG · echo, not a model", "RAG · smollm", "--out", out) == 0


def test_plot_writes_its_file(out: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("plot", "ablations", out, "--metric", "bleu", "--to", tmp_path / "a.png") == 0
    assert capfd.readouterr().out == f"{tmp_path / 'a.png'}\n"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table", "--by", "size"], "no slice 'size'"),
        (["table", "--baseline", "dpl"], "no baseline 'dpl'"),
        (["table", "--format", "docx"], "no format 'docx'"),
        (["plot", "bars"], "no plot 'bars'"),
        (["plot", "ablations", "--to", "x.jpeg"], "--to x.jpeg: a name that ends in"),
        (["regress", "nowhere.json"], "cannot read the baseline nowhere.json: No such file"),
    ],
)
def test_a_mistake_is_one_line(out: Path, capfd: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    place = 2 if words[0] in ("plot", "regress") else 1
    assert bench(*words[:place], out, *words[place:]) == 2
    printed, err = capfd.readouterr()
    assert printed == ""
    assert err.startswith(f"bench: {message}")
    assert len(err.splitlines()) == 1
