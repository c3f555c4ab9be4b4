"""Responsiveness: where two users' real reviews of one item are far from each other, are their generated texts, too?

Over the pairs of samples of one item in a run: Spearman's correlation of the distance of the two texts with that of the
two real reviews, ranks over all pairs of the category. Correlating two tables of pairwise distances is representational
similarity analysis (Kriegeskorte et al. 2008); here only pairs of one item count, so that no item is compared with
another one.

Pairs of one item share texts. All of an item's pairs stand on one row, that of its first sample, so that resampling
users draws whole items. Splitting each pair between its two rows would halve the influence of each, and intervals would
be too narrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite
from typing import TYPE_CHECKING, Any

from bench.errors import unknown
from bench.types import Column, UserTarget
from metrics import reading
from metrics.authorship import choice
from metrics.authorship.metric import WithScorers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from metrics.authorship.scorer import Array

ALONE = "alone"
FEWEST = 3  # pairs
TINY = 1e-12
NOTHING = (0.0,) * 6
Pair = tuple[int, int]  # places of two samples


@dataclass
class Responsive(WithScorers):
    """Rows: {"responsive_sums": six sums over pairs, "unread"}: n, and of the ranks x of texts and y of reviews, both
    from -1/2 to 1/2: x, y, xx, yy, xy. A pair with an empty text has no distance of texts: 0.

    `by` is the scorer that measures distances: delta, embedder, or model, the encoder of `model`.
    """

    by: str = "delta"
    model: str = ""
    model_tokens: int = 512
    sees_users = True
    held_out = ()
    columns = (
        Column("responsive", "Resp.", digits=3, higher_is_better=True),
        Column("responsive_pairs", "pairs", digits=0, main=False),
    )

    def __post_init__(self) -> None:
        if self.by not in choice.SPACES:
            raise unknown("scorer with distances", self.by, choice.SPACES)
        choice.named(self.by, self.model if self.by == "model" else "")

    @property
    def names(self) -> tuple[str, ...]:
        return (self.by,)

    def score(self, predictions: Sequence[str], targets: Sequence[UserTarget]) -> list[dict[str, Any]]:
        """Raises UserError for a model that is absent, ValueError for lists of different length."""
        if len(predictions) != len(targets):
            raise ValueError(f"{len(predictions)} texts for {len(targets)} targets")
        sums: list[tuple[float, ...]] = [NOTHING for _ in targets]
        paired: set[int] = set()
        for items in _by_item(targets).values():
            pairs = [pair for places in items for pair in _pairs(places, targets)]
            paired.update(place for pair in pairs for place in pair)
            holders = [places[0] for places in items for _ in _pairs(places, targets)]
            for place, more in zip(holders, self._sums(pairs, predictions, targets), strict=True):
                sums[place] = tuple(one + another for one, another in zip(sums[place], more, strict=True))
        alone = {"unread": {"reference": [ALONE]}}
        return [
            {"responsive_sums": list(found), **({} if place in paired else alone)} for place, found in enumerate(sums)
        ]

    def _sums(
        self, pairs: Sequence[Pair], predictions: Sequence[str], targets: Sequence[UserTarget]
    ) -> list[tuple[float, ...]]:
        """The six numbers of each pair of a category."""
        if not pairs:
            return []
        space, users = self.chosen.space(), targets[pairs[0][0]].users
        written = [(predictions[one], predictions[other]) for one, other in pairs]
        real = [(targets[one].reference, targets[other].reference) for one, other in pairs]
        apart = space.distances(written, users)
        for place, texts in enumerate(written):
            if not all(text.strip() for text in texts):
                apart[place] = 0.0
        ranks = zip(_ranks(apart).tolist(), _ranks(space.distances(real, users)).tolist(), strict=True)
        return [(1.0, x, y, x * x, y * y, x * y) for x, y in ranks]

    def unread(self, row: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
        return reading.words(row, {ALONE: "share their item with no other user's sample, and stand in no pair"})

    def statistics(self, row: Mapping[str, Any]) -> Sequence[float]:
        sums: Sequence[float] = row["responsive_sums"]
        return sums

    def values(self, sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Pearson's correlation of ranks from (..., 6) sums; NaN where fewer than 3 pairs or only ties are left."""
        import numpy as np

        n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = np.sqrt(np.maximum(xx - x * x / n, 0) * np.maximum(yy - y * y / n, 0))
            found = np.where((n >= FEWEST) & (spread > TINY), (xy - x * y / n) / spread, np.nan)
        return {"responsive": found, "responsive_pairs": n}

    def aggregate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """The correlation is left out where there is none."""
        import numpy as np

        found = self.values(np.array([row["responsive_sums"] for row in rows], np.float64).sum(axis=0))
        return {key: float(value) for key, value in found.items() if isfinite(value)}

    def versions(self) -> dict[str, str]:
        """Raises UserError for a model that is not on this machine."""
        return {"responsive": "Spearman over pairs of one item", **self.chosen.versions()}


def _by_item(targets: Sequence[UserTarget]) -> dict[str, list[list[int]]]:
    """category -> the places of the samples of each item."""
    found: dict[tuple[str, str], list[int]] = {}
    for place, target in enumerate(targets):
        found.setdefault((target.sample.category, target.sample.item.item_id), []).append(place)
    items: dict[str, list[list[int]]] = {}
    for (category, _), places in found.items():
        items.setdefault(category, []).append(places)
    return items


def _pairs(places: Sequence[int], targets: Sequence[UserTarget]) -> list[Pair]:
    """Those of different users."""
    users = {place: targets[place].author.user_id for place in places}
    return [pair for pair in combinations(places, 2) if users[pair[0]] != users[pair[1]]]


def _ranks(values: Array) -> Array:
    """From -1/2 to 1/2, around 0; ties share the mean rank."""
    from scipy.stats import rankdata

    ranks: Array = (rankdata(values) - (len(values) + 1) / 2) / len(values)
    return ranks
