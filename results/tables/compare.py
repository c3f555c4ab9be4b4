"""`bench compare A B`: paired by sample, clustered by user, corrected over all values that are compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UserError
from bench.types import Column
from results.statistics import inference, resampling
from results.statistics.resampling import Difference, Estimate, Estimates
from results.tables import grids, named_rows, notes, scored, significance, special_notes
from results.tables.finished_runs import Summary

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Line:
    """One value of A and of B. `p` is Holm-corrected."""

    category: str
    column: Column
    a: Estimate
    b: Estimate
    difference: Difference
    p: float

    @property
    def is_tested(self) -> bool:
        """Whether its column has a direction, so that A can be better or worse."""
        return self.column.higher_is_better is not None

    @property
    def significance(self) -> str:
        """The dagger: "†" where A is better, "‡" where A is worse, "" above the level and without a direction."""
        if not self.p <= inference.LEVEL:
            return ""
        return significance.BETTER if notes.better(self.column, self.difference.value) else significance.WORSE


@dataclass(frozen=True)
class Comparison:
    a: str
    b: str
    lines: tuple[Line, ...]
    users: int
    imported: tuple[str, ...] = ()  # notes on sides that were made elsewhere


def compare(
    a: str, b: str, out: Path, *, data: str = "", all_columns: bool = False, metrics: Sequence[str] = ()
) -> Comparison:
    """The columns that both have. `a`, `b` and `data` are as in `named_rows.pair`.

    Raises UserError for an unknown name, and for runs that do not pair up.
    """
    (name_a, runs_a), (name_b, runs_b) = named_rows.pair(a, b, out, data=data)
    common = shared(a, b, [run.summary for run in (*runs_a, *runs_b)])
    scores = [[run.required_scores() for run in side] for side in (runs_a, runs_b)]
    columns = scored.chosen(common, scored.named(metrics, common, who="only one or none of them"), every=all_columns)
    users = len(set(scores[0][0].user.tolist()))
    first = scores[0][0]
    groups = {name: first.category == place for place, name in enumerate(first.categories)}
    found = resampling.estimate(scores, groups, [column.key for column in columns])
    imported = special_notes.imported({name_a: runs_a, name_b: runs_b})
    return Comparison(name_a, name_b, tuple(corrected(lines(found, list(groups), columns))), users, tuple(imported))


def lines(found: Estimates, groups: Sequence[str], columns: Sequence[Column]) -> list[Line]:
    """Row 0 minus row 1 for each group and column that both have. The p-values are not corrected yet."""
    pairs = [
        (group, column, found[0, group, column.key], found[1, group, column.key])
        for group in groups
        for column in columns
        if (0, group, column.key) in found and (1, group, column.key) in found
    ]
    made = [(pair, resampling.difference(*pair[2:])) for pair in pairs]
    return [Line(*pair, difference, difference.p) for pair, difference in made]


def tested(found: Sequence[Line]) -> int:
    """How many lines are corrected over."""
    return sum(one.is_tested for one in found)


def corrected(found: Sequence[Line]) -> list[Line]:
    """The lines with Holm-corrected p-values, over those of columns with a direction; NaN for the others, which get no
    dagger: their p-value is in `difference`.
    """
    adjusted = inference.holm([one.p if one.is_tested else math.nan for one in found])
    return [replace(one, p=p) for one, p in zip(found, adjusted, strict=True)]


def shared(a: str, b: str, summaries: Sequence[Summary]) -> list[dict[str, Any]]:
    """The columns that both have. Raises UserError where they do not pair up; engine and model may differ."""
    first = summaries[0]
    if any(one["data"] != first["data"] for one in summaries):
        raise UserError("A and B differ in their data, so they do not pair up; run both on the same samples")
    if not scored.agree(summaries):
        raise UserError("A and B differ in the versions or options of a metric; `bench score` scores both the same way")
    if common := scored.shared(summaries):
        return common
    names = ",".join(dict.fromkeys(name for one in summaries for name in one["metric_versions"]))
    raise UserError(f"{a} and {b} have no metric in common; `bench score RUN --metric {names}` for both adds them")


def show(console: Console, comparison: Comparison) -> None:
    """Prints the comparison as a table."""
    from rich.markup import escape

    heads = ["Category", "Metric", "A", "B", "A - B", "95 % interval", "p", "p (Holm)", "", "n", "users"]
    grid = grids.grid(f"{comparison.a}  minus  {comparison.b}", 2, heads)
    for line in comparison.lines:
        grid.add_row(escape(line.category), escape(line.column.label), *numbers(line))
    grids.show(console, grid)
    console.print(
        f"Paired by sample. Intervals: bootstrap over users ({inference.DRAWS:,} draws). p: t-test over users, "
        f"Holm-corrected over the {tested(comparison.lines)} lines of columns with a direction. † A is better, ‡ A is "
        "worse, level 5 %.",
        style="dim",
        markup=False,
    )
    for note in (*_disagreement(comparison.lines), *comparison.imported):
        console.print(note, style="dim", markup=False)


def _disagreement(lines: Sequence[Line]) -> list[str]:
    """A note on lines whose interval leaves out 0 while they have no dagger, or the other way round."""
    directed = [line for line in lines if line.is_tested and math.isfinite(line.difference.low)]
    odd = [line for line in directed if bool(line.significance) == (line.difference.low <= 0 <= line.difference.high)]
    listed = ", ".join(f"{line.category} {line.column.label}" for line in odd)
    return [f"Daggers follow p (Holm) and not the interval, which is not corrected. They disagree in {listed}."] * bool(
        odd
    )


def numbers(line: Line) -> list[str]:
    digits, made = line.column.digits, line.difference
    ends = f"{made.low:+.{digits}f} to {made.high:+.{digits}f}" if math.isfinite(made.low) else "-"
    values = [f"{line.a.value:.{digits}f}", f"{line.b.value:.{digits}f}", f"{made.value:+.{digits}f}"]
    return [*values, ends, _p(made.p), _p(line.p), line.significance, str(line.a.n), str(line.a.users)]


def _p(value: float) -> str:
    if math.isnan(value):
        return "-"
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"
