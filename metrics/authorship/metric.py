"""What metrics with scorers of authorship have in common: who scores, and columns by scorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from bench.types import Column
from metrics.authorship.choice import Chosen
from metrics.authorship.columns import Columns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class WithScorers:
    """A metric that compares texts by the scorers of `names`."""

    @property
    def names(self) -> tuple[str, ...]:
        raise NotImplementedError

    @cached_property
    def chosen(self) -> Chosen:
        return Chosen(self.names)

    @property
    def uses_gpu(self) -> bool:
        return self.chosen.uses_gpu

    def release(self) -> None:
        self.chosen.release()


class ByScorer(WithScorers):
    """A metric whose rows have the entries of `layout`, and whose columns are made of these."""

    layout: ClassVar[Columns]

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.layout.of(self.names)

    def statistics(self, row: Mapping[str, Any]) -> Sequence[float]:
        return self.layout.statistics(row)

    def values(self, sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        return self.layout.values(sums)

    def aggregate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return self.layout.aggregate(rows)
