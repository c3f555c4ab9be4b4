"""From texts to rows of scores to the values of a table. Scoring never generates.

A sample that failed, or whose text is empty, scores 0 in every metric and stays in every denominator. Where a plug-in's
metric fails on a pair, no score would be true: nothing is scored, and PluginError names the sample.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from typing import Any

from bench import plugins, registry
from bench.config import Profile
from bench.errors import BenchError, shown
from bench.protocols import Metric
from bench.record import runs
from bench.score import unread
from bench.score.targets import Targets

Rows = list[dict[str, Any]]

WHOSE = ("sample_id", "category", "user_id")  # at the beginning of a row
CHUNK = 64  # pairs that a process takes at once
SPREAD_FROM = 200  # samples

# Validations are scored in threads, and metric libraries must not be used by two threads at once: nltk's WordNet seeks
# and reads one open file, so one thread would read the line of another's word.
_ALONE = threading.Lock()


@dataclass(frozen=True)
class Known:
    """What a metric gave before: its rows, in the samples' order, and the versions that made them."""

    rows: Rows
    versions: dict[str, str]


def create(
    profile: Profile, names: Sequence[str] | None = None, *, options: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Metric]:
    """name -> metric, with the profile's options, and `options` (metric -> option -> value) before these."""
    wanted = profile.metrics if names is None else names
    given = {name: {**profile.options.get(name, {}), **(options or {}).get(name, {})} for name in wanted}
    return {name: registry.create("metric", name, values) for name, values in given.items()}


def evaluate(
    metrics: Mapping[str, Metric],
    texts: Sequence[str],
    references: Sequence[str],
    facts: Sequence[Mapping[str, Any]],
    *,
    known: Mapping[str, Known] | None = None,
    targets: Targets | None = None,
) -> tuple[Rows, dict[str, Any]]:
    """(a row a sample: its facts and, under each metric's name, that metric's row; what tables say of these rows).

    `facts` hold at least a sample's id, category and user. `known` metrics are not computed again.
    `targets`: what metrics that see samples or users get in place of the references. Raises PluginError where a
    plug-in's metric fails.
    """
    ids = [fact["sample_id"] for fact in facts]
    there = known or {}
    new = {name: metric for name, metric in metrics.items() if name not in there}
    found = {**{name: kept.rows for name, kept in there.items()}, **score(new, ids, texts, references, targets=targets)}
    rows: Rows = [
        {key: fact[key] for key in WHOSE}
        | {name: found[name][place] for name in metrics}
        | {key: value for key, value in fact.items() if key not in WHOSE}
        for place, fact in enumerate(facts)
    ]
    values = {
        "columns": [{"metric": name} | asdict(column) for name, metric in metrics.items() for column in metric.columns],
        "scores": aggregate(metrics, rows),
        "metric_versions": {
            name: there[name].versions if name in there else metric.versions() for name, metric in metrics.items()
        },
        "unread": unread.count(metrics, rows),
    }
    return rows, values


def score(
    metrics: Mapping[str, Metric],
    ids: Sequence[str],
    texts: Sequence[str],
    references: Sequence[str],
    *,
    processes: int | None = None,
    targets: Targets | None = None,
) -> dict[str, Rows]:
    """metric -> a row a text. `ids` name the samples in messages.

    Metrics that take each pair by itself are spread over processes (None: as many as there are cores, where that
    pays); the others run here meanwhile. The rows are the same to the last bit, however many there are.
    Raises PluginError where a plug-in's metric fails or gives what no table can hold.
    """
    for name, metric in metrics.items():
        if not plugins.is_ours("metric", name):
            check_versions(name, metric)
    seen = targets or Targets()
    compared = {name: seen.of(metric, references) for name, metric in metrics.items()}
    workers = _workers(len(texts)) if processes is None else processes
    apart = [name for name, metric in metrics.items() if workers > 1 and getattr(metric, "per_pair", False)]
    with _pool(workers if apart else 0) as pool:
        parts = {name: _submit(pool, metrics[name], texts, compared[name]) for name in apart if pool}
        jobs = {name: _Job(name, metric, ids, texts, compared[name]) for name, metric in metrics.items()}
        with _ALONE:
            found = {name: job.rows() for name, job in jobs.items() if name not in parts}
        return found | {name: jobs[name].gathered(futures) for name, futures in parts.items()}


def _workers(samples: int) -> int:
    """Starting a process takes a second, too long for a few samples."""
    return len(os.sched_getaffinity(0)) if samples >= SPREAD_FROM else 1


