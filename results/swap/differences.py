"""m(own history) - m(another user's), and how much of a gain over Non-Perso stays under another user's history.

Differences are paired by sample and clustered by user, as in `bench compare`; Holm's correction is over all lines.
What stays of a gain, (swapped - Non-Perso) / (own - Non-Perso), is learned register: nobody's history gives it. It is
computed only where the gain itself is certain (95 % interval), and its interval is of the ratio, by the same draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.errors import UserError
from bench.record import runs
from bench.types import Column, History
from results.statistics import resampling, shares
from results.statistics.resampling import Difference, Estimate, Estimates
from results.swap.sides import Pair
from results.tables import compare, notes, scored
from results.tables.compare import Line

ALL = "all categories"


@dataclass(frozen=True)
class Gain:
    """A row's gain over Non-Perso in one column. `survives`: the share of it that another user's history gives too.

    None where the gain is not certain: there is nothing to divide.
    """

    category: str
    column: Column
    own: Difference
    swapped: Difference
    survives: Estimate | None


@dataclass(frozen=True)
class Swap:
    """One row with one history: a line for each category and column, gains where there is a Non-Perso."""

    label: str
    history: History
    lines: tuple[Line, ...]
    gains: tuple[Gain, ...]
    seeds: tuple[int, ...]
    failed: tuple[int, int]  # samples of own and of swapped
    same: int  # samples whose text is the same with both histories
    texts: int
    synthetic: bool

    @property
    def whole(self) -> str:
        """The last group: all categories, or the only one."""
        return self.lines[-1].category if self.lines else ALL


def measured(found: Sequence[Pair], *, every: bool = False, metrics: Sequence[str] = ()) -> list[Swap]:
    """A swap for each pair. Raises UserError for runs that do not pair up."""
    swaps = [_measured(pair, every=every, metrics=metrics) for pair in found]
    lines = compare.corrected([line for one in swaps for line in one.lines])
    ends = np.cumsum([0, *(len(one.lines) for one in swaps)]).tolist()
    return [
        replace(one, lines=tuple(lines[start:end])) for one, start, end in zip(swaps, ends[:-1], ends[1:], strict=True)
    ]


def _measured(pair: Pair, *, every: bool, metrics: Sequence[str]) -> Swap:
    both = (*pair.own, *pair.swapped)
    shared = compare.shared(pair.label, f"its {pair.history} history", [run.summary for run in both])
    places = [run.folder.path.parent for run in both]
    names = scored.named(metrics, shared, places=places, who="not each of these runs")
    columns = scored.chosen(shared, names, every=every)
    floor = pair.floor if scored.agree([run.summary for run in (*both, *pair.floor)]) else ()
    scores = [[run.required_scores() for run in side] for side in (pair.own, pair.swapped, floor) if side]
    first = scores[0][0]
    if any(one.samples != first.samples for side in scores for one in side):
        raise UserError(f"{pair.label}: its runs are of other samples than those with {pair.history} histories")
    groups = {name: first.category == place for place, name in enumerate(first.categories)}
    if len(groups) > 1:
        groups[ALL] = np.ones_like(first.user, bool)
    estimates = resampling.estimate(scores, groups, [column.key for column in columns])
    lines = compare.lines(estimates, list(groups), columns)
    same, texts = _same_texts(pair)
    return Swap(
        label=pair.label,
        history=pair.history,
        lines=tuple(lines),
        gains=tuple(_gain(line, estimates) for line in lines if (2, line.category, line.column.key) in estimates),
        seeds=tuple(run.summary["seed"] for run in pair.own),
        failed=(sum(run.summary["failed"] for run in pair.own), sum(run.summary["failed"] for run in pair.swapped)),
        same=same,
        texts=texts,
        synthetic=any(run.summary["data"]["synthetic"] for run in both),
    )


def _gain(line: Line, found: Estimates) -> Gain:
    floor = found[2, line.category, line.column.key]
    own, swapped = (resampling.difference(one, floor) for one in (line.a, line.b))
    certain = own.low > 0 if notes.better(line.column, 1.0) else own.high < 0
    known = line.column.higher_is_better is not None and certain
    return Gain(line.category, line.column, own, swapped, shares.ratio(line.b, floor, line.a) if known else None)


def _same_texts(pair: Pair) -> tuple[int, int]:
    """(samples with the same text under both histories, samples), over all seeds."""
    same = total = 0
    for own, swapped in zip(pair.own, pair.swapped, strict=True):
        texts = {row["sample_id"]: row["text"] for row in own.folder.rows(runs.SAMPLES)}
        rows = list(swapped.folder.rows(runs.SAMPLES))
        same += sum(row["error"] is None and texts.get(row["sample_id"]) == row["text"] for row in rows)
        total += len(rows)
    return same, total
