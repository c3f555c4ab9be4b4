"""Parts that all metrics share: pairing, blank texts and the plain mean over rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def pairs(predictions: Sequence[str], references: Sequence[str]) -> list[tuple[str, str]]:
    """(prediction, reference) in order. Raises ValueError where the lists differ in length."""
    return list(zip(predictions, references, strict=True))


def blank(prediction: str, reference: str) -> bool:
    """Whether a text of the pair is blank. Such a pair scores 0 and stays in the mean."""
    return not (prediction.strip() and reference.strip())


def means(rows: Sequence[Mapping[str, Any]], keys: Iterable[str]) -> dict[str, float]:
    """The mean of each column over the rows that have a value of it; a column without any is left out."""
    known = {key: [row for row in rows if row[key] is not None] for key in keys}
    return {key: mean(some, key) for key, some in known.items() if some}


def mean(rows: Sequence[Mapping[str, Any]], key: str) -> float:
    """The plain mean of one column, correctly rounded, so that the order of rows changes nothing.

    Raises ValueError without rows, because the mean of nothing is not 0.
    """
    if not rows:
        raise ValueError(f"no rows to average '{key}' over")
    return math.fsum(row[key] for row in rows) / len(rows)
