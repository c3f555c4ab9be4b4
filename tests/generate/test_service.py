from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bench.errors import EngineError, SampleFailure
from bench.generate.service import GenerationService
from bench.generate.store import RequestStore
from bench.types import Completion, Prompt, Request, Sampling
from tests.fakes import FakeGenerator, Plan

SAMPLING = Sampling(temperature=1.0, max_new_tokens=3)


class Counting(FakeGenerator):
    """The fake engine with a plan of its own, and with numbers of cached tokens."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan  # type: ignore[misc]
        super().__init__(None)  # type: ignore[arg-type]

    async def generate(self, request: Request) -> Completion:
        answer = await super().generate(request)
        return Completion(answer.text, answer.ids, "stop", n_prompt=answer.n_prompt, n_cached=1, seconds=0.5)


def service(path: Path, **plan: Any) -> tuple[GenerationService, Plan]:
    generator = Counting(Plan(**plan))
    return GenerationService(generator, RequestStore(path / "requests.sqlite")), generator.plan


async def ask(made: GenerationService, text: str, seed: int = 0) -> tuple[Completion, bool, str]:
    prompt = Prompt("say", text)
    return await made.complete(prompt, Request(made.generator.encoder.encode(prompt), SAMPLING, seed))


def test_stored_answers_start_no_engine(tmp_path: Path) -> None:
    first, plan = service(tmp_path)

    async def twice() -> list[tuple[Completion, bool, str]]:
        return [await ask(first, "a b"), await ask(first, "a b")]

    (answer, stored, key), (same, again, same_key) = asyncio.run(twice())
    assert (stored, again) == (False, True)
    assert (same, same_key) == (answer, key)
    assert (plan.started, len(plan.requests)) == (1, 1)

    second, other = service(tmp_path)
    assert asyncio.run(ask(second, "a b")) == (answer, True, key)
    assert (other.started, other.requests) == (0, [])
    assert (second.use.requests, second.use.generated) == (1, 0)
    assert second.use.tokens_per_second == 0


def test_the_prompt_is_kept_beside_its_answer(tmp_path: Path) -> None:
    made, _ = service(tmp_path)
    _, _, key = asyncio.run(ask(made, "a b"))
    assert made.store.prompt(key) == Prompt("say", "a b")


def test_equal_requests_at_the_same_time_are_generated_once(tmp_path: Path) -> None:
    made, plan = service(tmp_path)

    async def crowd() -> list[tuple[Completion, bool, str]]:
        return await asyncio.gather(*(ask(made, "a b", seed=number % 2) for number in range(10)))

    answers = asyncio.run(crowd())
    assert len(plan.requests) == 2
    assert plan.started == 1
    assert [stored for _, stored, _ in answers] == [False, False, *[True] * 8]
    assert all(answers[number][0] == answers[number % 2][0] for number in range(10))


def test_an_engine_that_cannot_start_tells_everyone_and_is_tried_once(tmp_path: Path) -> None:
    made, plan = service(tmp_path, cannot_start=True)

    async def crowd() -> list[Any]:
        waiting = (ask(made, f"a {number}") for number in range(5))
        found = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), timeout=20)
        await made.close()
        return found

    errors = asyncio.run(crowd())
    assert [str(error) for error in errors] == ["the fake engine cannot start"] * 5
    assert all(isinstance(error, EngineError) for error in errors)
    assert (plan.started, plan.requests, plan.closed) == (1, [], 1)


def test_a_refused_request_is_not_stored_and_may_be_asked_again(tmp_path: Path) -> None:
    made, plan = service(tmp_path, refuse="bad")

    async def use() -> tuple[list[Any], Completion]:
        refused = await asyncio.gather(ask(made, "bad"), ask(made, "bad"), ask(made, "fine"), return_exceptions=True)
        plan.refuse = ""
        return list(refused), (await ask(made, "bad"))[0]

    refused, answer = asyncio.run(use())
    assert [isinstance(found, SampleFailure) for found in refused] == [True, True, False]
    assert answer.text
    assert len(made.store) == 2
    assert len(plan.requests) == 3


def test_one_waiter_who_leaves_takes_nobody_else_along(tmp_path: Path) -> None:
    made, plan = service(tmp_path)

    async def use() -> Completion:
        plan.gate = asyncio.Event()
        leaves = asyncio.ensure_future(ask(made, "a"))
        stays = asyncio.ensure_future(ask(made, "a"))
        while not plan.requests:
            await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.sleep(0)
        plan.gate.set()
        return (await stays)[0]

    assert asyncio.run(asyncio.wait_for(use(), timeout=20)).text
    assert len(plan.requests) == 1


def test_what_the_engine_did_is_counted(tmp_path: Path) -> None:
    said: list[str] = []
    generator = Counting(Plan())
    made = GenerationService(generator, RequestStore(tmp_path / "requests.sqlite"), say=said.append)

    async def use() -> None:
        await asyncio.gather(ask(made, "a"), ask(made, "b c"), ask(made, "b c"))
        await ask(made, "a")

    asyncio.run(use())
    use_ = made.use
    assert (use_.requests, use_.generated, use_.from_store) == (4, 2, 2)
    assert (use_.prompt_tokens, use_.cached_tokens, use_.new_tokens) == (2 + 3, 2, 2 * 3)
    assert use_.engine_seconds > 0
    assert use_.tokens_per_second == pytest.approx(6 / use_.engine_seconds)
    assert [line.split()[0:2] for line in said] == [["starting", "the"], ["engine", "ready"]]


def test_requests_are_handed_to_the_engine_without_waiting_for_each_other(tmp_path: Path) -> None:
    made, plan = service(tmp_path)

    async def use() -> None:
        plan.gate = asyncio.Event()
        waiting = [asyncio.ensure_future(ask(made, f"{number}")) for number in range(20)]
        while len(plan.requests) < 20:
            await asyncio.sleep(0)
        plan.gate.set()
        await asyncio.gather(*waiting)

    asyncio.run(asyncio.wait_for(use(), timeout=20))
    assert plan.finished == 20
