"""Rows of texts to rows of scores to the values of a table. Scoring never generates.

A sample that failed, or whose text is empty, scores 0 in every metric and stays in every denominator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench import registry
from bench.config import Profile
from bench.protocols import Metric

Rows = list[dict[str, Any]]


def create(
    profile: Profile, names: Sequence[str] | None = None, *, options: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Metric]:
    """name -> metric, with the profile's options, and `options` (metric -> option -> value) before these."""
    wanted = profile.metrics if names is None else names
    given = {name: {**profile.options.get(name, {}), **(options or {}).get(name, {})} for name in wanted}
    return {name: registry.create("metric", name, values) for name, values in given.items()}


def score(metrics: Mapping[str, Metric], samples: Rows, references: Mapping[str, str]) -> Rows:
    """A row a sample: its id, category and user, and under each metric's name that metric's row."""
    predictions = [row["text"] or "" for row in samples]
    targets = [references[row["sample_id"]] for row in samples]
    rows: Rows = [{key: row[key] for key in ("sample_id", "category", "user_id")} for row in samples]
    for name, metric in metrics.items():
        for row, scores in zip(rows, metric.score(predictions, targets), strict=True):
            row[name] = scores
    return rows


def aggregate(metrics: Mapping[str, Metric], rows: Rows) -> dict[str, dict[str, float]]:
    """category -> column key -> value."""
    categories = list(dict.fromkeys(row["category"] for row in rows))
    return {
        category: {
            key: value
            for name, metric in metrics.items()
            for key, value in metric.aggregate([row[name] for row in rows if row["category"] == category]).items()
        }
        for category in categories
    }


def columns(metrics: Mapping[str, Metric]) -> list[dict[str, Any]]:
    """What the tables need to know of each column, as JSON."""
    return [asdict(column) for metric in metrics.values() for column in metric.columns]
