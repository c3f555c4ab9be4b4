"""What a scorer of authorship is: how like each author's reviews a text is. Higher is more alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bench.types import Author

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody who may have written a text, by texts that they really wrote."""

    user_id: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """Texts, and the candidates that each of them is compared with."""

    texts: tuple[str, ...]
    candidates: tuple[Candidate, ...]


class Scorer(Protocol):
    """Compares texts with candidates. Only the order of one text's scores has a meaning."""

    def scores(self, cases: Sequence[Case], users: Sequence[Author]) -> list[Array]:
        """For each case (its texts, its candidates). `users`: all of the category, to normalise by."""
        ...

    def version(self) -> str:
        """Settings, packages and models that the scores depend on."""
        ...


class Space(Scorer, Protocol):
    """A scorer that also measures how far two texts are from each other."""

    def distances(self, pairs: Sequence[tuple[str, str]], users: Sequence[Author]) -> Array:
        """(pairs,), 0 for equal texts. `users` as for `scores`."""
        ...


class Encoder(Protocol):
    """A text encoder that a metric is given, with its vector store."""

    def identity(self) -> str:
        """Names the weights. Raises UserError for a model that is not on this machine."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, d), in order; each distinct text is computed once."""
        ...
