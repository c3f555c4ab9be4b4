"""One dataset, profile and fake engine for all cases of a module: what is asked of them changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench import registry
from tests import fakes
from tests.fakes import FakeGenerator, Plan, World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
        patch.setattr(FakeGenerator, "plan", Plan())
        yield World(tmp_path_factory.mktemp("world"))
