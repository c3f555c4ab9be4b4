"""Which row a name means: for `bench compare A B` and for `--baseline`."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import UserError
from results.tables.leaderboard import Row


def find(rows: Sequence[Row], name: str, *, where: str, cure: str, extra: Sequence[str] = ()) -> int | None:
    """The index of the one row that `name` means; None where none is meant.

    A method's name comes first, then a whole label, both also in another case, then the start of labels, then that of
    methods' names. Raises UserError that lists all rows where several are meant. `extra` goes with the rows in that
    list, `cure` is its end.
    """
    for places in _meant(rows, name):
        if len(places) == 1:
            return places[0]
        if places:
            listed = [f"'{rows[place].label}'{f' ({extra[place]})' if extra else ''}" for place in places]
            raise UserError(f"'{name}' matches {len(places)} rows of {where}: {', '.join(listed)}; {cure}")
    return None


def _meant(rows: Sequence[Row], name: str) -> list[list[int]]:
    """The rows of each kind of match, the kinds in their order."""
    start = name.casefold()
    return [
        [place for place, row in enumerate(rows) if row.method == name],
        [place for place, row in enumerate(rows) if row.label == name],
        [place for place, row in enumerate(rows) if row.method.casefold() == start],
        [place for place, row in enumerate(rows) if row.label.casefold() == start],
        [place for place, row in enumerate(rows) if row.label.casefold().startswith(start)],
        [place for place, row in enumerate(rows) if row.method.casefold().startswith(start)],
    ]
