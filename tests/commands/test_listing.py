"""`bench ls`: every component by its own words; and a file with a method and a metric, edited between two commands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import plugins, registry
from bench.commands import listing
from bench.record import runs
from tests import fakes

FILE = '''\
"""My plug-ins."""

from dataclasses import dataclass

from bench.types import Column, Prompt


@dataclass(frozen=True)
class Brief:
    """Writes little.

    And says more here.
    """

    label = "Brief"
    uses_retriever = False
    uses_embeddings = False
    words: int = 5

    async def write(self, sample, ctx):
        return await ctx.generate(Prompt("Write.", f"{self.words} words"), stage="review")


@dataclass(frozen=True)
class Size:
    columns = (Column("size", "Size", digits=1),)

    def score(self, predictions, references):
        return [{"size": float(len(one))} for one in predictions]

    def aggregate(self, rows):
        return {"size": sum(row["size"] for row in rows) / len(rows)}

    def versions(self):
        return {"size": "1"}
'''


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_from_files", {})
    monkeypatch.setattr(plugins, "_loaded", [])
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    monkeypatch.setattr(fakes.FakeGenerator, "plan", fakes.Plan())
    yield
    sys.modules.pop("brief_and_size", None)


def written(folder: Path, text: str) -> Path:
    """The file, as a new command sees it."""
    registry._from_files.clear()
    plugins._loaded.clear()
    sys.modules.pop("brief_and_size", None)
    path = folder / "brief_and_size.py"
    path.write_text(text)
    return path


def said(kind: str, name: str) -> str:
    (row,) = (row for row in listing.rows(kind, Path("runs")) if row[0] == name)
    return row[1]


@pytest.mark.usefixtures("forget")
def test_a_class_of_a_plugin_file_is_described_by_its_own_docstring(tmp_path: Path) -> None:
    plugins.load([str(written(tmp_path, FILE))])
    assert said("methods", "brief") == "Writes little."
    assert said("metrics", "size") == ""  # the file's would say what the method is too; a signature says nothing
    alone = FILE[: FILE.index("@dataclass(frozen=True)\nclass Size")]
    plugins.load([str(written(tmp_path, alone))])
    assert said("methods", "brief") == "Writes little."
    begin, metric = FILE.index("@dataclass"), FILE.index("@dataclass(frozen=True)\nclass Size")
    plugins.load([str(written(tmp_path, FILE[:begin] + FILE[metric:]))])
    assert said("metrics", "size") == "My plug-ins."


def test_shipped_components_are_told_apart() -> None:
    for kind in listing.KINDS:
        told = {row[0]: row[1] for row in listing.rows(kind, Path("runs"))}
        assert all(told.values()) and len(set(told.values())) == len(told), told


@pytest.mark.usefixtures("forget")
def test_a_metric_that_is_edited_leaves_the_runs_of_the_method_beside_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    world, plan = fakes.World(tmp_path), fakes.FakeGenerator.plan

    def run(text: str) -> int:
        assert world.run("--plugin", written(tmp_path, text), "--metric", "size", method="brief") == 0
        return len(runs.find(world.out))

    assert run(FILE) == 1
    asked = len(plan.requests)
    assert run("# a comment\n" + FILE.replace('"Size", digits=1', '"Letters", digits=2')) == 1
    assert len(plan.requests) == asked
    assert run(FILE.replace('"Write."', '"Write it."')) == 2
    assert len(plan.requests) > asked
