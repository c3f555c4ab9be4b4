"""`bench show --sample` on a terminal of 80 columns."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from bench import registry
from bench.record import runs
from results.tables import show_sample
from tests import fakes
from tests.fakes import World

WIDTH = 80


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    tables = fakes.tables()
    for row in tables["reviews"]:
        row["text"] += " and a long story that no line of a terminal holds, 長い話 that goes on" * 3
    monkeypatch.setattr(fakes, "tables", lambda: tables)
    world = World(tmp_path)
    assert world.run("--set", "input_budget=2000", method="rag") == 0
    return world


def on_a_terminal(world: World, sample_id: str) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=WIDTH, force_terminal=True, color_system=None, highlight=False)
    show_sample.show(console, world.folder().path, sample_id)
    return file.getvalue().splitlines()


def test_lines_are_wrapped_and_labelled(world: World) -> None:
    lines = on_a_terminal(world, "Books/u1/r4")
    assert max(map(cell_len, lines)) <= WIDTH
    heads = [line.partition(":")[0].partition(" of ")[0] for line in lines if line and not line.startswith(" ")]
    assert heads == [
        "Sample Books/u1/r4", "Prompt", "Prompt", "Retrieved reviews, best first", "Answer", "Reference",
        "Scores", "Its numbers that tables are sliced by",
    ]  # fmt: skip
    start = lines.index("Reference: what the user really wrote")
    reference = lines[start + 1 : lines.index("", start)]
    assert len(reference) > 2 and all(line.startswith("  ") and not line.startswith("   ") for line in reference)
    assert reference[0].startswith("  xylophonic secret of u1 and a long story")
    past = next(place for place, line in enumerate(lines) if line.startswith("    - [Review Text]: u1 wrote"))
    assert lines[past + 1].startswith("      ")  # what follows hangs below the line of the list
    assert any(line.startswith("  1. Books/u1/r3 · rated ") for line in lines)
    assert "  rating      1" in lines


def test_scores_are_the_columns_of_this_sample(world: World) -> None:
    kept = next(row for row in world.folder().rows(runs.SCORES) if row["sample_id"] == "Books/u1/r4")
    lines = on_a_terminal(world, "Books/u1/r4")
    assert f"  rouge1      {kept['rouge']['rouge1']:.4f}" in lines
    assert any(line.startswith("  bleu        ") and "[" not in line for line in lines)  # no n-gram counts


def test_data_that_is_gone_costs_only_what_it_holds(world: World) -> None:
    world.data.rename(world.path / "gone")
    lines = on_a_terminal(world, "Books/u1/r4")
    assert "  1. Books/u1/r3" in lines
    assert any(line.startswith("  not known: ") for line in lines)
    assert any(line.startswith("  rouge1 ") for line in lines)


def test_a_run_that_is_not_scored_says_so(world: World) -> None:
    (world.folder().path / runs.SCORES).unlink()
    assert on_a_terminal(world, "Books/u1/r4")[-1].startswith("  none yet    the run is scored when its last sample")
