"""Peer discrimination: is the text more like this user's real review than like others' real reviews of the same item?

All are of one item and of a rating within 1 of the user's, so that what can be said of the item cancels out. The value
is the share of peers' reviews that are less like the text than the user's own review is, ties 1/2 (an AUC). The real
text itself has 1. The floor is a peer's real text, asked the same against the reviews of the other peers.

Rating and title of the user's review are given to every method, and say something of it: Non-Perso is above 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.types import Review, UserTarget
from metrics import reading
from metrics.authorship import choice, ranks
from metrics.authorship.columns import Columns
from metrics.authorship.metric import ByScorer
from metrics.authorship.scorer import Candidate, Case
from metrics.nearest import apart, nearest

COLUMNS = Columns("peers", {"auc": ("Peer AUC", True)}, choice.LABELS, top=1.0)
WITHIN = 1.0  # of the user's rating
NOBODY = "nobody"


@dataclass
class Peers(ByScorer):
    """Rows: {"peers": n, "peers_SCORER_auc": 0..1, "..._floor": 0..1}; None: no such peers. An empty text scores 0."""

    scorers: str = "delta"
    model: str = ""  # an encoder by its name or folder, as one more scorer
    model_tokens: int = 512
    layout = COLUMNS
    sees_users = True
    held_out = ("peers",)

    def __post_init__(self) -> None:
        choice.named(self.scorers, self.model)  # refuses what is unknown

    @property
    def names(self) -> tuple[str, ...]:
        return choice.named(self.scorers, self.model)

    def score(self, predictions: Sequence[str], targets: Sequence[UserTarget]) -> list[dict[str, Any]]:
        """Raises UserError for a model that is absent, ValueError for lists of different length."""
        cases = [_case(text, target) for text, target in zip(predictions, targets, strict=True)]
        rows = [self._empty(case) for case in cases]
        for place, name, (own, *floor) in self.chosen.scores(cases, targets):
            blank = not predictions[place].strip()
            rows[place][COLUMNS.key(name, "auc")] = 0.0 if blank else ranks.measures(own[0], own[1:])["auc"]
            for of_peer in floor:  # whose own review is the first of the peers'
                rows[place][COLUMNS.key(name, "auc", "_floor")] = ranks.measures(of_peer[0], of_peer[2:])["auc"]
        return rows

    def _empty(self, case: Case | None) -> dict[str, Any]:
        keys = [COLUMNS.key(name, "auc", side) for name in self.names for side in ("", "_floor")]
        unread = {} if case else {"unread": {"reference": [NOBODY]}}
        return {"peers": len(case.candidates) - 1 if case else 0, **dict.fromkeys(keys), **unread}

    def unread(self, row: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
        return reading.words(row, {NOBODY: "have no peer's review with a rating within 1, and are in no mean"})

    def versions(self) -> dict[str, str]:
        """Raises UserError for a model that is not on this machine."""
        return {"peers": f"ratings within {WITHIN:g}", **self.chosen.versions()}


def _case(text: str, target: UserTarget) -> Case | None:
    """The text and, with two peers or more, the first one's review as floor; the user's real review, then the peers'.

    None without peers.
    """
    near = [one for one in nearest(target.sample, target.peers) if apart(target.sample, one) <= WITHIN]
    if not near or not target.reference.strip():
        return None
    own = Candidate(target.author.user_id, (target.reference,))
    floor = (near[0].text,) if len(near) > 1 else ()
    return Case((text, *floor), (own, *map(_candidate, near)))


def _candidate(review: Review) -> Candidate:
    return Candidate(review.user_id, (review.text,))
