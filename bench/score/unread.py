"""Counts what metrics could not read, for the notes below tables. The values stay as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bench import plugins
from bench.errors import shown
from bench.protocols import Metric

SIDES = ("reference", "prediction")


def count(metrics: Mapping[str, Metric], rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, int]]]:
    """metric -> "reference" or "prediction" -> why -> number of texts. Only what there is.

    Raises PluginError where a plug-in's `unread` fails.
    """
    found = {name: _of(name, metric, [row[name] for row in rows]) for name, metric in metrics.items()}
    return {name: sides for name, sides in found.items() if sides}


def _of(name: str, metric: Metric, rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    ask = getattr(metric, "unread", None)
    if not callable(ask):  # a metric need not say it
        return {}
    counts: dict[str, Counter[str]] = {}
    with plugins.working("metric", name, "at unread()"):
        for row in rows:
            for side, reasons in _checked(ask(row)).items():
                counts.setdefault(side, Counter()).update(reasons)
    return {side: dict(counts[side].most_common()) for side in SIDES if counts.get(side)}


def _checked(given: Any) -> Mapping[str, Sequence[str]]:
    """Raises TypeError or ValueError for what is no mapping of a side to texts."""
    if not isinstance(given, Mapping):
        raise TypeError(f"it gave {type(given).__name__}, not a dict")
    for side, reasons in given.items():
        if side not in SIDES:
            raise ValueError(f"it gave {shown(side)}; 'reference' and 'prediction' are expected")
        if isinstance(reasons, str) or not all(isinstance(one, str) for one in reasons):
            raise TypeError(f"it gave {shown(reasons)}, not a list of texts")
    return given
