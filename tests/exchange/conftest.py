from __future__ import annotations

from pathlib import Path

import pytest

from bench import registry
from tests.fakes import FAKE, FakeGenerator, Plan, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", FAKE)
    monkeypatch.setattr(FakeGenerator, "plan", Plan())
    return World(tmp_path)
