"""Tables of finished runs with the scores of their rows, for commands that look at differences over users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import UserError, unknown
from results.tables import find_row, finished_runs, scored
from results.tables.assemble import leaderboards
from results.tables.finished_runs import FinishedRun
from results.tables.leaderboard import Leaderboard

if TYPE_CHECKING:
    from bench.score.score_arrays import ScoreArrays
    from results.statistics.resampling import Mask


@dataclass(frozen=True)
class ScoredRows:
    """One table and, for each of its rows, the runs of its seeds. All belong to the same samples."""

    board: Leaderboard
    runs: list[list[FinishedRun]]

    @property
    def scores(self) -> list[list[ScoreArrays]]:
        """Raises UserError for a run without any."""
        return [[run.required_scores() for run in row] for row in self.runs]

    def categories(self) -> dict[str, Mask]:
        first = self.scores[0][0]
        return {name: first.category == place for place, name in enumerate(first.categories)}


def tables(found: Sequence[FinishedRun], *, all_columns: bool = False, metrics: Sequence[str] = ()) -> list[ScoredRows]:
    """Every table that `bench table` shows of these runs, if it has two rows to compare.

    Raises UserError where none has, and for runs without scores or of different samples.
    """
    names = scored.of_runs(metrics, found)
    groups = [group for group in finished_runs.comparable(found) if _has(group, names, every=all_columns)]
    boards = leaderboards(
        [run for group in groups for run in group], all_columns=all_columns, metrics=names, intervals=False
    )
    rows = [finished_runs.by_row(finished_runs.newest(group)) for group in groups]
    made = [ScoredRows(*one) for one in zip(boards, rows, strict=True) if len(one[1]) > 1]
    if not made:
        raise UserError(
            "no two rows of these finished runs share a table, and what is compared are rows; "
            "`bench run --method nonperso,rag` makes two"
        )
    for table in made:
        _check(table)
    return made


def _check(table: ScoredRows) -> None:
    if len({one.samples for row in table.scores for one in row}) > 1:
        raise UserError(f"the runs of table {table.board.title} have different samples; name runs that share theirs")


def _has(group: Sequence[FinishedRun], names: Sequence[str], *, every: bool) -> bool:
    return bool(scored.chosen(scored.together([run.summary for run in group])["columns"], names, every=every))


def place(table: ScoredRows, name: str) -> int | None:
    """The index of the row that `name` means; None where the table has none."""
    return find_row.find(table.board.rows, name, where=f"table {table.board.title}", cure="give a whole label")


def no_row(kind: str, name: str, given: Sequence[ScoredRows]) -> UserError:
    return unknown(kind, name, {known for one in given for row in one.board.rows for known in (row.method, row.label)})
