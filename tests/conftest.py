"""Fixtures that every part's tests share."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer.main

from bench.models import assets

# With `pytest -n 2`: what takes longest comes first, so that no worker is left alone with it at the end.
FIRST = ("tests/engine/", "tests/server/", "tests/train/", "tests/run/", "tests/fuzz/")

if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    # Before torch and vLLM are imported: OpenMP threads that share a core with another worker wait for each other.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // int(workers))))
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")


@pytest.fixture(scope="session", autouse=True)
def one_command_line() -> Iterator[None]:
    """typer builds all commands anew for every call of `bench`. That takes longer than most of the calls in tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture(scope="session", autouse=True)
def a_busy_machine_says_no_more() -> Iterator[None]:
    """What a command is busy with is said after two seconds; tests of the rest of its words must not count them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.console.terminal.PATIENCE", 600.0)
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if workers:
        items.sort(key=lambda item: [not item.nodeid.startswith(part) for part in FIRST])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file goes to one worker, and so do all tests of the one live engine: fixtures are made once a worker."""
    from xdist.scheduler.loadfile import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            scope = super()._split_scope(nodeid)
            own_engines = "tests/engine/test_kill.py"  # the longest of all: it goes to the other worker
            return "engine" if nodeid.startswith("tests/engine/") and scope != own_engines else scope

    config.option.loadscopereorder = False
    return Scheduling(config, log)
