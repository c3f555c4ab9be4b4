"""LaTeX that compiles, Markdown that renders, HTML that is valid, JSON and CSV that hold everything."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from rich.cells import cell_len

from results.tables.assemble import leaderboards
from results.tables.formats import csv_json, html, latex, shared
from results.tables.formats.markdown import markdown
from results.tables.formats.terminal import terminal
from results.tables.leaderboard import Leaderboard
from tests.fakes import World, bench
from tests.results import boards, scored, valid
from tests.results.boards import NASTY
from tests.results.tables.test_leaderboard import summary


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


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Leaderboard]:
    return boards.every_kind(tmp_path_factory.mktemp("kinds"))


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("toys"))


def statistics(world: World, form: str, capfd: pytest.CaptureFixture[str]) -> str:
    assert bench("table", "statistics", "--data", world.data, "--paper", "--format", form) == 0
    return capfd.readouterr().out


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_latex_of_every_kind_compiles(
    kinds: dict[str, Leaderboard], toys: World, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    parts = [latex.latex(board, costs=costs) for board in kinds.values() for costs in (False, True)]
    parts.append(statistics(toys, "latex", capfd))
    page = "\n\\clearpage\n".join(parts)
    (tmp_path / "t.tex").write_text(
        f"\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{page}\\end{{document}}\n"
    )
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "t.tex"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-2000:]
    assert f"({len(parts)} pages" in run.stdout
    assert "Missing character" not in run.stdout


def rendered(text: str) -> tuple[list[list[str]], list[str]]:
    """The rows of the only table of a page of Markdown, and the items of its list, as a reader sees them."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    assert sum(token.type == "table_open" for token in tokens) == 1
    rows: list[list[str]] = []
    items: list[str] = []
    inside = ""
    for token in tokens:
        inside = token.type if token.nesting == 1 else inside
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            seen = "".join(part.content for part in token.children or [] if part.type in ("text", "text_special"))
            if inside in ("th_open", "td_open"):
                rows[-1].append(seen)
            elif inside == "paragraph_open":
                items.append(seen)
    return rows, items


def words(text: str) -> str:
    return " ".join(text.split())


def test_markdown_of_every_kind_renders_cell_by_cell(kinds: dict[str, Leaderboard]) -> None:
    for name, board in kinds.items():
        (head, *rows), notes = rendered(markdown(board, costs=True))
        labels = {column.key: column.label for column in board.columns}
        assert head[: 1 + len(board.cells())] == ["Method", *(f"{group} {labels[key]}" for group, key in board.cells())]
        assert len(rows) == len(board.rows)
        assert notes == [words(note) for note in board.notes], name
        for shown, row in zip(rows, board.rows, strict=True):
            values = [words(f"{one.number}{one.dagger} {one.half}") for one in shared.values(board, row)]
            assert shown == [words(row.label), *values, *shared.tail(board, row, costs=True)], name


def test_html_of_every_kind_is_valid_and_has_all_cells(
    kinds: dict[str, Leaderboard], toys: World, capfd: pytest.CaptureFixture[str]
) -> None:
    boards = list(kinds.values())
    for costs in (False, True):
        page = valid.document(html.page(boards, costs=costs))
        found = page.findall(".//table")
        assert len(found) == len(boards)
        for table, board in zip(found, boards, strict=True):
            for line, row in zip(table.findall("tbody/tr"), board.rows, strict=True):
                cells = [words("".join(cell.itertext())) for cell in line]
                assert cells[0] == words(row.label)
                assert len(cells) == 1 + len(board.cells()) + len(shared.heads(board, costs=costs))
    assert page.find(".//td/script") is None and not page.findall(".//td[1]/b")
    page = valid.document(statistics(toys, "html", capfd))
    assert [cell.text for cell in page.findall(".//tbody/tr[1]/td")][:2] == ["Training Dataset", "0"]


