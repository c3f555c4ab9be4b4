"""Texts to token ids piece by piece, so that a block that stands in many prompts is tokenized once.

A text is cut after line breaks that are followed by a visible character, but only where the tokenizer itself cuts: its
ids for the characters around the cut must be those of the two sides. No tokenizer that we know looks further. So the
ids are those of the whole text, and a tokenizer that joins across line breaks gets whole texts.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from functools import lru_cache

BEFORE, AFTER = 24, 16  # characters of each side by which a cut is checked
KEPT = 32_768  # pieces in memory: some 50 MB at a thousand characters a piece

_LINE = re.compile(r"\n(?=\S)")


class PieceEncoder:
    """`encode` gives the token ids of any text, without special tokens."""

    def __init__(self, encode: Callable[[str], list[int]]) -> None:
        self._encode = encode
        self._ids = lru_cache(maxsize=KEPT)(lambda piece: array("i", encode(piece)))
        self._cuts = lru_cache(maxsize=KEPT)(self._cuts_between)
        self._side = lru_cache(maxsize=1024)(encode)

    def ids(self, text: str) -> tuple[int, ...]:
        found = array("i")
        for piece in self.pieces(text):
            found += self._ids(piece)
        return tuple(found)

    def count(self, text: str, *, limit: int) -> int:
        """The number of tokens; some number above `limit` where there are more, as soon as that is known."""
        total = 0
        for piece in self.pieces(text):
            total += len(self._ids(piece))
            if total > limit:
                break
        return total

    def pieces(self, text: str) -> Iterator[str]:
        """Parts that together are the text, each of which has its own tokens."""
        start = 0
        for match in _LINE.finditer(text):
            cut = match.end()
            if self._cuts(text[max(start, cut - BEFORE) : cut], text[cut : cut + AFTER]):
                yield text[start:cut]
                start = cut
        yield text[start:]

    def _cuts_between(self, left: str, right: str) -> bool:
        return self._encode(left + right) == self._encode(left) + self._side(right)
