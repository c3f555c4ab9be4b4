"""`bench metrics` on a terminal: correlations, swaps, orders, and below them what agreement does not show."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from results.statistics import inference
from results.tables import grids, notes, significance
from results.tables.agreement import Agreement, Matrix, Swap

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LIMITS = (
    "What agreement does not show: that a metric is right. Metrics that count the same words agree by how they are "
    "made, and metrics that all reward length or a register agree without knowing any user.",
    "Low agreement may be noise: two metrics of one text a user are correlated less than what they measure. Floors and "
    "ceilings among the rows raise agreement, as every metric tells them apart; name run folders to leave some out.",
)
SEES = (
    "A metric that reacts sees something of whose history was read; not that readers would, nor that it is the style "
    "and not the subject. One that does not react may be too noisy for these users (`bench power`)."
)


def show(console: Console, made: Agreement) -> None:
    """Prints the tables of one table of runs."""
    console.print(made.title, style="italic", markup=False)
    for part in (_correlations(made), _swaps(made), _orders(made)):
        for one in part:
            if isinstance(one, str):
                console.print(one, style="dim", markup=False)
            else:
                grids.show(console, one)
    for said in LIMITS:
        console.print(said, style="dim", markup=False)
    console.print()


def heads(made: Agreement) -> list[str]:
    """The columns' labels; the metric's name before it where two have the same one."""
    labels = [column.label for column in made.columns]
    return [
        f"{metric} {label}" if labels.count(label) > 1 else label
        for metric, label in zip(made.metrics, labels, strict=True)
    ]


def ordered_heads(made: Agreement) -> list[str]:
    """Those of the columns that order the rows."""
    every = heads(made)
    return [every[place] for place in made.ordered]


def _correlations(made: Agreement) -> Iterator[Any]:
    if len(made.columns) < 2:
        yield "One column alone has nothing to agree with; `--all` takes every column."
    else:
        title = "Correlation of differences: Pearson below, Spearman above"
        yield _square(heads(made), made.metrics, title, _half, made.pearson, made.spearman)
        yield (
            f"Differences of {made.of}, both ways round, of each of {made.users} users, all categories together; "
            "± half the 95 % interval, bootstrap over users. Columns where less is better are turned round."
        )
    if made.left_out:
        yield f"Left out: {', '.join(made.left_out)}; no two rows differ there."
    if made.lacking:
        yield f"{', '.join(made.lacking)}: only over the users that have a value in both rows."


def _square(
    names: Sequence[str],
    metrics: Sequence[str],
    title: str,
    say: Callable[[Matrix | None, int, int], str],
    below: Matrix,
    above: Matrix | None,
) -> Table:
    """A line and a column for each of these columns of the runs; lines of one metric stand together."""
    from rich.markup import escape

    grid = grids.grid(title, 2, ["Metric", "", *names])
    for line, name in enumerate(names):
        ends = line + 1 < len(names) and metrics[line + 1] != metrics[line]
        first = line == 0 or metrics[line - 1] != metrics[line]
        cells = [
            "1" if line == place else say(below if place < line else above, line, place) for place in range(len(names))
        ]
        grid.add_row(escape(metrics[line] if first else ""), escape(name), *cells, end_section=ends)
    return grid


def _half(matrix: Matrix | None, line: int, place: int) -> str:
    """'0.83 ±0.04'"""
    if matrix is None or math.isnan(value := matrix.values[line, place]):
        return "-"
    half = (matrix.ends[1] - matrix.ends[0])[line, place] / 2
    return f"{value:.2f} ±{half:.2f}" if math.isfinite(half) else f"{value:.2f}"


def _ends(matrix: Matrix | None, line: int, place: int) -> str:
    """'0.67 (0.33–1.00)'; the other half of a square is empty."""
    if matrix is None or math.isnan(value := matrix.values[line, place]):
        return "" if matrix is None else "-"
    low, high = matrix.ends[:, line, place]
    return f"{value:.2f} ({low:.2f}–{high:.2f})" if math.isfinite(high - low) else f"{value:.2f}"


def _swaps(made: Agreement) -> Iterator[Any]:
    from rich.markup import escape

    if made.alone:
        yield f"Without the same row with the user's own history: {', '.join(made.alone)}."
    if not made.swaps:
        yield (
            "No row has another user's history beside its own, so nothing says which metrics see the user; "
            f"`bench swap {made.example or 'RUN'}` makes one."
        )
        return
    for other in dict.fromkeys(one.other for one in made.swaps):
        mine = [one for one in made.swaps if one.other == other]
        title = f"Which metrics react to another user's history: {mine[0].row} less {other}"
        grid = grids.grid(
            title, 1, ["Metric", "own", "other's", "difference", "95 % interval", "in SE", "p (Holm)", ""]
        )
        for one in mine:
            grid.add_row(escape(one.column.label), *_numbers(one))
        yield grid
    yield (
        "The row with the user's own history minus the same with another user's, over all samples, paired by user. In "
        "SE: in standard errors of the difference, which compares metrics of different scales. Holm over these "
        f"{len(made.swaps)} lines; {significance.BETTER} better with one's own history, {significance.WORSE} worse, "
        f"level {100 * inference.LEVEL:.0f} %."
    )
    yield SEES


def _numbers(one: Swap) -> list[str]:
    digits, made = one.column.digits, one.difference
    ends = f"{made.low:+.{digits}f} to {made.high:+.{digits}f}" if math.isfinite(made.low) else "-"
    values = [f"{one.own.value:.{digits}f}", f"{one.swapped.value:.{digits}f}", f"{made.value:+.{digits}f}"]
    errors = "-" if math.isnan(one.errors) else f"{one.errors:+.1f}"
    p = "-" if math.isnan(one.p) else "<0.0001" if one.p < 0.0001 else f"{one.p:.4f}"
    return [*values, ends, errors, p, _dagger(one)]


def _dagger(one: Swap) -> str:
    if not one.p <= inference.LEVEL or one.column.higher_is_better is None:
        return ""
    return significance.BETTER if notes.better(one.column, one.difference.value) else significance.WORSE


def _orders(made: Agreement) -> Iterator[Any]:
    from rich.markup import escape

    names = ordered_heads(made)
    if others := [head for head in heads(made) if head not in names]:
        yield f"No order by {', '.join(others)}: no direction, so no row is best there."
    if not names:
        return
    grid = grids.grid("The order of methods by each metric", 1, ["Method", *names])
    for label, places in zip(made.rows, made.places.tolist(), strict=True):
        grid.add_row(escape(label), *("-" if math.isnan(place) else f"{place:.0f}" for place in places))
    yield grid
    yield (
        "1: best over all samples; rows that show the same digits share a place. Rows with another user's history are "
        "left out. A place says nothing of how certain it is: `bench table` has intervals and daggers."
    )
    if made.kendall is None:
        yield "Kendall's tau between these orders needs three rows."
    elif len(names) > 1:
        metrics = [made.metrics[place] for place in made.ordered]
        yield _square(names, metrics, "Agreement of the orders: Kendall's tau", _ends, made.kendall, None)
        pairs = len(made.rows) * (len(made.rows) - 1) // 2
        yield (
            f"tau-b: of the {pairs} pairs of {len(made.rows)} rows, the share that two columns order alike less the "
            "share that they order differently; in brackets the 95 % interval, bootstrap over users. Of a few rows it "
            "takes few values."
        )
