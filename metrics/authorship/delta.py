"""Burrows's Delta: the negative mean absolute difference of z-scores between a text and an author.

After Burrows 2002, "'Delta': a Measure of Stylistic Difference and a Guide to Likely Authorship". Deviations: besides
function words the features are punctuation, case, lengths and character 3-grams, as reviews are short; an author is the
mean of the reviews' frequencies, not their frequency in one long text, so that a long review counts as a short one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.types import Author
from metrics.authorship import features
from metrics.authorship.scorer import Case

if TYPE_CHECKING:
    from metrics.authorship.scorer import Array

STEADY = 1e-9  # a feature that differs less between users tells nobody from another


@dataclass(frozen=True)
class Delta:
    """The statistics of a category's users are kept, so that the runs of one command share them."""

    _known: dict[tuple[Author, ...], Norms] = field(default_factory=dict, init=False, repr=False, compare=False)

    def scores(self, cases: Sequence[Case], users: Sequence[Author]) -> list[Array]:
        import numpy as np

        norms = self._norms(users)
        found: list[Array] = []
        for case in cases:
            texts = norms.z(case.texts)
            authors = np.stack([norms.z(one.texts).mean(axis=0) for one in case.candidates])
            found.append(-np.abs(texts[:, None] - authors).mean(axis=2))
        return found

    def distances(self, pairs: Sequence[tuple[str, str]], users: Sequence[Author]) -> Array:
        import numpy as np

        norms = self._norms(users)
        left, right = (norms.z([pair[side] for pair in pairs]) for side in (0, 1))
        distances: Array = np.abs(left - right).mean(axis=1)
        return distances

    def version(self) -> str:
        counts = f"{len(features.FUNCTION_WORDS)} words, {features.MOST_GRAMS} 3-grams"
        return f"Delta 1 ({counts}, z over the category's users)"

    def _norms(self, users: Sequence[Author]) -> Norms:
        key = tuple(users)
        if key not in self._known:
            self._known[key] = Norms.of(key)
        return self._known[key]


@dataclass(frozen=True)
class Norms:
    """Mean and spread of each feature over the category's users, each the mean of their reviews."""

    grams: features.Grams
    mean: Array  # (d,)
    spread: Array  # (d,): inf for a feature that all users share, so that it counts nothing
    _vectors: dict[str, Array] = field(default_factory=dict, repr=False)  # text -> (d,), not yet z

    @classmethod
    def of(cls, users: Sequence[Author]) -> Norms:
        """Raises ValueError without users."""
        import numpy as np

        grams = features.Grams.frequent([review.text for user in users for review in user.reviews])
        raw = cls(grams, np.zeros(0), np.zeros(0))
        means = np.stack([raw.counts([one.text for one in user.reviews]).mean(axis=0) for user in users])
        spread = means.std(axis=0)
        told = spread > STEADY
        return cls(grams, means.mean(axis=0), np.where(told, spread, np.inf), raw._vectors)

    def counts(self, texts: Sequence[str]) -> Array:
        """(n, d)"""
        import numpy as np

        for text in texts:
            if text not in self._vectors:
                self._vectors[text] = np.concatenate((features.style(text), self.grams.shares(text)))
        return np.stack([self._vectors[text] for text in texts])

    def z(self, texts: Sequence[str]) -> Array:
        """(n, d)"""
        return (self.counts(texts) - self.mean) / self.spread
