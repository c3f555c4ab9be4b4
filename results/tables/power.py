"""`bench power`: what the users of finished runs can show, and the users that a difference needs, for each column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from bench.errors import UserError
from bench.types import Column
from results.statistics import power, resampling
from results.statistics.inference import LEVEL
from results.statistics.resampling import Estimates
from results.tables import detectable, grids, scored_rows
from results.tables.detectable import Pair, Spread, two_digits
from results.tables.leaderboard import Cell
from results.tables.scored_rows import ScoredRows

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Wanted:
    """The difference that somebody wants to show: absolute, or a share of a column's value."""

    size: float
    relative: bool

    def of(self, value: float) -> float:
        return self.size * abs(value) if self.relative else self.size

    def __str__(self) -> str:
        return f"{100 * self.size:g} %" if self.relative else f"{self.size:g}"


@dataclass(frozen=True)
class Line:
    """One column in one category. `value`: what a relative difference is a share of."""

    category: str
    column: Column
    value: float
    spread: Spread
    tested: bool  # daggers test this column: it has a direction


@dataclass(frozen=True)
class Power:
    """One table's lines. `comparisons`: the tests that Holm's correction counts. `of`: in words, which pairs."""

    title: str
    lines: tuple[Line, ...]
    wanted: Wanted
    comparisons: int
    of: str
    value_of: str

    @property
    def holm(self) -> float:
        """The level of Holm's first step, which a difference passes whatever the others show."""
        return LEVEL / max(1, self.comparisons)


def wanted(difference: float | None, relative: str) -> Wanted:
    """`relative` as on the command line: '5%' or '0.05'. Raises UserError for both, and for what is no such number."""
    if difference is not None and relative:
        raise UserError("--difference and --relative both say which difference is wanted; give one")
    if difference is not None:
        if not 0 < difference < float("inf"):
            raise UserError(f"--difference {difference:g}: a number above 0 is expected, in a column's own units")
        return Wanted(difference, relative=False)
    read = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(%?)", relative or "5%")
    share = float(read[1]) / (100 if read[2] else 1) if read else 0.0
    if not share:
        raise UserError(f"--relative {relative}: a share above 0 is expected, such as 5% or 0.05")
    return Wanted(share, relative=True)


def measure(given: Sequence[ScoredRows], want: Wanted, *, baseline: str = "", pair: Sequence[str] = ()) -> list[Power]:
    """For each table that has these rows. Raises UserError where none has, and for a pair that is not two rows."""
    if pair and (baseline or len(pair) != 2):
        raise UserError("--method: two rows are expected, such as rag,dpl, and no --baseline beside them")
    named = [baseline] if baseline else list(pair)
    places = [[scored_rows.place(table, name) for name in named] for table in given]
    for position, name in enumerate(named):
        if all(found[position] is None for found in places):
            raise scored_rows.no_row("row", name, given)
    both = [(table, [one for one in found if one is not None]) for table, found in zip(given, places, strict=True)]
    made = [_of_table(table, want, found) for table, found in both if len(found) == len(named)]
    if not made:
        raise UserError(f"no table has both rows, {' and '.join(pair)}; `bench table` shows which runs share one")
    if not any(one.lines for one in made):
        raise UserError("no category has two users with these columns, and one user shows no spread; raise --limit")
    return [one for one in made if one.lines]


def _of_table(table: ScoredRows, want: Wanted, rows: Sequence[int]) -> Power:
    """`rows`: none for all pairs, a baseline, or a pair."""
    board = table.board
    if len(set(rows)) < len(rows):
        raise UserError(f"--method: both names mean the row {board.rows[rows[0]].label}; name two rows")
    pair: Pair | None = (rows[0], rows[1]) if len(rows) == 2 else None
    baseline = rows[0] if len(rows) == 1 else None
    found = resampling.estimate(table.scores, table.categories(), [column.key for column in board.columns])
    columns = {column.key: column for column in board.columns}
    spreads = detectable.spreads(found, board.cells(), baseline=baseline, pair=pair)
    labels = [row.label for row in board.rows]
    return Power(
        title=board.title,
        lines=tuple(
            Line(cell[0], columns[cell[1]], _value(found, cell, rows), spread, _tested(columns[cell[1]]))
            for cell, spread in spreads.items()
        ),
        wanted=want,
        comparisons=sum(_comparisons(found, cell, baseline, pair) for cell in spreads if _tested(columns[cell[1]])),
        of=_said(labels, baseline, pair),
        value_of="the median of the rows" if not rows else labels[rows[-1]],
    )