@contextmanager
def _pool(workers: int) -> Iterator[Executor | None]:
    """Spawned, not forked, as this process may hold an engine's threads. Loads the same plug-in files.

    After an error nothing more is begun.
    """
    if not workers:
        yield None
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin, initargs=(plugins.loaded(),)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin(files: Sequence[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the command's to answer
    plugins.load(files)


def _submit(
    pool: Executor, metric: Metric, predictions: Sequence[str], targets: Sequence[Any]
) -> list[Future[Rows | _Raised]]:
    starts = range(0, len(predictions), CHUNK)
    return [pool.submit(_apart, metric, predictions[i : i + CHUNK], targets[i : i + CHUNK]) for i in starts]


@dataclass(frozen=True)
class _Raised:
    """What a metric raised in another process, as text: a plug-in's own exception may not be picklable."""

    trace: str
    error: Exception | None = None  # one that does


def _apart(metric: Metric, predictions: Sequence[str], targets: Sequence[Any]) -> Rows | _Raised:
    try:
        return metric.score(predictions, targets)
    except BenchError as error:
        return _Raised("", error)
    except (Exception, SystemExit):
        return _Raised(traceback.format_exc())


@dataclass(frozen=True)
class _Job:
    """One metric on some pairs. Checks the rows of a plug-in, and names the sample where it fails."""

    name: str
    metric: Metric
    ids: Sequence[str]
    predictions: Sequence[str]
    targets: Sequence[Any]

    def part(self, start: int, end: int) -> _Job:
        return replace(
            self,
            ids=self.ids[start:end],
            predictions=self.predictions[start:end],
            targets=self.targets[start:end],
        )

    def rows(self) -> Rows:
        if plugins.is_ours("metric", self.name):
            return self.metric.score(self.predictions, self.targets)
        try:
            rows = self.metric.score(self.predictions, self.targets)
        except BenchError:
            raise
        except (Exception, SystemExit) as error:
            failure = self._culprit(error)
            raise failure from failure.__cause__
        self._check(rows)
        return rows

    def gathered(self, futures: Sequence[Future[Rows | _Raised]]) -> Rows:
        """Joins the rows that other processes made."""
        rows: Rows = []
        for start, future in zip(range(0, len(self.ids), CHUNK), futures, strict=True):
            part = self.part(start, start + CHUNK)
            try:
                made = future.result()
            except Exception as error:  # its process is gone, as this one would be; or its rows cannot travel
                failure = part._failed(error)
                raise failure from failure.__cause__
            if isinstance(made, _Raised):
                if made.error is not None:
                    raise made.error
                with _ALONE:
                    part.rows()  # raises it again, with all that belongs to it
                raise part._failed(RuntimeError(f"only in a process of its own: {made.trace}"))
            part._count(made)
            rows += made
        if not plugins.is_ours("metric", self.name):
            self._check(rows)
        return rows

    def _failed(self, error: BaseException) -> Exception:
        if plugins.is_ours("metric", self.name):
            return error if isinstance(error, Exception) else RuntimeError(str(error))
        more = f" and {len(self.ids) - 1} more at once" if len(self.ids) > 1 else ""
        return plugins.failed("metric", self.name, f"on sample {self.ids[0]}{more}", error)

    def _culprit(self, error: BaseException) -> Exception:
        """The failure with the sample that causes it, found by bisection; with all samples where none does alone."""
        half = len(self.ids) // 2
        for part in (self.part(0, half), self.part(half, len(self.ids))) if half else ():
            try:
                self.metric.score(part.predictions, part.targets)
            except BenchError as line:
                return line
            except (Exception, SystemExit) as again:
                return part._culprit(again)
        return self._failed(error)

    def _count(self, rows: Any) -> None:
        if not isinstance(rows, list | tuple) or len(rows) != len(self.ids):
            found = f"{len(rows)} rows" if isinstance(rows, list | tuple) else type(rows).__name__
            raise self._failed(TypeError(f"score() gave {found} for {len(self.ids)} pairs"))

    def _check(self, rows: Any) -> None:
        """Raises PluginError for rows that tables, intervals or files cannot hold."""
        self._count(rows)
        for place, row in enumerate(rows):
            try:
                self._check_row(row, rows[0])
            except (Exception, SystemExit) as error:
                failure = self.part(place, place + 1)._failed(error)
                raise failure from failure.__cause__

    def _check_row(self, row: Any, first: Any) -> None:
        if not isinstance(row, dict):
            raise TypeError(f"its row is {type(row).__name__}, not a dict")
        runs.dump(row)
        if hasattr(self.metric, "statistics"):
            numbers = list(self.metric.statistics(row))
            if len(numbers) != len(list(self.metric.statistics(first))):
                raise ValueError("statistics() gave another number of numbers than for the first sample")
            for number in numbers:
                _finite("statistics()", number)
            return
        for column in self.metric.columns:
            if (column.key in row) != (column.key in first):
                raise ValueError(f"only some rows have '{column.key}'; give None where there is no score")
            if row.get(column.key) is not None:
                _finite(f"'{column.key}' of its row", row[column.key])


def _finite(what: str, value: Any) -> None:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{what} is {shown(value)}, not a finite number")


def check_versions(name: str, metric: Metric) -> None:
    """Asks a metric for its versions. Raises UserError where data or a model is missing, PluginError for a plug-in."""
    with plugins.working("metric", name, "at versions()"):
        given: Any = metric.versions()
        if not isinstance(given, dict) or not all(isinstance(one, str) for pair in given.items() for one in pair):
            raise TypeError(f"it gave {shown(given)}, not a dict of texts")


def _values(name: str, metric: Metric, rows: Rows, category: str) -> dict[str, float]:
    """A metric's columns over the rows of a category."""
    with plugins.working("metric", name, f"at aggregate(), category {category}"):
        values: Any = metric.aggregate(rows)
        if plugins.is_ours("metric", name):
            return dict(values)
        if not isinstance(values, dict):
            raise TypeError(f"it gave {type(values).__name__}, not a dict")
        keys = [column.key for column in metric.columns]
        for key, value in values.items():
            if key not in keys:
                raise ValueError(f"it gave {shown(key)}, which is none of its columns: {', '.join(keys)}")
            _finite(f"'{key}'", value)
        for key in keys:  # a column is left out where no row has a score
            if key not in values and not all(key in row and row[key] is None for row in rows):
                raise ValueError(f"it gave no '{key}'")
        return values


def aggregate(metrics: Mapping[str, Metric], rows: Rows) -> dict[str, dict[str, float]]:
    """category -> column key -> value. Raises PluginError where a plug-in's metric fails or gives no numbers."""
    categories = list(dict.fromkeys(row["category"] for row in rows))
    return {
        category: {
            key: value
            for name, metric in metrics.items()
            for key, value in _values(
                name, metric, [row[name] for row in rows if row["category"] == category], category
            ).items()
        }
        for category in categories
    }
