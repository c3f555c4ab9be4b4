"""Finished runs to leaderboards in the paper's layout: rows are methods, column groups are categories.

Only runs that may be compared share a table: the same data, samples, model, engine, sampling and metrics.
Runs that differ in nothing but the seed are one row, the mean over seeds.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from bench import registry, runs
from bench.errors import UserError
from bench.types import Column, StageCost

Summary = dict[str, Any]
Cell = tuple[str, str]  # (category, column key)

# What runs of one table have in common.
COMPARABLE = (
    "data", "profile", "model", "engine", "generator", "dtype", "sampling", "input_budget", "deterministic", "columns",
    "metric_versions",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line: a method with its retriever and K, over `seeds`."""

    label: str
    method: str
    retriever: str | None
    k: int
    seeds: tuple[int, ...]
    n: int
    failed: int
    values: dict[Cell, float]
    cost: StageCost  # over all stages and seeds


@dataclass(frozen=True)
class Leaderboard:
    """A table with everything that it has to say of itself."""

    title: str
    categories: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    def cells(self) -> list[Cell]:
        """The value columns, left to right."""
        return [(category, column.key) for category in self.categories for column in self.columns]

    def rank(self, row: Row, cell: Cell) -> int:
        """1 for the best of a column, 2 for the second best, 0 for others, by the digits shown; ties share a rank.

        A column in which all rows are equal has no best.
        """
        column = next(column for column in self.columns if column.key == cell[1])
        shown = {id(other): round(other.values[cell], column.digits) for other in self.rows if cell in other.values}
        ranked = sorted(set(shown.values()), reverse=column.higher_is_better)
        if id(row) not in shown or len(ranked) < 2:
            return 0
        return ranked.index(shown[id(row)]) + 1 if shown[id(row)] in ranked[:2] else 0


def summaries(places: Iterable[Path]) -> list[Summary]:
    """Summaries of all finished runs in these run or output folders. Raises UserError where there are none."""
    found: list[Summary] = []
    unfinished = 0
    for place in places:
        folders = runs.find(place)
        if not folders:
            raise UserError(f"{place} holds no runs; run `bench run --out {place}` first")
        found += [folder.read(runs.SUMMARY) for folder in folders if folder.done]
        unfinished += sum(not folder.done for folder in folders)
    if not found:
        raise UserError(f"none of the {unfinished} runs is finished; run the same `bench run` again to go on")
    return found


def leaderboards(found: Sequence[Summary], *, all_columns: bool = False) -> list[Leaderboard]:
    """One table for each group of comparable runs, in the order in which the groups were first seen."""
    groups: dict[str, list[Summary]] = defaultdict(list)
    for summary in found:
        groups[json.dumps([summary[key] for key in COMPARABLE], sort_keys=True)].append(summary)
    return [_leaderboard(group, all_columns=all_columns) for group in groups.values()]


def _leaderboard(group: list[Summary], *, all_columns: bool) -> Leaderboard:
    newest = _newest(group)
    rows: dict[tuple[Any, ...], list[Summary]] = defaultdict(list)
    for summary in sorted(newest, key=_order):
        rows[_cell(summary)].append(summary)
    retrievers = {summary["retriever"] for summary in newest if summary["retriever"]}
    ks = {summary["k"] for summary in newest if summary["retriever"]}
    columns = tuple(Column(**column) for column in newest[0]["columns"] if all_columns or column["main"])
    table_rows = tuple(_row(same, show_retriever=len(retrievers) > 1, show_k=len(ks) > 1) for same in rows.values())
    first = newest[0]
    return Leaderboard(
        title=f"{first['data']['name']} · {first['model']}",
        categories=tuple(first["scores"]),
        columns=columns,
        rows=table_rows,
        notes=_notes(first, newest, older=len(group) - len(newest)),
    )


def _cell(summary: Summary) -> tuple[Any, ...]:
    """What makes a row of its own among comparable runs: all but the seed."""
    encoders = tuple(sorted(summary["encoders"].items()))
    return (*(summary[key] for key in ("method", "retriever", "k", "variant")), encoders)