def _value(found: Estimates, cell: Cell, rows: Sequence[int]) -> float:
    """The baseline's, that of the pair's second row, or the median over all rows."""
    if rows:
        return found[rows[-1], *cell].value
    return median(one.value for (_, *of), one in found.items() if tuple(of) == cell)


def _tested(column: Column) -> bool:
    """Tables and comparisons correct over the columns that have a direction."""
    return column.higher_is_better is not None


def _comparisons(found: Estimates, cell: Cell, baseline: int | None, pair: Pair | None) -> int:
    """The tests of a table with this baseline, or with any; one for a pair, as `bench compare` has it."""
    return 1 if pair else sum(tuple(of) == cell for _, *of in found) - 1


def _said(labels: Sequence[str], baseline: int | None, pair: Pair | None) -> str:
    if pair:
        return f"{labels[pair[0]]} less {labels[pair[1]]}"
    if baseline is not None:
        return f"the {len(labels) - 1} other rows against {labels[baseline]}"
    return f"all pairs of the {len(labels)} rows"


# ---------------------------------------------------------------- shown


def show(console: Console, made: Power) -> None:
    """Prints the table and, below it, what it says and what it does not."""
    from rich.markup import escape

    several = any(len(line.spread.errors) > 1 for line in made.lines)
    heads = ["value", "smallest", "of value", *["by pair"] * several, "Holm"]
    console.print(made.title, style="italic", markup=False)
    for category in dict.fromkeys(line.category for line in made.lines):
        mine = [line for line in made.lines if line.category == category]
        title = f"{category}, {mine[0].spread.users} users"
        grid = grids.grid(title, 1, ["Metric", *heads, f"users for {made.wanted}", "Holm"])
        for line in mine:
            grid.add_row(escape(line.column.label), *_numbers(made, line, several=several))
        grids.show(console, grid)
    for note in notes(made):
        console.print(note, style="dim", markup=False)


def _numbers(made: Power, line: Line, *, several: bool) -> list[str]:
    spread, value = line.spread, f"{line.value:.{line.column.digits}f}"
    if not spread.errors:
        return [value, *["-"] * (5 + several)]
    smallest = spread.smallest()
    share = f"{100 * smallest / abs(line.value):.1f} %" if line.value else "-"
    by_pair = ["–".join(map(two_digits, spread.range()))] * several
    holm = two_digits(spread.smallest(made.holm)) if line.tested else "-"
    return [value, two_digits(smallest), share, *by_pair, holm, *_needed(made, line)]


def _needed(made: Power, line: Line) -> list[str]:
    """The users that the wanted difference needs, and those that it needs with Holm's correction."""
    difference = made.wanted.of(line.value)
    plain = line.spread.needed(difference)
    holm = line.spread.needed(difference, made.holm) if line.tested else None
    return ["-" if n is None else f"{n:,}" for n in (plain, holm)]


def notes(made: Power) -> list[str]:
    several = any(len(line.spread.errors) > 1 for line in made.lines)
    fewest = min(line.spread.users for line in made.lines)
    errors = power.in_errors(fewest)
    typical = f"median of the standard errors of {made.of}" if several else f"standard error of {made.of}"
    return [
        f"smallest: the true difference of two rows that comes out significant in {100 * power.POWER:.0f} % of "
        f"experiments with as many users: {errors:.2f} standard errors over {fewest} users ({typical}; paired t-test, "
        f"level {100 * LEVEL:.0f} %, two-sided, one comparison). Value: {made.value_of}.",
        f"Holm: the same where it is one of {made.comparisons} comparisons and the only difference among them (the "
        "first step of Holm's correction); the more of them differ, the less it takes.",
        f"users: for a true difference of {made.wanted}. Taken for granted: other users are independent, differ as "
        f"much as these and have as many samples each. {_known(fewest)}",
        *_equal(made),
        "This is what a test can show, not what is there: a difference that did not show may be as large as the "
        "smallest, or larger. It does not use the differences that were observed, and is no power at these.",
    ]


def _known(users: int) -> str:
    """How sure a standard error is: that of a variance of normal differences, twice."""
    half = 2 / (2 * (users - 1)) ** 0.5
    return f"The spread is estimated: from {users} users to about ±{100 * half:.0f} %, the users needed to twice that."


def _equal(made: Power) -> list[str]:
    """Pairs that were left out, as they have the same difference for every user."""
    found = {f"{line.category} {line.column.label}": line.spread.equal for line in made.lines if line.spread.equal}
    if not found:
        return []
    said = ", ".join(f"{name} {count}" for name, count in found.items())
    return [f"Left out, pairs of rows with the same difference for every user: {said}."]
