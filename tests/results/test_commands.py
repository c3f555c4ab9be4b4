"""The commands on finished runs as a user types them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from bench.types import StageCost
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
    assert "'RAG' and 'Non-Perso' match 3 pairs of rows of" in err and len(err.splitlines()) == 1
    assert "rag nonperso (RAG · no limit), rag-4 nonperso-4 (RAG · limit 4), rag-6 nonperso-6 (RAG · limit 6)" in err
    assert bench("compare", "RAG limit 4", "Non-Perso", "--out", out) == 0  # one of the three has its samples
    assert bench("compare", "rag-6", "Non-Perso", "--out", out) == 0
    assert "rag-6  minus  Non-Perso · limit 6" in capfd.readouterr().out
    for a, b in (("RAG · limit 4", "non-perso · limit 4"), ("rag-4", "nonperso-4"), ("rag-4", "Non-Perso · limit 4")):
        assert bench("compare", a, b, "--out", out) == 0
    assert bench("compare", "RAG · limit 4", "Non-Perso · limit 6", "--out", out) == 2
    assert "differ in their data" in capfd.readouterr().err


def test_compare_distinguishes_models(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    scored.finished(out / "echo", summary("rag", engine="echo 1"), scored.rows(0.5))
    assert bench("compare", "RAG", "Non-Perso", "--out", out) == 0  # of one table
    assert "RAG · smollm  minus  Non-Perso" in capfd.readouterr().out
    assert bench("compare", "RAG · echo, not a model", "RAG · smollm", "--out", out) == 0


def test_compare_takes_a_dataset(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = {**summary()["data"], "name": "Beer", "fingerprint": "other"}
    for method in ("nonperso", "rag"):
        scored.finished(out / f"{method}-beer", summary(method, data=data), scored.rows(0.5))
    assert bench("compare", "RAG", "Non-Perso", "--out", out) == 2
    assert "match 2 pairs of rows" in capfd.readouterr().err
    assert bench("compare", "RAG", "Non-Perso", "--out", out, "--data", "beer") == 0
    assert "RAG · Beer  minus  Non-Perso · Beer" in capfd.readouterr().out
    assert bench("compare", "RAG", "Non-Perso", "--out", out, "--data", "wine") == 2
    assert f"no data of the runs of {out} 'wine'" in capfd.readouterr().err


def test_a_label_may_be_typed_without_its_dots(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for retriever in ("recency", "bm25"):
        scored.finished(out / retriever, summary(retriever=retriever, variant="x=1"), scored.rows(0.5))
    for name in ("RAG bm25 x=1", "rag  BM25 · x=1"):
        assert bench("compare", name, "Non-Perso", "--out", out) == 0
        assert "RAG · bm25 · x=1  minus  Non-Perso" in capfd.readouterr().out


def test_a_long_list_of_choices_is_cut(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for k in range(1, 7):
        scored.finished(out / f"rag-{k}", summary(k=k, variant=f"x={k}"), scored.rows(0.5))
    assert bench("compare", "RAG", "Non-Perso", "--out", out) == 2
    err = capfd.readouterr().err
    assert "'RAG' matches 7 rows of" in err and " and 3 more; give one of these names" in err


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


def test_bold_is_spoken_of_only_where_it_is_shown(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = {}
    for form in ("terminal", "json", "markdown", "html"):
        assert bench("table", out, "--format", form) == 0
        said[form] = "Best in bold" in capfd.readouterr().out
    assert said == {"terminal": False, "json": False, "markdown": True, "html": True}  # no terminal here


def test_costs_name_the_rows_whose_answers_were_stored(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for method, stored in (("pag", 9), ("dpl", 1)):
        stages = {"review": asdict(StageCost(requests=10, from_store=stored))}
        scored.finished(out / method, summary(method, stages=stages), scored.rows(0.5))
    note = "Answers from the store cost no engine seconds here"
    for form in ("terminal", "markdown", "html"):
        assert bench("table", out, "--format", form, "--costs") == 0
        (line,) = [line for line in capfd.readouterr().out.splitlines() if note in line]
        assert "not to be compared: pag (90 % stored). Runs" in line
    assert bench("table", out) == 0
    assert note not in capfd.readouterr().out
