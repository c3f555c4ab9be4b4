"""Finds texts that hold a whole target: a method that reads one of these could copy what it has to write.

A text that holds a target also holds its first bytes, the target's *opening*. Hashes of all places in the texts are
looked up among the openings, so only the few texts with an opening in them have to be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

# Shorter texts can be equal to another, or part of it, by chance. In characters, so that an opening has as many bytes.
SHORTEST = 40
_FACTOR = 0x9E3779B97F4A7C15
_SHIFT = 40  # the upper 24 bits of a hash find most of the places that are no opening


def plain(text: str) -> str:
    """A text for comparison, without differences of case and white space."""
    return " ".join(text.split()).casefold()


def openings(targets: Iterable[str]) -> Hashes:
    """(n,) a hash of the first bytes of each plain target. Raises ValueError for one below `SHORTEST`."""
    import numpy as np

    first = [target.encode()[:SHORTEST] for target in targets]
    if any(len(one) < SHORTEST for one in first):
        raise ValueError(f"an opening has {SHORTEST} bytes")
    return _windows(np.frombuffer(b"".join(first), np.uint8).reshape(-1, SHORTEST))[:, 0]


class Openings:
    """Looks for the openings of all targets in texts."""

    def __init__(self, known: Hashes) -> None:
        import numpy as np

        self._known = np.unique(known)
        self._likely = np.zeros(1 << 64 - _SHIFT, bool)
        self._likely[self._known >> np.uint64(_SHIFT)] = True

    def within(self, texts: Sequence[str]) -> list[tuple[int, int]]:
        """(place in `texts`, hash) of every opening in these plain texts; once for each pair."""
        import numpy as np

        # No opening holds a line feed, so none is found across two texts.
        encoded = [text.encode() for text in texts]
        hashes = _windows(np.frombuffer(b"\n".join(encoded), np.uint8))
        at = np.flatnonzero(self._likely[hashes >> np.uint64(_SHIFT)])
        at = at[np.isin(hashes[at], self._known)]
        ends = np.cumsum([len(text) + 1 for text in encoded])
        places = np.searchsorted(ends, at, side="right")
        return sorted({(int(place), int(hash_)) for place, hash_ in zip(places, hashes[at], strict=True)})


def _windows(letters: NDArray[np.uint8]) -> Hashes:
    """The hashes of the `SHORTEST` bytes from each place of the last axis on, of 32 bytes and 8 made by doubling."""
    import numpy as np

    found: dict[int, Hashes] = {1: letters.astype(np.uint64)}
    for width in (1, 2, 4, 8, 16):
        found[2 * width] = _joined(found[width], found[width], width)
    return _joined(found[SHORTEST - 8], found[8], SHORTEST - 8)


def _joined(first: Hashes, second: Hashes, width: int) -> Hashes:
    """Hashes of `width` bytes and of those that follow them, modulo 2**64."""
    import numpy as np

    after = second[..., width:]
    found: Hashes = first[..., : after.shape[-1]] + after * np.uint64(pow(_FACTOR, width, 1 << 64))
    return found
