"""Stand-ins with which a method writes a sample for `--dry-run`: no engine, no encoder, a record of guesses.

Requests and prompt tokens are those of the real run, unless they depend on a text or a vector that is not there yet.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from bench.context.context import SlotEncoder
from bench.embed.store import VectorStore
from bench.generate.service import GenerationService
from bench.generate.store import request_key
from bench.protocols import Embedder
from bench.seeds import derive
from bench.types import Completion, Prompt, Request, Slot

if TYPE_CHECKING:
    from bench.protocols import Vectors

ANY_SIZE = 8  # of vectors, where none is stored


@dataclass
class Stage:
    """The requests of one stage of one cell. New tokens of answers that are not stored are estimated."""

    requests: int = 0
    stored: int = 0  # or asked by a cell before, which is the same
    prompt_tokens: int = 0
    new_tokens: float = 0.0


@dataclass
class Guesses:
    """What is not known before the run. `sample` says so of the sample that is being written."""

    texts: set[str] = field(default_factory=set)  # without a stored vector
    stages: dict[str, None] = field(default_factory=dict)  # whose prompts hold answers that are not generated yet
    failures: Counter[str] = field(default_factory=Counter)
    sample: bool = False


@dataclass
class Speeds:
    """Measured by earlier runs of this engine in this folder: new tokens a second, and of a request by stage."""

    per_second: list[float] = field(default_factory=list)
    per_request: dict[str, list[float]] = field(default_factory=dict)

    def expected(self, stage: str, limit: int) -> float:
        """Expected new tokens of a request: the median of earlier runs, else the limit."""
        return min(limit, median(self.per_request[stage])) if stage in self.per_request else limit


@dataclass(frozen=True)
class KnownVectors:
    """Stored vectors, and random ones of the same length for the rest. Stands in for the embedder."""

    store: VectorStore
    embedder: Embedder
    guesses: Guesses

    def embed(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, 0), np.float32)
        known = self.store.vectors(self._identity, texts) if self.store.path.exists() else {}
        if missing := [text for text in texts if text not in known]:
            self.guesses.texts.update(missing)
            self.guesses.sample = True
        return np.stack([known[text] if text in known else self._invented(text) for text in texts])

    def _invented(self, text: str) -> Vectors:
        return np.random.default_rng(derive("plan", text)).normal(size=self._size).astype(np.float32)

    @cached_property
    def _identity(self) -> str:
        return self.embedder.identity()

    @cached_property
    def _size(self) -> int:
        stored = self.store.dimensions(self._identity) if self.store.path.exists() else None
        return stored or ANY_SIZE


class Rehearsal:
    """Stands in for the generation service: counts, and invents missing answers of the expected length.

    `asked` holds the keys of all requests so far, of other cells too: equal ones are generated once. `trained` is the
    module of a trained method; None where it is not known yet: then none of its answers is stored.
    """

    def __init__(
        self, service: GenerationService, speeds: Speeds, guesses: Guesses, asked: set[str], trained: SlotEncoder | None
    ) -> None:
        self.generator = service.generator
        self._service = service
        self._speeds = speeds
        self._guesses = guesses
        self._asked = asked
        self._trained = trained
        self._invented: set[str] = set()  # stages of the sample whose answers are invented
        self.stages: dict[str, Stage] = {}

    def begin(self) -> None:
        """The next sample."""
        self._invented = set()
        self._guesses.sample = False

    def slots(self, slots: Sequence[Slot]) -> Vectors:
        """`bench.context.context.SlotEncoder`"""
        if self._trained is None or self._guesses.sample:
            return np.full((len(slots), 1), np.nan, np.float32)  # `complete` knows it by that
        return self._trained(slots)

    async def complete(self, prompt: Prompt, request: Request) -> tuple[Completion, bool, str]:
        seen = self.stages.setdefault(request.stage, Stage())
        seen.requests += 1
        if self._invented - {request.stage}:
            self._guesses.stages[request.stage] = None
        known = request.embeds is None or not np.isnan(request.embeds).any()
        key = request_key(request, self._service.identity) if known else ""
        stored = self._service.store.get(key) if known else None
        if stored is not None or key in self._asked:
            seen.stored += 1
        else:
            seen.prompt_tokens += len(request.ids)
            seen.new_tokens += self._length(request)
        self._asked |= {key} - {""}
        if stored is not None:
            return stored, True, key
        self._invented.add(request.stage)
        return self._answer(request), False, key

    def _length(self, request: Request) -> int:
        return round(self._speeds.expected(request.stage, request.sampling.max_new_tokens))

    def _answer(self, request: Request) -> Completion:
        length = self._length(request)
        words = random.Random(request.seed).choices(("word", "review", "style", "tone"), k=length)
        return Completion(" ".join(words), (0,) * length, "stop", n_prompt=len(request.ids))
