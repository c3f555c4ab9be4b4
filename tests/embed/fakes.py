"""An embedder that costs nothing and remembers what it was asked."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.embed.store import VectorStore

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

    from bench.protocols import Vectors


def vector(text: str, dimensions: int = 5) -> Vectors:
    """A function of the text alone, by its characters."""
    codes = [ord(character) for character in text] or [0]
    values = [sum(code ** (1 / (power + 1)) for code in codes) for power in range(dimensions)]
    return np.array(values, np.float32)


@dataclass
class FakeEmbedder:
    name: str = "fake"
    dimensions: int = 5
    fail_after: int | None = None
    calls: list[list[str]] = field(default_factory=list)

    def identity(self) -> str:
        return self.name

    def encode(self, texts: Sequence[str]) -> Vectors:
        if self.fail_after is not None and len(self.calls) >= self.fail_after:
            raise KeyboardInterrupt
        self.calls.append(list(texts))
        return np.stack([vector(text, self.dimensions) for text in texts])

    @property
    def asked(self) -> list[str]:
        return [text for call in self.calls for text in call]


class Unloadable:
    """Knows its name, but must not be asked for vectors."""

    def identity(self) -> str:
        return "fake"

    def encode(self, texts: Sequence[str]) -> Vectors:
        raise AssertionError(f"asked for {texts}")


def fill(path: Path, seed: int, barrier: Barrier) -> None:
    """Body of one of several processes: the same 200 texts, in an order of its own, in many commits."""
    texts = [f"text {i}" for i in range(200)]
    random.Random(seed).shuffle(texts)
    barrier.wait()
    for start in range(0, len(texts), 10):
        VectorStore(path).ensure(FakeEmbedder(), texts[start : start + 10])