def test_the_sizes_of_a_dataset_in_every_format(toys: World, capfd: pytest.CaptureFixture[str]) -> None:
    (head, *rows), notes = rendered(statistics(toys, "markdown", capfd))
    assert head == ["Categories", "#data", "Profile size", "Output length"]
    assert ["Test Dataset: Films", "3", "4.00 ± 0.00", "23.00 ± 0.00"] in rows
    assert ["paper: Books", "317", "34.84 ± 22.55", "1194.90 ± 802.44"] in rows
    assert len(notes) == 1
    (first, *_) = csv.DictReader(io.StringIO(statistics(toys, "csv", capfd)))
    read = json.loads(statistics(toys, "json", capfd))
    assert first["name"] == read["rows"][0]["name"] == "Training Dataset"
    assert [row["samples"] for row in read["rows"]][-3:] == [317, 1925, 1754]
    assert "paper: Books & 317 & 34.84 $\\pm$ 22.55" in statistics(toys, "latex", capfd)


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_no_line_of_any_kind_is_wider_than_a_terminal(kinds: dict[str, Leaderboard], width: int) -> None:
    for name, one in kinds.items():
        if name != "nasty":  # its category names may be longer than a line
            text = terminal(one, costs=True, width=width).plain
            assert max(map(cell_len, text.splitlines()[1:])) <= width, name


def test_a_narrow_terminal_shows_a_block_for_each_category(kinds: dict[str, Leaderboard]) -> None:
    board = kinds["table1"]
    wide = terminal(board, width=200).plain
    assert wide == terminal(board).plain
    blocks = terminal(board, width=48).plain.split("\n\n")
    assert blocks[0] == board.title
    heads = [block.splitlines()[:2] for block in blocks[1:]]
    assert [head[0].strip() for head in heads[:2]] == list(board.categories)
    assert [head[1].split() for head in heads[:2]] == [["Method", "R-1", "BL."]] * 2
    assert heads[2][0].split() == ["Method", "n", "failed"]
    for row in board.rows:
        for block, category in zip(blocks[1:3], board.categories, strict=True):
            number = f"{row.values[category, 'rouge1']:.4f}"
            assert any(line.startswith(row.label) and number in line for line in block.splitlines())


def test_a_long_label_is_broken_and_not_cut(kinds: dict[str, Leaderboard]) -> None:
    text = terminal(kinds["ablations"], width=40).plain
    block = text.split("\n\n")[1]
    seen = " ".join(line[:18].strip() for line in block.splitlines()).split()
    assert "".join(kinds["ablations"].rows[1].label.split()) in "".join(seen)


def test_json_holds_everything(board: Leaderboard) -> None:
    (read,) = json.loads(csv_json.as_json([board]))
    row, cell = read["rows"][1], read["rows"][1]["values"]["Books"]["rouge1"]
    ours = board.rows[1]
    assert row["seeds"] == [0] and row["cost"]["new_tokens"] == ours.cost.new_tokens
    assert (cell["value"], cell["low"], cell["high"]) == (
        ours.values["Books", "rouge1"], *ours.intervals["Books", "rouge1"]
    )  # fmt: skip
    assert (cell["significance"], cell["by_seed"]) == ("†", [ours.values["Books", "rouge1"]])
    assert read["groups"] == ["Books", "Films"]


def test_csv_has_interval_ends_and_significance(board: Leaderboard) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_json.as_csv(board))))
    assert float(rows[1]["Books/rouge1/low"]) == board.rows[1].intervals["Books", "rouge1"][0]
    assert rows[1]["Books/rouge1/significance"] == "†"
    assert rows[1]["kind"] == "run"


def test_csv_of_several_tables_is_one(board: Leaderboard) -> None:
    other = replace(board, title="other", categories=("Films", "Music"))
    text = csv_json.as_csv(board, other)
    lines = list(csv.reader(io.StringIO(text)))
    assert {len(line) for line in lines} == {len(lines[0])} and len(set(lines[0])) == len(lines[0])
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["table"] for row in rows] == [board.title] * 2 + ["other"] * 2
    assert rows[0]["Films/rouge1"] == rows[2]["Films/rouge1"] != ""
    assert rows[0]["Music/rouge1"] == rows[2]["Books/rouge1"] == rows[2]["Books/rouge1/low"] == ""


def test_markdown_shows_half_intervals_and_daggers(board: Leaderboard) -> None:
    line = next(line for line in markdown(board).splitlines() if line.startswith("| rag"))
    assert "**† ±0.0" in line
    bare = markdown(replace(board, rows=tuple(replace(row, intervals={}) for row in board.rows)))
    assert not any("±0" in line for line in bare.splitlines())
