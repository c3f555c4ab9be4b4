"""`--by`: the samples of finished runs cut into groups. Nothing is generated.

uniqueness     Unique and Non-Unique users (results.tables.uniqueness)
history:4      four groups of about the same size, by a number that every sample has
rating         one group for each value, if there are at most ten values; otherwise four groups
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import UserError, matches, only, unknown
from results.tables.finished_runs import FinishedRun

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.console.meter import Meter
    from results.statistics.resampling import Mask

PROPERTIES = {
    "history": "number of past reviews",
    "peers": "other users' reviews of an item in the history, mean over the history",
    "rating": "rating of the target review",
    "words": "words of the real review",
}
MOST_VALUES = 10


@dataclass(frozen=True)
class Slice:
    """`cut(run, mask of a category)` returns label -> mask over all samples of the run. `note` explains the groups.

    All runs of a table are cut as its first one is: `check` raises UserError for runs that would be cut in other ways.
    `prepare` does what takes long before, and shows it.
    """

    note: str
    cut: Callable[[FinishedRun, Mask], dict[str, Mask]]
    check: Callable[[Sequence[FinishedRun]], None] = lambda runs: None
    prepare: Callable[[Sequence[FinishedRun], Meter], None] = lambda runs, meter: None

    def __call__(self, run: FinishedRun, within: Mask) -> dict[str, Mask]:
        return self.cut(run, within)


def parse(text: str) -> Slice | None:
    """'uniqueness', 'history:4' and so on; None for 'category', the table's own layout. Raises UserError otherwise."""
    if not text:
        return None
    name, colon, number = text.partition(":")
    name = only("slice", name, matches(name, (*PROPERTIES, "uniqueness", "category")) or [name])
    text = f"{name}{colon}{number}"
    if text == "category":
        return None
    if text == "uniqueness":
        from results.tables import uniqueness

        return Slice(
            "Users by the distance of their history's mean vector from the category's mean",
            uniqueness.cut,
            uniqueness.check,
            uniqueness.embed,
        )
    if name not in PROPERTIES:
        raise unknown("slice", name, ("category", "uniqueness", *(f"{known}:4" for known in PROPERTIES)))
    if colon and not re.fullmatch(r"[2-9]|1\d", number):
        raise UserError(f"--by {text!r}: a number of groups from 2 to 19 is expected, as in --by {name}:4")
    groups = int(number) if colon else None
    return Slice(f"By {name}: {PROPERTIES[name]}", lambda run, within: _by_property(run, within, name, groups))


def _by_property(run: FinishedRun, within: Mask, name: str, groups: int | None) -> dict[str, Mask]:
    import numpy as np

    known = run.scores.properties if run.scores else {}
    if name not in known:
        raise UserError(f"the scores of {run.folder.path.name} lack the property {name}; `bench score` adds it")
    values = known[name]
    inside = values[within & np.isfinite(values)]
    if not inside.size:
        return {}
    distinct = np.unique(inside)
    if groups is None and len(distinct) <= MOST_VALUES:
        return {f"{name} {value:g}": within & (values == value) for value in distinct}
    edges = _edges(inside, groups or 4)
    return {
        f"{name} {_range(inside, low, high)}": within & (values > low) & (values <= high)
        for low, high in zip([-np.inf, *edges], [*edges, np.inf], strict=True)
    }


def _edges(values: NDArray[np.float64], groups: int) -> list[float]:
    """The upper ends of all groups but the last.

    Equal values stay in one group, so that groups may differ in size or be fewer.
    """
    import numpy as np

    shares = np.arange(1, groups) / groups
    edges = np.unique(np.quantile(values, shares, method="inverted_cdf"))
    return [float(edge) for edge in edges if edge < values.max()]


def _range(values: NDArray[np.float64], low: float, high: float) -> str:
    inside = values[(values > low) & (values <= high)]
    first, last = (f"{value:.4g}" for value in (inside.min(), inside.max()))
    return first if first == last else f"{first}–{last}"