def _newest(group: list[Summary]) -> list[Summary]:
    """Of runs that differ in nothing a table shows (made before and after a change of source), the newest."""
    latest: dict[tuple[Any, ...], Summary] = {}
    for summary in sorted(group, key=lambda summary: str(summary["finished"])):
        latest[(*_cell(summary), summary["seed"])] = summary
    return list(latest.values())


def _order(summary: Summary) -> tuple[Any, ...]:
    """The paper's order of methods and retrievers, that of the registry; others after them by name."""

    def place(kind: Any, name: str | None) -> tuple[int, str]:
        known = list(registry.BUILTIN[kind])
        return (known.index(name), "") if name in known else (len(known), name or "")

    method, retriever = place("method", summary["method"]), place("retriever", summary["retriever"])
    return method, retriever, summary["k"], summary["variant"], summary["seed"]


def _row(same: list[Summary], *, show_retriever: bool, show_k: bool) -> Row:
    first = same[0]
    parts = [first["label"]]
    if first["retriever"]:
        parts += [first["retriever"]] * show_retriever + [f"K={first['k']}"] * show_k
    if first["variant"]:
        parts.append(first["variant"])
    # A value that a seed lacks (no judge's answer could be read) is no mean over seeds: it is left out.
    cells = {
        (category, key)
        for category, values in first["scores"].items()
        for key in values
        if all(key in summary["scores"][category] for summary in same)
    }
    return Row(
        label=" · ".join(parts),
        method=first["method"],
        retriever=first["retriever"],
        k=first["k"],
        seeds=tuple(summary["seed"] for summary in same),
        n=sum(sum(summary["n"].values()) for summary in same),
        failed=sum(summary["failed"] for summary in same),
        values={(c, key): fmean(summary["scores"][c][key] for summary in same) for c, key in cells},
        cost=_cost(same),
    )


def _cost(same: list[Summary]) -> StageCost:
    total = StageCost()
    for summary in same:
        for cost in summary["stages"].values():
            total.add(StageCost(**cost))
    return total


def _notes(first: Summary, group: list[Summary], *, older: int) -> tuple[str, ...]:
    data, sampling = first["data"], first["sampling"]
    seeds = sorted({summary["seed"] for summary in group})
    failed, shortened = (sum(summary[key] for summary in group) for key in ("failed", "shortened"))
    counts = ", ".join(f"{category} {n}" for category, n in first["n"].items())
    versions = {name: version for found in first["metric_versions"].values() for name, version in found.items()}
    limit = f", limited to {data['limit']}" if data["limit"] else ""
    ks = sorted({summary["k"] for summary in group if summary["retriever"]})
    notes = [
        f"Data: {data['title']} ({data['split']} split{limit}): n = {counts}; {first['users']} users.",
        f"Model: {first['model']} ({first['dtype']}) on {first['engine']}, profile {first['profile']['name']}; "
        f"temperature {sampling['temperature']}, top-p {sampling['top_p']}, at most {sampling['max_new_tokens']} new "
        f"tokens, input budget {first['input_budget']}{', deterministic' if first['deterministic'] else ''}.",
        f"K = {', '.join(map(str, ks)) or 'none'}; seeds {', '.join(map(str, seeds))}"
        f"{' (mean)' if len(seeds) > 1 else ''}; failed samples: {failed} (they score 0); "
        f"samples whose prompt was shortened: {shortened}.",
        f"Metrics: {', '.join(f'{name} {version}' for name, version in versions.items())}.",
        "Best in bold, second underlined. No intervals yet: small differences may be noise.",
    ]
    if data["synthetic"]:
        notes.insert(
            0, "SYNTHETIC DATA: invented users with planted habits; these numbers say nothing about real ones."
        )
    if older:
        notes.append(f"{older} older runs of the same cells are left out.")
    return tuple(notes)
