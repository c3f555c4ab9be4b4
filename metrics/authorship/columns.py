"""Columns of a measure by scorer: of the text, of real texts as ceiling and floor, and the share between these.

A row has a number or None under each key. All columns are means of these but `share`, which is a ratio of means:
(text - floor) / (ceiling - floor).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from bench.types import Column

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KINDS = ("", "_ceiling", "_floor")  # of a measure's key


@dataclass(frozen=True)
class Columns:
    """`heads`: measure -> (label, whether every table shows it). The share is that of the first measure.

    `top`: the ceiling where it is known (of a text compared with itself), None where it is measured.
    """

    metric: str
    heads: Mapping[str, tuple[str, bool]]
    labels: Mapping[str, str]  # scorer -> its part of a label
    top: float | None = None

    def key(self, scorer: str, measure: str, kind: str = "") -> str:
        return f"{self.metric}_{scorer}_{measure}{kind}"

    def of(self, scorers: Sequence[str]) -> tuple[Column, ...]:
        return tuple(column for scorer in scorers for column in self._of_one(scorer))

    def _of_one(self, scorer: str) -> list[Column]:
        name = self.labels[scorer]
        found = [
            Column(self.key(scorer, measure), f"{label} {name}", digits=3, higher_is_better=True, main=main)
            for measure, (label, main) in self.heads.items()
        ]
        found += [
            Column(self.key(scorer, measure, kind), f"{label} {name}, {kind[1:]}", digits=3, main=False)
            for measure, (label, _) in self.heads.items()
            for kind in self._measured
        ]
        head, _ = self.heads[self._first]
        share = Column(self.key(scorer, "share"), f"{head} {name}, share", digits=2, higher_is_better=True, main=False)
        return [*found, share]

    @property
    def _first(self) -> str:
        return next(iter(self.heads))

    @property
    def _measured(self) -> tuple[str, ...]:
        return ("_floor",) if self.top is not None else ("_ceiling", "_floor")

    @property
    def keys(self) -> list[str]:
        """Those of means, of all scorers: the arrays of a run are made without its options."""
        kinds = ("", *self._measured)
        return [self.key(scorer, one, kind) for scorer in self.labels for kind in kinds for one in self.heads]

    def statistics(self, row: Mapping[str, Any]) -> list[float]:
        """Value and 1 for each key, or 0 and 0 where the row has none."""
        found = (row.get(key) for key in self.keys)
        return [number for value in found for number in ((0.0, 0.0) if value is None else (float(value), 1.0))]

    def values(self, sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """column -> (...) from (..., 2 keys) sums; NaN where no row had a value."""
        import numpy as np

        with np.errstate(invalid="ignore", divide="ignore"):
            found = {key: sums[..., 2 * place] / sums[..., 2 * place + 1] for place, key in enumerate(self.keys)}
            for scorer in self.labels:
                own, floor = (found[self.key(scorer, self._first, kind)] for kind in ("", "_floor"))
                top = found[self.key(scorer, self._first, "_ceiling")] if self.top is None else self.top
                found[self.key(scorer, "share")] = (own - floor) / (top - floor)
        return found

    def aggregate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """The values of these rows; a column without any is left out."""
        import numpy as np

        sums = np.array([self.statistics(row) for row in rows]).sum(axis=0)
        return {key: float(value) for key, value in self.values(sums).items() if isfinite(value)}
