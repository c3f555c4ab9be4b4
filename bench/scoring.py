"""Rows of texts to rows of scores to the values of a table. Scoring never generates.

A sample that failed, or whose text is empty, scores 0 in every metric and stays in every denominator.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing import get_context
from typing import Any

from bench import registry
from bench.config import Profile
from bench.protocols import Metric

Rows = list[dict[str, Any]]

CHUNK = 64  # pairs that a process takes at once
SPREAD_FROM = 200  # samples

# A cell is scored when it is done, in a thread of its own, and the libraries of metrics may not be used by two
# threads at once: nltk's WordNet seeks and reads one open file, and so would read another word's line.
_ALONE = threading.Lock()


def create(
    profile: Profile, names: Sequence[str] | None = None, *, options: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Metric]:
    """name -> metric, with the profile's options, and `options` (metric -> option -> value) before these."""
    wanted = profile.metrics if names is None else names
    given = {name: {**profile.options.get(name, {}), **(options or {}).get(name, {})} for name in wanted}
    return {name: registry.create("metric", name, values) for name, values in given.items()}


def score(
    metrics: Mapping[str, Metric], samples: Rows, references: Mapping[str, str], *, processes: int | None = None
) -> Rows:
    """A row a sample: its id, category and user, and under each metric's name that metric's row.

    Metrics that take each pair by itself are spread over processes (None: as many as there are cores, where that
    pays); the others run here meanwhile. The rows are the same to the last bit, however many there are.
    """
    predictions = [row["text"] or "" for row in samples]
    targets = [references[row["sample_id"]] for row in samples]
    workers = _workers(len(samples)) if processes is None else processes
    apart = [name for name, metric in metrics.items() if workers > 1 and getattr(metric, "per_pair", False)]
    with _pool(workers if apart else 0) as pool:
        parts = {name: _submit(pool, metrics[name], predictions, targets) for name in apart if pool}
        with _ALONE:
            found = {name: m.score(predictions, targets) for name, m in metrics.items() if name not in parts}
        found |= {name: [row for part in futures for row in part.result()] for name, futures in parts.items()}
    rows: Rows = [{key: row[key] for key in ("sample_id", "category", "user_id")} for row in samples]
    for name in metrics:
        for row, scores in zip(rows, found[name], strict=True):
            row[name] = scores
    return rows


def _workers(samples: int) -> int:
    """A process takes a second to start: too long for a handful of samples."""
    return len(os.sched_getaffinity(0)) if samples >= SPREAD_FROM else 1


@contextmanager
def _pool(workers: int) -> Iterator[Executor | None]:
    """Spawned, not forked: this process may hold an engine's threads. Plug-ins from files are known there too."""
    if not workers:
        yield None
        return
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=registry.plug, initargs=(registry.plugged(),)
    ) as pool:
        yield pool


def _submit(
    pool: Executor, metric: Metric, predictions: Sequence[str], targets: Sequence[str]
) -> list[Future[list[dict[str, Any]]]]:
    starts = range(0, len(predictions), CHUNK)
    return [pool.submit(metric.score, predictions[i : i + CHUNK], targets[i : i + CHUNK]) for i in starts]


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
