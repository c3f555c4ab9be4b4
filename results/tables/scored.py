"""Which metrics runs were scored with: runs of other metrics share a table, and a table has the columns of all.

Two runs disagree where they have a metric of other versions or options, or a column of one name by two metrics.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.errors import UserError, match, matches
from bench.types import Column

if TYPE_CHECKING:
    from pathlib import Path

    from results.tables.finished_runs import FinishedRun, Summary

Facts = dict[tuple[str, str], str]
KIND = "metric or column"


def apart(found: Sequence[FinishedRun]) -> list[list[FinishedRun]]:
    """The fewest groups within which no two runs disagree, as far as the runs' order shows them.

    Runs of many metrics come first: one of few then joins those with which it shares most.
    """
    groups: list[tuple[Facts, list[int]]] = []
    facts = [_facts(run.summary) for run in found]
    for place in sorted(range(len(found)), key=lambda place: -len(facts[place])):
        fitting = [group for group in groups if _agree(group[0], facts[place])]
        if not fitting:
            groups.append((dict(facts[place]), [place]))
            continue
        known, places = max(fitting, key=lambda group: len(group[0].keys() & facts[place].keys()))
        known.update(facts[place])
        places.append(place)
    return [[found[place] for place in sorted(places)] for _, places in sorted(groups, key=lambda one: min(one[1]))]


def agree(summaries: Sequence[Summary]) -> bool:
    """Whether no two of these runs disagree."""
    return all(_agree(*pair) for pair in combinations(map(_facts, summaries), 2))


def fits(summary: Summary, others: Sequence[Summary]) -> bool:
    """Whether this run disagrees with none of the others."""
    ours = _facts(summary)
    return all(_agree(_facts(other), ours) for other in others)


def _agree(one: Facts, other: Facts) -> bool:
    return all(one.get(key, value) == value for key, value in other.items())


def _facts(summary: Summary) -> Facts:
    settings = summary["metric_settings"]
    of_metrics = {
        ("metric", name): json.dumps([versions, settings.get(name)], sort_keys=True)
        for name, versions in summary["metric_versions"].items()
    }
    return of_metrics | {("column", column["key"]): column["metric"] for column in summary["columns"]}


def together(summaries: Sequence[Summary]) -> Summary:
    """The first of these summaries, with the columns, metrics and metric options of all. They agree.

    Of a column that a newer version of a plug-in names otherwise, the newest run's words count.
    """
    by_age = sorted(summaries, key=lambda summary: str(summary["finished"]))
    newest = {column["key"]: column for summary in by_age for column in summary["columns"]}
    by_size = sorted(summaries, key=lambda summary: -len(summary["columns"]))
    keys = dict.fromkeys(column["key"] for summary in by_size for column in summary["columns"])
    merged: dict[str, dict[str, Any]] = {
        name: {key: value for summary in by_size for key, value in summary[name].items()}
        for name in ("metric_versions", "metric_settings", "changed")
    }
    return {**summaries[0], **merged, "columns": [newest[key] for key in keys]}


def shared(summaries: Sequence[Summary]) -> list[dict[str, Any]]:
    """The columns that all of these runs have."""
    everywhere = set.intersection(*({column["key"] for column in summary["columns"]} for summary in summaries))
    return [column for column in together(summaries)["columns"] if column["key"] in everywhere]


# ---------------------------------------------------------------- which columns are shown


def of_runs(words: Sequence[str], found: Sequence[FinishedRun]) -> list[str]:
    """`named`, among the columns of these runs."""
    columns = [column for run in found for column in run.summary["columns"]]
    return named(words, columns, places=(run.folder.path.parent for run in found))


def named(
    words: Sequence[str], columns: Iterable[Mapping[str, Any]], *, places: Iterable[Path] = (), who: str = "no run here"
) -> list[str]:
    """Metrics and columns as `--metric` names them, in full. Raises UserError for an unknown or an unclear one,
    and for a metric that these columns lack: `who` was scored with it; `places` have the runs to score.

    A column goes by its key and by its label. The start of a metric's name means the metric, not one of its columns.
    """
    known = list(columns)
    metrics = [column["metric"] for column in known]
    keys = {label: column["key"] for column in known for label in (column["label"], column["key"])}
    found = [_one(word, metrics, keys, places, who) for word in words]
    return list(dict.fromkeys(one if one in metrics else keys[one] for one in found))


def _one(word: str, metrics: Sequence[str], keys: Mapping[str, str], places: Iterable[Path], who: str) -> str:
    if not matches(word, metrics, keys) and len(others := matches(word, registry.names("metric"))) == 1:
        runs = " ".join(dict.fromkeys(map(str, places))) or "RUN"
        raise UserError(
            f"{who} was scored with metric '{others[0]}'; `bench score {runs} --metric {others[0]}` adds it"
        )
    return match(KIND, word, metrics, keys)


def chosen(columns: Sequence[Mapping[str, Any]], names: Sequence[str], *, every: bool = False) -> tuple[Column, ...]:
    """The main columns, or `every` one; with `names`, those of these metrics, and these columns, in their order."""
    main = [column for column in columns if every or column["main"]]
    found = {
        column["key"]: column
        for name in names
        for column in [one for one in main if one["metric"] == name] or [one for one in columns if one["key"] == name]
    }
    return tuple(map(column_of, found.values() if names else main))


def column_of(about: Mapping[str, Any]) -> Column:
    return Column(**{key: value for key, value in about.items() if key != "metric"})
