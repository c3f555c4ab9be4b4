"""The page on texts made elsewhere runs from its first command to its last, and names every field of the export."""

from __future__ import annotations

import gzip
import inspect
import json
from pathlib import Path

import pytest

from bench import api
from bench.exchange.predictions import Rules
from tests import fakes
from tests.docs import blocks, workshop
from tests.paths import ROOT

PAGE = ROOT / "docs" / "elsewhere.md"


def test_the_page_runs_from_export_to_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    workshop.stand_in(monkeypatch, tmp_path / "profiles")
    monkeypatch.chdir(tmp_path)
    (theirs,) = blocks.examples(PAGE, "python")
    code = [line for line in theirs.splitlines() if line and not line.startswith("import ")]
    assert len(code) <= 10
    export, *rest = blocks.commands(PAGE)
    assert fakes.bench(*export.words[1:]) == 0
    exec(compile(theirs, str(PAGE), "exec"), {"__name__": "__main__"})
    said = {}
    for command in rest:
        capfd.readouterr()
        assert fakes.bench(*command.words[1:]) == 0, f"{command}: {capfd.readouterr().err}"
        said[command.words[1]] = capfd.readouterr().out
    assert "Newest review (imported)" in said["table"] and "Non-Perso" in said["table"]
    assert "Newest review (imported)  minus  RAG" in said["compare"]
    assert "Imported, texts made elsewhere: Newest review (imported)." in said["compare"]


def test_it_names_every_field_and_every_option(tmp_path: Path) -> None:
    page = PAGE.read_text("utf-8")
    world = fakes.World(tmp_path)
    to = tmp_path / "samples.jsonl.gz"
    of_prompts = ["--prompts", "rag", "--profile", world.profile, "--generator", "echo"]
    assert fakes.bench("export", "samples", "--data", world.data, "--to", to, *of_prompts) == 0
    row = json.loads(gzip.decompress(to.read_bytes()).splitlines()[0])
    fields = {*row, *row["item"], *row["history"][0], *row["prompt"]}
    assert {one for one in fields if f"`{one}`" not in page} == set()
    options = [f"--{name.replace('_', '-')}" for name in Rules.__dataclass_fields__]
    assert [one for one in options if f"`{one}`" not in page] == []
    python = (ROOT / "docs" / "api.md").read_text("utf-8")
    assert [name for name in inspect.signature(api.import_predictions).parameters if name not in python] == []
