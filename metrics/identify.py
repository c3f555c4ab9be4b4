"""Identification: which of N users of the category wrote the text? The user, and N - 1 others that all runs share.

Candidates are compared by as many of their newest reviews each, so that the length of a history tells nothing. None of
these is of the sample's item, and none is the reference or, word for word, the text that is asked about.

Columns by scorer: AUC (the share of the others who are less like the text than the user is), top-1 and mean reciprocal
rank. The ceiling is the same for the real text. The floor is that of another user's real text: a peer's of the same
item, of the nearest rating, else one of a user who is no candidate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.types import Author, UserTarget
from metrics import reading
from metrics.authorship import choice, ranks
from metrics.authorship.columns import Columns
from metrics.authorship.metric import ByScorer
from metrics.authorship.scorer import Candidate, Case
from metrics.nearest import nearest

HEADS = {"auc": ("ID AUC", True), "top1": ("ID top-1", True), "mrr": ("ID MRR", False)}
COLUMNS = Columns("identify", HEADS, choice.LABELS)
SIDES = ("", "_ceiling", "_floor")  # the texts of a case, in order
NOBODY, FEW = "nobody", "few"


@dataclass
class Identify(ByScorer):
    """Rows: {"candidates": n, "identify_SCORER_MEASURE": 0..1, the same with _ceiling and _floor}; None: no such text.

    An empty text scores 0, which is less than a guess: a method must not gain by failing.
    """

    scorers: str = "delta,lambdag"
    model: str = ""  # an encoder by its name or folder, as one more scorer
    model_tokens: int = 512
    candidates: int = 10
    reviews: int = 10
    layout = COLUMNS
    sees_users = True
    held_out = ()

    def __post_init__(self) -> None:
        if self.candidates < 2 or self.reviews < 1:
            raise ValueError("at least 2 candidates and 1 review of each are expected")
        choice.named(self.scorers, self.model)  # refuses what is unknown

    @property
    def names(self) -> tuple[str, ...]:
        return choice.named(self.scorers, self.model)

    def score(self, predictions: Sequence[str], targets: Sequence[UserTarget]) -> list[dict[str, Any]]:
        """Raises UserError for a model that is absent, ValueError for lists of different length."""
        cases = [self._case(text, target) for text, target in zip(predictions, targets, strict=True)]
        rows = [self._empty(case) for case in cases]
        for place, name, scores in self.chosen.scores(cases, targets):
            for side, of_text in zip(SIDES, scores, strict=False):
                found = ranks.measures(of_text[0], of_text[1:])
                if side == "" and not predictions[place].strip():
                    found = ranks.ZERO
                rows[place] |= {COLUMNS.key(name, one, side): value for one, value in found.items()}
        return rows

    def _case(self, text: str, target: UserTarget) -> Case | None:
        """The text, the reference and the floor's, if there is one; the user, then the others. None without these."""
        item = target.sample.item.item_id
        own = _texts(target.author, item, but=text)
        others = [(one, texts) for one in target.others if (texts := _texts(one, item, but=text))]
        chosen, rest = others[: self.candidates - 1], others[self.candidates - 1 :]
        if not own or not chosen:
            return None
        size = min(self.reviews, len(own), *(len(texts) for _, texts in chosen))
        everybody = [(target.author, own), *chosen]
        names = {one.user_id for one, _ in everybody}
        floor = _of_peer(target, names) or [texts[0] for _, texts in rest][:1]
        return Case(
            (text, target.reference, *floor),
            tuple(Candidate(one.user_id, tuple(texts[:size])) for one, texts in everybody),
        )

    def _empty(self, case: Case | None) -> dict[str, Any]:
        n = len(case.candidates) if case else 0
        why = [] if n == self.candidates else [FEW if n else NOBODY]
        keys = [COLUMNS.key(name, one, side) for name in self.names for side in SIDES for one in ranks.MEASURES]
        return {"candidates": n, **dict.fromkeys(keys), **({"unread": {"reference": why}} if why else {})}

    def unread(self, row: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
        few = f"have fewer than {self.candidates} candidates, so that a guess is right more often"
        return reading.words(row, {FEW: few, NOBODY: "have no candidates or no past review, and are in no mean"})

    def versions(self) -> dict[str, str]:
        """Raises UserError for a model that is not on this machine."""
        asked = f"1 of {self.candidates} users by {self.reviews} reviews each, without the text itself"
        return {"identify": asked, **self.chosen.versions()}


def _texts(author: Author, item_id: str, *, but: str) -> list[str]:
    """The author's reviews of other items, newest first, without the text that is asked about, which is like itself.

    It stays where it is all that there is, so that no sample vanishes.
    """
    found = [one.text for one in author.reviews if one.item.item_id != item_id and one.text.strip()]
    return [one for one in found if one.strip() != but.strip()] or found


def _of_peer(target: UserTarget, names: set[str]) -> list[str]:
    """The text of the peer with the nearest rating who is no candidate; empty without one."""
    others = (one for one in target.peers if one.user_id not in names)
    return [one.text for one in nearest(target.sample, others)[:1]]
