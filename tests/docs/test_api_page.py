"""The page on the Python API: its examples run one after the other, and it names every option and every column."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest

from bench import api
from tests.docs import workshop
from tests.docs.blocks import examples
from tests.paths import ROOT

PAGE = ROOT / "docs" / "api.md"


def test_its_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    workshop.stand_in(monkeypatch, tmp_path / "profiles")
    monkeypatch.chdir(tmp_path)
    blocks = examples(PAGE, "python")
    assert len(blocks) == 3
    main = sys.modules["__main__"]
    for text in blocks:
        exec(compile(text, str(PAGE), "exec"), {"__name__": "__main__"})
    said = capfd.readouterr().out.splitlines()
    assert [line for line in said if line.startswith(("Non-Perso", "RAG"))] == ["Non-Perso 6 0", "RAG 6 0"]
    assert any(line.split() == ["rag", "12"] for line in said)  # of the data frame
    assert sum(line.startswith("4 mixed-nonperso-seed0-") for line in said) == 1
    assert said[-1].startswith("no method 'rga'; did you mean 'rag'? Known: ")
    assert sys.modules["__main__"] is main


def test_it_names_every_option_and_every_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop.stand_in(monkeypatch, tmp_path / "profiles")
    page = PAGE.read_text("utf-8")
    options = [*inspect.signature(api.run).parameters, *inspect.signature(api.load_runs).parameters]
    assert [name for name in options if name not in page] == []
    assert [
        name for name in inspect.signature(api.run).parameters if f"`{name}`" not in page and name != "method"
    ] == []
    found = api.run("nonperso", limit=2, out=tmp_path / "runs")
    assert [name for name in found.scores[0] if f"`{name}`" not in page] == []
    assert 'table(all=False, metric="", baseline="", by="")' in page
    table = found.table(all=True)[0]
    assert {name for name in ("table", "label", "n", "failed", "seeds", "cost.requests") if name in table} == {
        "table", "label", "n", "failed", "seeds", "cost.requests",
    }  # fmt: skip
    assert {"dropped.reviews", "stages.review.new_tokens"} <= set(found.samples[0])
