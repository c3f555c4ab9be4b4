"""Keeps scores and summary on disk. The summary comes last, and an old summary never stands beside newer scores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from bench.config import fingerprint
from bench.errors import UserError, WrongContent
from bench.protocols import Metric
from bench.record import runs
from bench.record.runs import RunFolder
from bench.score import score_arrays
from bench.score.scoring import Known
from bench.score.written import Rows

EARLIER = ".summary.json.earlier"  # the old summary, while a run is scored again


def keep(folder: RunFolder, rows: Rows, scores: Rows, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Writes samples, scores, arrays and, last, the summary, which is returned with its digests.

    A run that is scored again keeps when, and how fast, it was finished.
    """
    earlier = _set_aside(folder)
    folder.write_rows(runs.SAMPLES, rows)
    folder.write_rows(runs.SCORES, scores)
    score_arrays.build(folder, scores)
    kept = dict(summary) | {key: earlier[key] for key in ("engine_use", "finished") if key in earlier}
    kept["files"] = digests(folder)
    kept["digest"] = digest(kept)
    folder.write(runs.SUMMARY, kept)
    (folder.path / EARLIER).unlink(missing_ok=True)
    return kept


def _set_aside(folder: RunFolder) -> dict[str, Any]:
    """Moves the old summary aside before new scores are written, and returns it; empty for a first scoring.

    So a kill leaves no mixture, and the next scoring finds the old summary again.
    """
    if folder.done:
        earlier = folder.read(runs.SUMMARY)
        (folder.path / runs.SUMMARY).replace(folder.path / EARLIER)
        return earlier
    return folder.read(EARLIER) if interrupted(folder) else {}


def interrupted(folder: RunFolder) -> bool:
    """Whether the run was finished, and is unfinished now only because scoring it again was cut off."""
    return not folder.done and (folder.path / EARLIER).is_file()


def with_those_before(
    folder: RunFolder, names: Iterable[str], options: Mapping[str, Mapping[str, Any]]
) -> tuple[list[str], dict[str, Mapping[str, Any]]]:
    """These metrics and options, added to those that the run has been scored with.

    A summary that cannot be read adds nothing: scoring again repairs it.
    """
    try:
        summary = folder.read(EARLIER) if interrupted(folder) else folder.summary() if folder.done else {}
    except WrongContent:
        summary = {}
    if not all(isinstance(summary.get(key, {}), dict) for key in ("metric_options", "metric_versions")):
        summary = {}  # of the old summary that a cut-off scoring put aside
    before = {name: values for name, values in summary.get("metric_options", {}).items() if name not in options}
    return list(dict.fromkeys([*summary.get("metric_versions", {}), *names])), {**before, **options}


def unchanged(folder: RunFolder, metrics: Mapping[str, Metric]) -> dict[str, Known]:
    """What a finished run was scored with, of the metrics whose versions are still the same."""
    versions = folder.summary()["metric_versions"] if folder.done else {}
    return _known(folder, [name for name, metric in metrics.items() if versions.get(name) == metric.versions()])


def kept(folder: RunFolder, names: Iterable[str]) -> dict[str, Known]:
    """What a finished run was scored with by these metrics, whatever their versions are today.

    Raises UserError where texts or scores are not those of that time.
    """
    files, now = folder.summary().get("files", {}), digests(folder)
    for name in (runs.SAMPLES, runs.SCORES):
        if files.get(name) != now.get(name):
            raise UserError(
                f"{folder.path / name} has changed since it was scored; `bench score {folder.path}` without --metric "
                "scores it by all its metrics"
            )
    return _known(folder, names)


def _known(folder: RunFolder, names: Iterable[str]) -> dict[str, Known]:
    wanted = list(names)
    rows = list(folder.rows(runs.SCORES)) if wanted else []
    versions = folder.summary()["metric_versions"] if wanted else {}
    return {name: Known([row[name] for row in rows], versions[name]) for name in wanted}


def digest(summary: Mapping[str, Any]) -> str:
    """sha256 of everything else in the summary."""
    return fingerprint({key: value for key, value in summary.items() if key != "digest"})


def digests(folder: RunFolder) -> dict[str, str]:
    """sha256 of the files behind a run's row in a table; of those that exist."""
    names = (runs.CONFIG, runs.PROVENANCE, runs.HISTORIES, runs.SAMPLES, runs.SCORES)
    files = {name: folder.path / name for name in names}
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items() if file.is_file()}
