"""The worked example of docs/adding-a-method.md runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import registry, runs
from tests import fakes
from tests.paths import ROOT


def test_the_example_method_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "adding-a-method.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(example.splitlines()) <= 40
    (tmp_path / "habits_example.py").write_text(example)
    monkeypatch.setattr(registry, "_plugged", {})
    monkeypatch.setattr(registry, "_files", [])
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", "bench.generate.echo:EchoGenerator")

    world = fakes.World(tmp_path)
    assert world.run("--plugin", tmp_path / "habits_example.py", "--set", "habits.words=7", method="habits") == 0
    rows = list(world.folder().rows(runs.SAMPLES))
    assert len(rows) == len(fakes.CATEGORIES) * fakes.USERS
    assert all(row["text"] and row["error"] is None for row in rows)
    assert {tuple(stage for stage, _ in row["requests"]) for row in rows} == {("habits", "review")}
