"""Fixtures that every part's tests share."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer.main

from bench.models import assets

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # before torch is imported: threads that wait for a taken core spin
    cores = len(os.sched_getaffinity(0)) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores)))
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")

# Started first, so that no worker is left with them alone at the end. The folders on a line share one worker.
LONGEST = (("tests/engine/", "tests/server/"), ("tests/train/",), ("tests/run/",), ("tests/fuzz/",))


@pytest.fixture(scope="session", autouse=True)
def one_command_line() -> Iterator[None]:
    """typer builds all commands anew for every call of `bench`. That takes longer than most of the calls in tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `pytest -n 2`: a file is one worker's, as its fixtures are made once. So are all tests of a real engine."""
    from xdist.scheduler.loadfile import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "engine" if nodeid.startswith(LONGEST[0]) else super()._split_scope(nodeid)

    return Scheduling(config, log)
