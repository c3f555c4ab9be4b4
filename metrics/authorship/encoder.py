"""Vectors of a text encoder: the cosine of a text's vector with the mean vector of an author's reviews.

The profile's embedder, or an encoder that was trained to tell authors (StyleDistance, Wegmann's model).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.types import Author
from metrics.authorship.scorer import Case, Encoder

if TYPE_CHECKING:
    from metrics.authorship.scorer import Array

SHORT = 1e-12


@dataclass(frozen=True)
class Cosine:
    """`users` are not used: a cosine has a scale of its own."""

    encoder: Encoder

    def scores(self, cases: Sequence[Case], users: Sequence[Author]) -> list[Array]:
        import numpy as np

        texts = [
            text for case in cases for text in (*case.texts, *(own for one in case.candidates for own in one.texts))
        ]
        vectors = self._vectors(texts)
        found: list[Array] = []
        for case in cases:
            authors = np.stack(
                [_unit(np.mean([vectors[text] for text in one.texts], axis=0)) for one in case.candidates]
            )
            found.append(np.stack([vectors[text] for text in case.texts]) @ authors.T)
        return found

    def distances(self, pairs: Sequence[tuple[str, str]], users: Sequence[Author]) -> Array:
        """1 - cosine."""
        import numpy as np

        vectors = self._vectors([text for pair in pairs for text in pair])
        return 1.0 - np.array([vectors[left] @ vectors[right] for left, right in pairs])

    def version(self) -> str:
        return f"cosine of {self.encoder.identity()}"

    def _vectors(self, texts: Sequence[str]) -> dict[str, Array]:
        """text -> (d,) of length 1. One call, so that the encoder gets full batches."""
        distinct = list(dict.fromkeys(texts))
        return dict(zip(distinct, map(_unit, self.encoder.embed(distinct)), strict=True))


def _unit(vector: Array) -> Array:
    import numpy as np

    exact = np.asarray(vector, np.float64)
    unit: Array = exact / max(float(np.linalg.norm(exact)), SHORT)
    return unit
