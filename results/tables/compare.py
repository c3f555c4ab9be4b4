"""`bench compare A B`: paired by sample, clustered by user, corrected over everything that is compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UserError, unknown
from bench.record import runs
from bench.record.runs import RunFolder
from bench.types import Column
from results.statistics import resampling, statistics
from results.statistics.resampling import Difference, Estimate
from results.tables import finished, notes, settings, significance
from results.tables.finished import Finished
from results.tables.leaderboard import leaderboards

if TYPE_CHECKING:
    from rich.console import Console

# What two runs must share for their samples and scores to pair up; engine and model may differ.
PAIRED = ("data", "columns", "metric_versions")


@dataclass(frozen=True)
class Line:
    """One value of A and B. `p` is corrected; the mark is that of tables."""

    category: str
    column: Column
    a: Estimate
    b: Estimate
    difference: Difference
    p: float

    @property
    def mark(self) -> str:
        if not self.p <= statistics.LEVEL:
            return ""
        return significance.BETTER if notes.better(self.column, self.difference.value) else significance.WORSE


@dataclass(frozen=True)
class Comparison:
    a: str
    b: str
    lines: tuple[Line, ...]
    users: int


def compare(a: str, b: str, out: Path, *, all_columns: bool = False) -> Comparison:
    """Raises UserError for a name of no run, and for runs whose samples do not pair up."""
    (name_a, runs_a), (name_b, runs_b) = _runs(a, out), _runs(b, out)
    _check(runs_a, runs_b)
    scores = [[run.scores for run in side] for side in (runs_a, runs_b)]
    present = [[one for one in side if one is not None] for side in scores]
    if [len(side) for side in scores] != [len(side) for side in present]:
        raise UserError(f"{a} or {b} has no {runs.SCORES}; `bench score` writes it")
    columns = [Column(**column) for column in runs_a[0].summary["columns"] if all_columns or column["main"]]
    first = present[0][0]
    groups = {name: first.category == place for place, name in enumerate(first.categories)}
    found = resampling.estimate(present, groups, [column.key for column in columns])
    cells = [
        (category, column, found[0, category, column.key], found[1, category, column.key])
        for category in groups
        for column in columns
        if (0, category, column.key) in found and (1, category, column.key) in found
    ]
    differences = [resampling.difference(one, other) for _, _, one, other in cells]
    adjusted = statistics.holm([one.p for one in differences])
    lines = [Line(*cell, made, p) for cell, made, p in zip(cells, differences, adjusted, strict=True)]
    return Comparison(name_a, name_b, tuple(lines), users=len(set(first.user.tolist())))


def _runs(name: str, out: Path) -> tuple[str, list[Finished]]:
    """A run folder by path or by its name in `out`, else the row of this name among the runs of `out`."""
    for place in (Path(name), out / name):
        if (place / runs.CONFIG).is_file():
            folder = RunFolder(place)
            return place.name, [Finished(folder, folder.summary())]
    found = finished.finished([out])
    groups = finished.comparable(found)
    rows = [row for group in groups for row in finished.by_row(finished.newest(group))]
    labels = [
        replace(row, label=" · ".join([row.label, *apart]))
        for board, apart in zip(leaderboards(found, intervals=False), settings.telling(groups), strict=True)
        for row in board.rows
    ]
    places = [place for place, row in enumerate(labels) if significance.names(row, name)]
    if not places:
        raise unknown("run or row", name, {known for row in labels for known in (row.method, row.label)})
    exact = [place for place in places if labels[place].label == name]
    if len(exact or places) > 1:
        known = [f"'{labels[place].label}' ({rows[place][0].folder.path.name})" for place in exact or places]
        raise UserError(
            f"'{name}' is {len(known)} rows of {out}: {', '.join(known)}; name one by its whole label, or its folder"
        )
    at = (exact or places)[0]
    return labels[at].label, rows[at]


def _check(a: Sequence[Finished], b: Sequence[Finished]) -> None:
    for key in PAIRED:
        if a[0].summary[key] != b[0].summary[key]:
            raise UserError(f"A and B differ in their {key}, so they do not pair up; run or score them alike")


def show(console: Console, comparison: Comparison) -> None:
    """The comparison as a table."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    title = f"{comparison.a}  minus  {comparison.b}"
    grid = Table(title=escape(title), box=box.SIMPLE, title_justify="left", pad_edge=False, padding=(0, 1))
    grid.add_column("Category", no_wrap=True)
    for head in ("Metric", "A", "B", "A - B", "95 % interval", "p", "p (Holm)", "", "n", "users"):
        grid.add_column(head, justify="left" if head == "Metric" else "right", no_wrap=True)
    for line in comparison.lines:
        grid.add_row(escape(line.category), line.column.label, *_numbers(line))
    console.print(grid)
    console.print(
        f"Paired by sample; intervals by bootstrap over users ({statistics.DRAWS:,} draws), p by a t-test over users, "
        f"Holm-corrected over the {len(comparison.lines)} lines. † A is better, ‡ A is worse, at 5 %.",
        style="dim",
        markup=False,
    )


def _numbers(line: Line) -> list[str]:
    digits, made = line.column.digits, line.difference
    ends = f"{made.low:+.{digits}f} to {made.high:+.{digits}f}" if math.isfinite(made.low) else "-"
    values = [f"{line.a.value:.{digits}f}", f"{line.b.value:.{digits}f}", f"{made.value:+.{digits}f}"]
    return [*values, ends, _p(made.p), _p(line.p), line.mark, str(line.a.n), str(line.a.users)]


def _p(value: float) -> str:
    if math.isnan(value):
        return "-"
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"
