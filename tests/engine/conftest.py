"""One real vLLM engine for all tests of this folder, on an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.config import Profile, load_profile
from bench.generate.engine.vllm import VllmGenerator
from bench.generate.engine.vllm_arguments import CACHE, installed
from bench.types import Completion, Request

SMALL = {"input_budget": 512, "max_new_tokens": 48}  # a small engine starts sooner
SECONDS = 1800  # for the start, or all of a test's requests: a busy machine gives little of itself


class LiveEngine:
    """A started generator that synchronous tests can call."""

    def __init__(self, log: Path, profile: Profile) -> None:
        self.profile = profile
        self.generator = VllmGenerator(self.profile, log=log)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._run(self.generator.start())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=SECONDS)

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """All at once, as the pipeline does."""

        async def all_of_them() -> list[Completion]:
            return await asyncio.gather(*map(self.generator.generate, requests))

        answers: list[Completion] = self._run(all_of_them())
        return answers

    def forget_prefixes(self) -> None:
        self._run(self.generator._engine.reset_prefix_cache())

    def close(self) -> None:
        self._run(self.generator.close())
        self._loop.call_soon_threadsafe(self._loop.stop)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    if installed() is None:
        pytest.skip("vllm is not installed: pip install '.[cpu]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE, "1")  # GiB, all of it written to at the start; the server's tests want their share
        live = LiveEngine(tmp_path_factory.mktemp("engine") / "engine.log", load_profile("tiny", SMALL))
        yield live
        live.close()
