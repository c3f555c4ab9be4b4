"""What takes the place of the engine and of the encoder while a run is verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.embed.store import VectorStore
from bench.errors import SampleFailure
from bench.generate.store import RequestStore, request_key

if TYPE_CHECKING:
    from bench.protocols import Embedder, Generator, Vectors
    from bench.types import Completion, Prompt, Request

ROUNDING = 1e-4  # of a vector's length: another batch or processor sums in another order


@dataclass(frozen=True)
class StoredAnswers:
    """A generation service that only answers from the request store, under a generator's identity.

    `missing`: the keys of requests that have no stored answer.
    """

    generator: Generator
    identity: Mapping[str, Any]
    store: RequestStore
    missing: list[str] = field(default_factory=list)

    async def complete(self, prompt: Prompt, request: Request) -> tuple[Completion, bool, str]:
        key = request_key(request, self.identity)
        stored = self.store.get(key)
        if stored is None:
            self.missing.append(key)
            raise SampleFailure("not stored")
        return stored, True, key


@dataclass
class CheckedVectors:
    """`bench.protocols.TextVectors` that computes every vector again and compares it with the stored one.

    `own` is the verifier's own store, so that nothing is written beside the run. A stored vector that is equal up to
    rounding is handed on, since a request's key depends on its exact bytes. `wrong`: texts whose stored vector differs.
    """

    kept: VectorStore
    embedder: Embedder
    own: VectorStore
    wrong: list[str] = field(default_factory=list)
    vectors: dict[str, Vectors] = field(default_factory=dict)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, d) fp32, in order. No text gives (0, 0)."""
        import numpy as np

        new = [text for text in dict.fromkeys(texts) if text not in self.vectors]
        if new:
            computed = self.own.ensure(self.embedder, new)
            kept = self.kept.vectors(self.embedder.identity(), new) if self.kept.path.is_file() else {}
            self.wrong += [text for text, vector in kept.items() if not _close(vector, computed[text])]
            self.vectors |= {**computed, **{text: kept[text] for text in kept.keys() - set(self.wrong)}}
        return np.stack([self.vectors[text] for text in texts]) if texts else np.empty((0, 0), np.float32)


def _close(one: Vectors, other: Vectors) -> bool:
    import numpy as np

    return one.shape == other.shape and bool(np.linalg.norm(one - other) <= ROUNDING * np.linalg.norm(other))
