"""LaTeX that compiles, HTML that is well formed, JSON and CSV that hold everything."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from results.board import Leaderboard
from results.formats import data, html, latex
from results.formats.markdown import markdown
from results.leaderboard import leaderboards
from tests.results import scored
from tests.results.test_leaderboard import summary

NASTY = r"50% & <b>R_A$G</b> #1 {x} ~ ^ \ ± Δ 素 – · |" + "\n"


@pytest.fixture
def board(tmp_path: Path) -> Leaderboard:
    runs = [
        scored.finished(tmp_path / method, summary(method, label=f"{method} {NASTY}"), scored.rows(skill))
        for method, skill in (("nonperso", 0.4), ("rag", 0.9))
    ]
    (made,) = leaderboards(runs, baseline="nonperso")
    return made


def test_latex_has_the_paper_s_layout(board: Leaderboard) -> None:
    text = latex.latex(board)
    assert r"\multicolumn{2}{c}{Books} & \multicolumn{2}{c}{Films}" in text
    assert r"\cmidrule(lr){2-3}\cmidrule(lr){4-5}" in text
    assert r"$^\dagger$" in text
    assert r"\textbf{" in text and r"\underline{" in text and r"{\tiny$\pm$" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_latex_compiles(board: Leaderboard, tmp_path: Path) -> None:
    head = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
    (tmp_path / "t.tex").write_text(head + latex.latex(board, costs=True) + "\\end{document}\n")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "t.tex"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-2000:]


class Checker(HTMLParser):
    """Every tag that is opened is closed, in order; nothing that we did not write is a tag."""

    VOID = ("meta", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_is_well_formed_and_escapes(board: Leaderboard) -> None:
    checker = Checker()
    checker.feed(html.page([board]))
    assert checker.open == []
    assert "nonperso 50% & <b>R_A$G</b>" in checker.text
    assert "†" in checker.text
    assert {"html", "table", "small", "b", "u"} <= checker.seen


def test_json_holds_everything(board: Leaderboard) -> None:
    (read,) = json.loads(data.as_json([board]))
    row, cell = read["rows"][1], read["rows"][1]["values"]["Books"]["rouge1"]
    ours = board.rows[1]
    assert row["seeds"] == [0] and row["cost"]["new_tokens"] == ours.cost.new_tokens
    assert (cell["value"], cell["low"], cell["high"]) == (
        ours.values["Books", "rouge1"], *ours.intervals["Books", "rouge1"]
    )  # fmt: skip
    assert (cell["mark"], cell["by_seed"]) == ("†", [ours.values["Books", "rouge1"]])
    assert read["groups"] == ["Books", "Films"]


def test_csv_has_ends_and_marks(board: Leaderboard) -> None:
    rows = list(csv.DictReader(io.StringIO(data.as_csv(board))))
    assert float(rows[1]["Books/rouge1/low"]) == board.rows[1].intervals["Books", "rouge1"][0]
    assert rows[1]["Books/rouge1/mark"] == "†"
    assert rows[1]["kind"] == "run"


def test_markdown_shows_half_intervals_and_marks(board: Leaderboard) -> None:
    line = next(line for line in markdown(board).splitlines() if line.startswith("| rag"))
    assert "**† ±0.0" in line
    bare = markdown(replace(board, rows=tuple(replace(row, intervals={}) for row in board.rows)))
    assert not any("±0" in line for line in bare.splitlines())
