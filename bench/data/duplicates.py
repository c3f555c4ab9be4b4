"""Finds near-duplicates: texts whose sets of word 5-grams have a Jaccard index that reaches a threshold.

The result is exact. Prefix filtering makes it fast: two sets that are this similar share one of their few smallest
hashes, so only texts that share one are compared.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Grams = NDArray[np.uint64]

N = 5
THRESHOLD = 0.8
_WORD = re.compile(r"\w+")


class Shingler:
    """Turns texts into sorted sets of hashed word 5-grams. Ignores case, punctuation and white space."""

    def __init__(self) -> None:
        self._words: dict[str, int] = {}

    def __call__(self, text: str) -> Grams:
        """(n,) distinct hashes, ascending. A text of fewer than 5 words gives one, a text without words none."""
        import numpy as np

        words, known = _WORD.findall(text.lower()), self._words
        if not words:
            return np.empty(0, np.uint64)
        ids = np.fromiter((known.setdefault(word, len(known) + 1) for word in words), np.uint64, len(words))
        size = min(N, len(ids))
        grams = np.zeros(len(ids) - size + 1, np.uint64)
        for place in range(size):
            grams = _mix(grams + ids[place : len(ids) - size + 1 + place])
        return np.unique(grams)


def _mix(values: Grams) -> Grams:
    """A permutation of 64-bit numbers that looks random (splitmix64)."""
    import numpy as np

    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Grams = values ^ (values >> np.uint64(31))
    return mixed


def near(
    targets: Mapping[str, str], texts: Iterable[tuple[str, str]], *, threshold: float = THRESHOLD
) -> Iterator[tuple[str, str]]:
    """(target's key, text's key) of every pair of near-duplicates. A target is not paired with itself."""
    grams = Shingler()
    sets = {key: grams(text) for key, text in targets.items()}
    index: defaultdict[int, list[str]] = defaultdict(list)
    for key, found in sets.items():
        for gram in _prefix(found, threshold):
            index[gram].append(key)
    for key, text in texts:
        found = sets[key] if key in sets else grams(text)
        candidates = dict.fromkeys(target for gram in _prefix(found, threshold) for target in index.get(gram, ()))
        for target in candidates:
            if target != key and jaccard(sets[target], found) >= threshold:
                yield target, key


def jaccard(one: Grams, other: Grams) -> float:
    """Shared grams over all grams, 0..1."""
    import numpy as np

    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared) if shared else 0.0


def _prefix(grams: Grams, threshold: float) -> list[int]:
    """The smallest hashes: as many as are needed so that every set this similar contains one of them."""
    size = len(grams) - math.ceil(threshold * len(grams) - 1e-9) + 1
    prefix: list[int] = grams[:size].tolist() if len(grams) else []
    return prefix
