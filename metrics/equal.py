"""Equal: other metrics once more at equal length, so that being as long as the reference earns nothing.

Both texts are cut to the words of the shorter one. What a column loses from its value at full length to that here was
earned, or lost, by length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.errors import UserError, unknown
from bench.protocols import Releasing
from bench.types import Column
from metrics.bleu import ORDERS
from metrics.pairs import pairs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

VERSION = "1"
# In this order their numbers stand in `statistics`, whichever of them are scored.
METRICS = ("rouge", "meteor", "bleu", "bertscore")
WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Equal:
    """Rows: metric -> that metric's row of the cut pair. Columns: `equal_rouge1`, labelled "R-1=", and so on.

    An empty text is not cut to: it meets the whole reference, so that it scores 0 and counts in BLEU's brevity penalty.
    `of` names the metrics, separated by commas. The other options are BERTScore's.
    """

    of: str = "rouge,meteor,bleu"
    bertscore_model: str = "allenai/led-base-16384"
    bertscore_layer: int = 6

    def __post_init__(self) -> None:
        for name in self._names:
            if name not in METRICS:
                raise unknown("metric of equal.of", name, METRICS)
        if not self._names:
            raise UserError(f"equal.of={self.of!r} names no metric; known: {', '.join(METRICS)}")

    @property
    def _names(self) -> list[str]:
        given = [name.strip() for name in self.of.split(",") if name.strip()]
        return list(dict.fromkeys(given))

    @cached_property
    def _metrics(self) -> dict[str, Any]:
        bertscore = {"model": self.bertscore_model, "layer": self.bertscore_layer}
        options: dict[str, dict[str, Any]] = {"bertscore": bertscore}
        return {name: registry.create("metric", name, options.get(name)) for name in self._names}

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(_own(column) for metric in self._metrics.values() for column in metric.columns)

    @property
    def per_pair(self) -> bool:
        return all(getattr(metric, "per_pair", False) for metric in self._metrics.values())

    @property
    def uses_gpu(self) -> bool:
        return any(getattr(metric, "uses_gpu", False) for metric in self._metrics.values())

    def release(self) -> None:
        for metric in self._metrics.values():
            if isinstance(metric, Releasing):
                metric.release()

    def score(self, predictions: Sequence[str], references: Sequence[str]) -> list[dict[str, Any]]:
        """Raises what the metrics raise, and ValueError for lists of different length."""
        cut = [equally_long(*pair) for pair in pairs(predictions, references)]
        texts, targets = [text for text, _ in cut], [target for _, target in cut]
        found = {name: metric.score(texts, targets) for name, metric in self._metrics.items()}
        return [{name: rows[place] for name, rows in found.items()} for place in range(len(cut))]

    def unread(self, row: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
        """What the metrics say, each with its columns' labels."""
        found: dict[str, list[str]] = {}
        for name, metric in self._metrics.items():
            labels = ", ".join(_own(column).label for column in metric.columns)
            for side, reasons in metric.unread(row[name]).items():
                found.setdefault(side, []).extend(f"{why} ({labels})" for why in reasons)
        return found

    def aggregate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return {
            _key(key): value
            for name, metric in self._metrics.items()
            for key, value in metric.aggregate([row[name] for row in rows]).items()
        }

    def statistics(self, row: Mapping[str, Any]) -> Sequence[float]:
        """The numbers of all METRICS, 0 for those that the row lacks: tables read rows without the run's options."""
        return [number for part in PARTS for number in part.numbers(row)]

    def values(self, sums: Array) -> dict[str, Array]:
        """NaN in the columns of metrics that were not scored."""
        found: dict[str, Array] = {}
        start = 0
        for part in PARTS:
            found |= part.values(sums[..., start : start + part.width])
            start += part.width
        return found

    def versions(self) -> dict[str, str]:
        found = {key: value for metric in self._metrics.values() for key, value in metric.versions().items()}
        return {**found, "equal": VERSION}


def equally_long(text: str, reference: str) -> tuple[str, str]:
    """Both up to the end of their n-th word, n being the words of the shorter one; an empty one cuts nothing."""
    words, real = ([match.end() for match in WORD.finditer(one)] for one in (text, reference))
    shorter = min(len(words), len(real))
    return (text[: words[shorter - 1]], reference[: real[shorter - 1]]) if shorter else (text, reference)


@dataclass(frozen=True)
class Part:
    """One of METRICS in the sums of rows: its own statistics, or a value and a 1 for each column that is a mean.

    A last number counts the rows that have the metric.
    """

    name: str

    @cached_property
    def metric(self) -> Any:
        return registry.create("metric", self.name)

    @cached_property
    def width(self) -> int:
        return len(list(self.numbers({})))

    def numbers(self, row: Mapping[str, Any]) -> Iterator[float]:
        own = row.get(self.name)
        if not hasattr(self.metric, "statistics"):
            yield from (float(own[column.key]) if own else 0.0 for column in self.metric.columns)
        else:
            yield from self.metric.statistics(own) if own else EMPTY[self.name]
        yield 1.0 if own else 0.0

    def values(self, sums: Array) -> dict[str, Array]:
        import numpy as np

        rows, numbers = sums[..., -1], sums[..., :-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            if hasattr(self.metric, "values"):
                found = self.metric.values(numbers)
            else:
                found = {column.key: numbers[..., at] / rows for at, column in enumerate(self.metric.columns)}
        return {_key(key): np.where(rows > 0, one, np.nan) for key, one in found.items()}


# What a row without the metric adds to its sums.
EMPTY: dict[str, Sequence[float]] = {"bleu": (0.0,) * (2 * ORDERS + 2)}
PARTS = tuple(map(Part, METRICS))


def _key(key: str) -> str:
    return f"equal_{key}"


def _own(column: Column) -> Column:
    return Column(_key(column.key), f"{column.label}=", column.digits, column.higher_is_better, column.main)
