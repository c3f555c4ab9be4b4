"""Notes below a table that name rows: settings that are not the profile's, training, what metrics could not read."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench import registry
from bench.errors import UserError
from bench.settings import of_row
from results.tables import run_settings
from results.tables.finished_runs import FinishedRun, Summary

Rows = Mapping[str, Sequence[FinishedRun]]  # label -> the runs of its seeds

SIDES = {"reference": "references", "prediction": "texts"}


def changed(rows: Rows) -> Iterator[str]:
    """One note of all settings that were given by hand, with the profile's own values."""
    runs = [run for seeds in rows.values() for run in seeds]
    of_table = {key: pair for run in runs for key, pair in run_settings.changed(run.summary).items()}
    parts = [_listed(of_table)] if of_table else []
    for said, labels in _by_text(rows, lambda run: _listed(_of_row(run))).items():
        parts.append(f"{', '.join(labels)}: {said}")
    if parts:
        name = runs[0].summary["profile"]["name"]
        yield f"Set by hand, the own value of profile {name} in brackets: {'; '.join(parts)}."


def _of_row(run: FinishedRun) -> dict[str, tuple[Any, Any]]:
    own = {key: value for key, value in run.summary["changed"].items() if of_row(key)}
    return {key: (run.facts.get(key), value) for key, value in own.items()}


def _listed(pairs: Mapping[str, tuple[Any, Any]]) -> str:
    return ", ".join(f"{key} {_text(now)} ({_text(own)})" for key, (now, own) in pairs.items())


def _text(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


def training(rows: Rows) -> Iterator[str]:
    """How trained methods were trained."""
    for said, labels in _by_text(rows, _trained).items():
        yield f"Trained, {', '.join(labels)}: {said}."


def _trained(run: FinishedRun) -> str:
    found = {key.partition(".")[2]: value for key, value in run.facts.items() if key.startswith("train.")}
    return ", ".join(f"{key.replace('_', ' ')} {_text(value)}" for key, value in found.items())


def _by_text(rows: Rows, say: Any) -> dict[str, list[str]]:
    """text -> the labels of the rows of which it is true, without the rows of which there is nothing to say."""
    found: dict[str, list[str]] = defaultdict(list)
    for label, seeds in rows.items():
        if text := say(seeds[0]):
            found[text].append(label)
    return found


def unread(rows: Rows) -> Iterator[str]:
    """What each metric could not read of the references, and of each row's texts."""
    first = next(iter(rows.values()))[0].summary
    for metric in first["metric_versions"]:
        said: dict[str, None] = {}
        for label, seeds in rows.items():
            for side in SIDES:
                said.update(dict.fromkeys(_unread([run.summary for run in seeds], metric, side, label)))
        if said:
            yield f"{_columns(first, metric)} cannot read everything: {'; '.join(said)}."


def _unread(seeds: Sequence[Summary], metric: str, side: str, label: str) -> Iterator[str]:
    """References are the same in every row and seed, and are said once."""
    of = [summary["unread"].get(metric, {}).get(side, {}) for summary in (seeds[:1] if side == "reference" else seeds)]
    n = sum(sum(summary["n"].values()) for summary in seeds[: len(of)])
    whose = "" if side == "reference" else f" of {label}"
    for why in dict.fromkeys(why for found in of for why in found):
        yield f"{sum(found.get(why, 0) for found in of)} of {n} {SIDES[side]}{whose} {why}"


def _columns(summary: Summary, metric: str) -> str:
    """The labels of the metric's columns in the table."""
    try:
        own = {column.key for column in registry.create("metric", metric).columns}
    except UserError:  # a plug-in that is not loaded
        return metric
    found = [column["label"] for column in summary["columns"] if column["key"] in own and column["digits"]]
    return ", ".join(found) or metric
