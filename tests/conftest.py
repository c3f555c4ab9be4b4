"""Fixtures that every part's tests share."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from bench.models import assets


@pytest.fixture(scope="session")
def require_assets() -> Callable[..., None]:
    """`require_assets("wordnet", ...)`: skips without them; in CI, where they must be, it fails."""

    def require(*names: str) -> None:
        absent = ", ".join(name for name in names if not assets.is_present(name))
        if absent and os.environ.get("CI"):
            pytest.fail(f"not on this machine: {absent}; run `bench models pull`")
        if absent:
            pytest.skip(f"not on this machine: {absent}; run `bench models pull`")

    return require
