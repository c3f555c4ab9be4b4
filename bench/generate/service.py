"""Between methods and engine: every request goes through the store, and the engine starts only when it is needed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from bench.generate.clock import EngineClock
from bench.generate.store import RequestStore, request_key
from bench.protocols import Generator
from bench.types import Completion, EngineUse, Prompt, Request


class Completer(Protocol):
    """What a sample's context needs of the service."""

    @property
    def generator(self) -> Generator: ...

    async def complete(self, prompt: Prompt, request: Request) -> tuple[Completion, bool, str]:
        """(completion, came from the store, key)."""
        ...


class GenerationService:
    """One engine and one store, shared by all cells of a grid that use the same model."""

    def __init__(
        self,
        generator: Generator,
        store: RequestStore,
        *,
        say: Callable[[str], None] = lambda message: None,
        date: str = "",
        make_room: Callable[[], None] = lambda: None,
    ) -> None:
        """`make_room` is called before the engine starts: to give memory back that it may need."""
        self.generator = generator
        self.store = store
        self.date = date  # what its chat template is told
        self.use = EngineUse()
        self._clock = EngineClock()
        self.identity = dict(generator.identity())
        self._say = say
        self._make_room = make_room
        self._starting: asyncio.Task[None] | None = None
        self._flying: dict[str, asyncio.Task[Completion]] = {}

    def details(self) -> Mapping[str, Any]:
        """For a run's provenance: the generator's `details()`, if it has any beside its identity."""
        details: Callable[[], Mapping[str, Any]] = getattr(self.generator, "details", dict)
        return details()

    def warning(self) -> str:
        """What the generator foresees before it starts, in one line, or ""."""
        foreseen: Callable[[], str] = getattr(self.generator, "warning", str)
        return foreseen()

    @property
    def told_date(self) -> str:
        """The date in its prompts; "" where its chat template prints none, or a server renders it."""
        return self.date if getattr(self.generator.encoder, "dated", False) else ""

    def waiting(self) -> tuple[int, float]:
        """(requests in the engine, seconds in which it has answered none of them)"""
        return self._clock.waiting()

    async def complete(self, prompt: Prompt, request: Request) -> tuple[Completion, bool, str]:
        """(completion, came from the store, key). Equal requests that run at the same time run once."""
        key = request_key(request, self.identity)
        stored = self.store.get(key)
        if stored is not None:
            self._count(from_store=True)
            return stored, True, key
        shared = key in self._flying
        if not shared:
            self._flying[key] = asyncio.create_task(self._generate(key, prompt, request))
            self._flying[key].add_done_callback(_retrieve_exception)
        completion = await asyncio.shield(self._flying[key])
        self._count(from_store=shared)
        return completion, shared, key

    def _count(self, *, from_store: bool) -> None:
        """One request is answered. An answer that another request waited for too is generated once."""
        self.use.requests += 1
        self.use.from_store += from_store

    async def _generate(self, key: str, prompt: Prompt, request: Request) -> Completion:
        try:
            await self._started()
            completion = await self._timed(request)
            self._account(completion)
            completion = self.store.put(key, prompt, completion)
            return completion
        finally:
            del self._flying[key]

    async def _timed(self, request: Request) -> Completion:
        """The generator's answer with the request's share of the engine's time."""
        entered, share = self._clock.enter(), 0.0
        try:
            completion = await self.generator.generate(request)
        finally:
            share = self._clock.leave(entered)
            self.use.engine_seconds = self._clock.worked
        return replace(completion, seconds=share)

    def _account(self, completion: Completion) -> None:
        self.use.prompt_tokens += completion.n_prompt
        self.use.cached_tokens += completion.n_cached
        self.use.new_tokens += completion.n_new

    async def _started(self) -> None:
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
            self._starting.add_done_callback(_retrieve_exception)
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        self._make_room()
        self._say("starting the engine ...")
        started = time.perf_counter()
        await self.generator.start()
        self.use.start_seconds = time.perf_counter() - started
        self._say(f"engine ready after {self.use.start_seconds:.0f} s")

    async def close(self) -> None:
        await self.generator.close()
        self.store.close()


def _retrieve_exception(task: asyncio.Task[Any]) -> None:
    """Keeps asyncio from logging errors that nobody awaits: a dead engine fails all requests, and one ends the run."""
    if not task.cancelled():
        task.exception()
