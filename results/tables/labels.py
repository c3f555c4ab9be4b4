"""The labels of a table's rows: what a row is and everything in which it differs from the other rows or its profile.

Two rows never have the same label.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bench.settings import of_row
from results.tables import run_settings
from results.tables.finished_runs import FinishedRun

Facts = Mapping[str, Any]


def lines(rows: Sequence[Sequence[FinishedRun]]) -> list[str]:
    """The label of each row without its K: rows with the same one differ in K alone."""
    return _numbered(_said_of(rows, show_k=False), [json.dumps(row[0].cell[:-1]) for row in rows])


def labels(rows: Sequence[Sequence[FinishedRun]]) -> list[str]:
    """The label of each row: method, retriever and K where they differ, options, settings."""
    summaries = [row[0].summary for row in rows]
    several = len({summary["k"] for summary in summaries if summary["retriever"]}) > 1
    return _numbered(_said_of(rows, show_k=several), [json.dumps(row[0].cell) for row in rows])


def own(run: FinishedRun) -> str:
    """The settings of a row that were given by hand, whatever else the table holds: 'train.lr=0.001'."""
    return ", ".join(_said(key, run.facts.get(key)) for key in _by_hand(run))


def _by_hand(run: FinishedRun) -> list[str]:
    return [key for key in run.summary["changed"] if of_row(key)]


def _said_of(rows: Sequence[Sequence[FinishedRun]], *, show_k: bool) -> list[str]:
    firsts = [row[0] for row in rows]
    retrievers = len({run.summary["retriever"] for run in firsts if run.summary["retriever"]}) > 1
    names = {(run.summary["label"], run.summary["method"]) for run in firsts}
    doubled = Counter(label for label, _ in names)
    shown = _varying(firsts)
    made = []
    for run in firsts:
        summary = run.summary
        parts = [summary["label"]]
        if doubled[summary["label"]] > 1:  # two methods that call themselves the same
            parts.append(summary["method"])
        if summary["retriever"]:
            parts += [summary["retriever"]] * retrievers + [f"K={summary['k']}"] * show_k
        varying = [key for key in shown[summary["method"]] if key in run.facts]
        keys = list(dict.fromkeys([*_by_hand(run), *varying]))
        parts += [summary["variant"], ", ".join(_said(key, run.facts.get(key)) for key in keys)]
        made.append(" · ".join(filter(None, parts)))
    return made


def _varying(runs: Sequence[FinishedRun]) -> dict[str, list[str]]:
    """method -> the facts in which its rows differ, whatever their K and retriever; weights only if no name does."""
    by_method: dict[str, list[FinishedRun]] = defaultdict(list)
    for run in runs:
        by_method[run.summary["method"]].append(run)
    return {method: _differing(same) for method, same in by_method.items()}


def _differing(runs: Sequence[FinishedRun]) -> list[str]:
    """An encoder is a fact of some retrievers and histories only: that others have none is no difference."""
    facts = [run.facts for run in runs]
    keys = dict.fromkeys(key for one in facts for key in one)
    with_key = {key: {_kind(run) for run in runs if key in run.facts} for key in keys}

    def differs(key: str) -> bool:
        alike = [run.facts for run in runs if _kind(run) in with_key[key]]
        return len({json.dumps(one.get(key)) for one in alike}) > 1

    differ = [key for key in keys if differs(key)]
    named = [key for key in differ if not key.endswith(".weights")]

    def told(key: str) -> bool:
        """Whether the names tell these weights apart already."""
        seen: dict[str, set[str]] = defaultdict(set)
        for one in facts:
            seen[json.dumps([one.get(name) for name in named])].add(json.dumps(one.get(key)))
        return all(len(values) == 1 for values in seen.values())

    return named + [key for key in differ if key.endswith(".weights") and not told(key)]


def _kind(run: FinishedRun) -> tuple[str | None, str]:
    """Labels name both wherever they differ."""
    return run.summary["retriever"], run.summary["variant"]


def _said(key: str, value: Any) -> str:
    text = value if isinstance(value, str) else "none" if value is None else json.dumps(value)
    return f"{key}={run_settings.short(text)}"


def _numbered(made: list[str], cells: Sequence[str]) -> list[str]:
    """What still has one label for two cells gets a number."""
    known: dict[str, list[str]] = defaultdict(list)
    for label, cell in zip(made, cells, strict=True):
        if cell not in known[label]:
            known[label].append(cell)
    taken = set(made)
    found = []
    for label, cell in zip(made, cells, strict=True):
        number = known[label].index(cell)
        while number and f"{label} ({number + 1})" in taken:
            number += len(made)
        found.append(f"{label} ({number + 1})" if number else label)
    return found
