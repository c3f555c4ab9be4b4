"""Finished runs: where they are, which of them may share a table, and which of them form one row."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import registry, settings
from bench.errors import UserError, WrongContent
from bench.record import elsewhere, runs
from bench.record.runs import RunFolder
from results.tables import scored

if TYPE_CHECKING:
    from bench.score.score_arrays import ScoreArrays

Summary = dict[str, Any]

# What the runs of one table have in common; that their metrics agree comes on top (`results.tables.scored`).
COMPARABLE = (
    "data", "profile", "model", "engine", "generator", "dtype", "sampling", "input_budget", "stage_input_budget",
    "deterministic",
)  # fmt: skip
WEIGHTS = {"encoder": "retrieval_encoder.weights", "embedder": "embedder.weights"}


@dataclass(frozen=True)
class FinishedRun:
    """One finished run: its summary, and its scores, which are read at first use."""

    folder: RunFolder
    summary: Summary

    @cached_property
    def scores(self) -> ScoreArrays | None:
        """None without scores.jsonl. Raises UserError where its content is not what the summary and metrics expect."""
        from bench.score import score_arrays

        file, again = self.folder.path / runs.SCORES, f"`bench score {self.folder.path}` writes them again"
        try:
            found = score_arrays.load(self.folder)
        except UserError:
            raise
        except (KeyError, IndexError, TypeError, ValueError) as error:  # a metric met rows that it did not write
            what = f"{type(error).__name__}: {error}"
            raise WrongContent(f"{file} does not hold what its metrics write ({what}); {again}") from error
        n = sum(self.summary["n"].values())
        if found is not None and len(found.user) != n:
            raise UserError(f"{file} holds {len(found.user)} of {n} samples; {again}")
        return found

    @property
    def imported(self) -> bool:
        """Whether its texts were made elsewhere, so that nothing is known of how."""
        return self.summary.get("imported") is not None

    def required_scores(self, *, by: str = "") -> ScoreArrays:
        """`scores`; raises UserError without any. `by`: in words, what needs them."""
        if (found := self.scores) is None:
            what = f", which {by} need" if by else ""
            raise UserError(
                f"{self.folder.path} has no {runs.SCORES}{what}; `bench score {self.folder.path}` writes it"
            )
        return found

    @property
    def shared(self) -> str:
        """Runs with the same value may share a table, if their metrics agree."""
        of_table = {key: value for key, value in self.summary["settings"].items() if not settings.of_row(key)}
        return json.dumps([*(self.summary[key] for key in COMPARABLE), of_table], sort_keys=True)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The settings of the run's row: those of training and encoders, and the encoders' weights."""
        of_row = {key: value for key, value in self.summary["settings"].items() if settings.of_row(key)}
        return {**of_row, **{WEIGHTS[name]: value for name, value in self.summary["encoders"].items()}}

    @property
    def cell(self) -> tuple[Any, ...]:
        """Comparable runs with the same value form one row: everything but the seed. K is last."""
        facts = json.dumps(self.facts, sort_keys=True)
        method = self.summary["label" if self.imported else "method"]
        return (method, *(self.summary[key] for key in ("retriever", "variant")), facts, self.summary["k"])


def find_finished(places: Iterable[Path]) -> list[FinishedRun]:
    """All finished runs in these run or output folders. Raises UserError where there are none."""
    found: list[FinishedRun] = []
    unfinished = 0
    for place in places:
        folders = runs.find(place)
        if not folders:
            others = elsewhere.said(place)
            there = f", or name a folder that has some: {others}" if others else ""
            raise UserError(f"{place} holds no runs; run `bench run --out {place}` first{there}")
        found += [FinishedRun(folder, folder.summary()) for folder in folders if folder.done]
        unfinished += sum(not folder.done for folder in folders)
    if not found:
        raise UserError(f"none of the {unfinished} runs is finished; run the same `bench run` again to go on")
    return found


def comparable(found: Sequence[FinishedRun]) -> list[list[FinishedRun]]:
    """The groups that share a table, in the order in which they were first seen.

    An imported run stands last in every table of its data and samples whose metrics it agrees with, whatever the model
    and settings, as its own are not known; a note says so. Without such a table it has one of its own.
    """
    groups = _alike([run for run in found if not run.imported])
    alone: list[FinishedRun] = []
    for run in (run for run in found if run.imported):
        tables = [group for group in groups if _joins(run, group)]
        for group in tables:
            group.append(run)
        alone += [] if tables else [run]
    first = {id(run): place for place, run in reversed(list(enumerate(found)))}
    return sorted([*groups, *_alike(alone)], key=lambda group: first[id(group[0])])


def _alike(found: Sequence[FinishedRun]) -> list[list[FinishedRun]]:
    alike: dict[str, list[FinishedRun]] = defaultdict(list)
    for run in found:
        alike[run.shared].append(run)
    return [group for runs in alike.values() for group in scored.apart(runs)]


def _joins(run: FinishedRun, group: Sequence[FinishedRun]) -> bool:
    """Whether an imported run may stand in a table: same samples, metrics that agree with those of all its rows."""
    same = group[0].summary["data"] == run.summary["data"]
    return same and scored.fits(run.summary, [one.summary for one in group])


def newest(group: Sequence[FinishedRun]) -> list[FinishedRun]:
    """Of each cell the runs by its newest source code, and of each seed the newest of these.

    Nothing else can differ between runs of one cell and seed. Seeds that other code wrote are not averaged with them.
    """
    ordered = sorted(group, key=lambda run: (run.imported, str(run.summary["finished"])))
    code = {run.cell: run.summary["source"] for run in ordered}
    latest = {(*run.cell, run.summary["seed"]): run for run in ordered if run.summary["source"] == code[run.cell]}
    return list(latest.values())


def by_row(group: Sequence[FinishedRun]) -> list[list[FinishedRun]]:
    """The seeds of each row, in the paper's order of rows."""
    rows: dict[tuple[Any, ...], list[FinishedRun]] = defaultdict(list)
    for run in sorted(group, key=_order):
        rows[run.cell].append(run)
    return list(rows.values())


def _order(run: FinishedRun) -> tuple[Any, ...]:
    """The registry lists methods and retrievers in the paper's order; all others follow by name, imported ones last."""

    def place(kind: Any, name: str | None) -> tuple[int, str]:
        known = list(registry.BUILTIN[kind])
        return (known.index(name), "") if name in known else (len(known), name or "")

    summary = run.summary
    method, retriever = place("method", summary["method"]), place("retriever", summary["retriever"])
    facts = json.dumps(run.facts, sort_keys=True)
    of_method = (run.imported, method, summary["label"] if run.imported else "")
    return *of_method, retriever, summary["k"], summary["variant"], facts, summary["seed"]
