"""Copying: which share of the text's 5-grams stands word for word in texts that the writer could see.

Copied words raise every metric of likeness, and what was copied must be seen beside them. No column has a direction: a
user may repeat a phrase, and a low share alone is no merit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bench.types import Column, UserTarget
from metrics import reading
from metrics.pairs import means

VERSION = "1"
WORDS = 5
WORD = re.compile(r"\w+")

SHORT, NO_HISTORY, NO_PEERS = "short", "no history", "no peers"
WHY = {
    SHORT: f"hold fewer than {WORDS} words, and have no {WORDS}-gram: they are left out",
    NO_HISTORY: "are of samples without past reviews, and are left out of CP-H",
    NO_PEERS: "are of items without another user's review, and are left out of CP-P",
}


@dataclass(frozen=True)
class Copying:
    """Rows: {"copied_history", "copied_item", "copied_peers"}: shares of the text's 5-grams, each 0..1, or None.

    history: the past reviews that the method could be shown, texts and titles; another user's where histories are
    swapped. item: the target's item title and description, and the review title that is asked for. peers: other users'
    reviews of the item, without held-out ones: no method sees those, so that nothing is copied from them.
    5-grams are of lower-case runs of letters and digits; one that occurs twice counts twice.
    """

    sees_users = True
    held_out = ()
    columns = (
        Column("copied_history", "CP-H", digits=3),
        Column("copied_item", "CP-I", digits=3),
        Column("copied_peers", "CP-P", digits=3),
    )

    def score(self, predictions: Sequence[str], targets: Sequence[UserTarget]) -> list[dict[str, Any]]:
        return [_row(text, target) for text, target in zip(predictions, targets, strict=True)]

    def unread(self, row: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
        return reading.words(row, WHY)

    def aggregate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Means over the rows that have a share; a column without any is left out."""
        return means(rows, (column.key for column in self.columns))

    def versions(self) -> dict[str, str]:
        return {"copying": f"{VERSION} ({WORDS}-grams)"}


def _row(text: str, target: UserTarget) -> dict[str, Any]:
    sample, found = target.sample, grams(text)
    item = (sample.item.title, sample.item.description, sample.title)
    history = [part for review in sample.history for part in (review.text, review.title)]
    peers = [part for review in target.peers for part in (review.text, review.title)]
    row: dict[str, Any] = {
        "copied_history": _share(found, history) if history else None,
        "copied_item": _share(found, item),
        "copied_peers": _share(found, peers) if peers else None,
    }
    lacking = [code for code, some in ((NO_HISTORY, history), (NO_PEERS, peers)) if not some]
    sides = {side: codes for side, codes in (("reference", lacking), ("prediction", [] if found else [SHORT])) if codes}
    return {**row, "unread": sides} if sides else row


def grams(text: str) -> tuple[str, ...]:
    """All 5-grams of the text, in order."""
    words = WORD.findall(text.lower())
    return tuple(" ".join(words[place : place + WORDS]) for place in range(len(words) - WORDS + 1))


@lru_cache(50_000)  # one review stands in the histories of several samples
def _known(text: str) -> frozenset[str]:
    return frozenset(grams(text))


def _share(found: Sequence[str], sources: Iterable[str]) -> float | None:
    known = [_known(source) for source in sources]
    return sum(any(one in some for some in known) for one in found) / len(found) if found else None
