"""The engine's time is shared: what all requests were given adds up to the time in which it worked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.generate.clock import EngineClock
from tests.generate.test_service import ask, service


class Hand:
    """A clock that is set by hand."""

    time = 100.0

    def __call__(self) -> float:
        return self.time


def test_two_requests_share_the_time_in_which_both_are_inside() -> None:
    hand = Hand()
    clock = EngineClock(hand)
    first = clock.enter()
    hand.time += 4
    second = clock.enter()
    hand.time += 6
    assert clock.leave(first) == 4 + 6 / 2
    hand.time += 1
    assert clock.leave(second) == 6 / 2 + 1
    assert clock.worked == 11


def test_how_long_no_request_was_answered() -> None:
    hand = Hand()
    clock = EngineClock(hand)
    assert clock.waiting() == (0, 0.0)
    first = clock.enter()
    hand.time += 4
    clock.enter()
    hand.time += 3
    assert clock.waiting() == (2, 7.0)
    clock.leave(first)
    hand.time += 2
    assert clock.waiting() == (1, 2.0)


def test_an_engine_without_requests_does_not_work() -> None:
    hand = Hand()
    clock = EngineClock(hand)
    shares = []
    for seconds in (3, 5):
        hand.time += 1000
        entered = clock.enter()
        hand.time += seconds
        shares.append(clock.leave(entered))
    assert (shares, clock.worked) == ([3, 5], 8)


def test_requests_that_wait_together_cost_what_the_engine_worked(tmp_path: Path) -> None:
    """Each of 20 requests waits 0.05 s: a sum of waits would be a second."""
    made, _ = service(tmp_path, seconds=0.05)

    async def crowd() -> list[float]:
        answers = await asyncio.gather(*(ask(made, f"a {number}") for number in range(20)))
        return [answer.seconds for answer, _, _ in answers]

    shares = asyncio.run(crowd())
    assert sum(shares) == pytest.approx(made.use.engine_seconds)
    assert 0.04 < made.use.engine_seconds < 0.5


def test_a_refused_request_leaves_the_engine(tmp_path: Path) -> None:
    made, plan = service(tmp_path, refuse="bad", seconds=0.02)

    async def use() -> float:
        await asyncio.gather(ask(made, "bad"), return_exceptions=True)
        await asyncio.sleep(0.2)
        return (await ask(made, "fine"))[0].seconds

    assert asyncio.run(use()) < 0.1
    assert made.use.requests == made.use.generated == 1
    assert len(plan.requests) == 2
