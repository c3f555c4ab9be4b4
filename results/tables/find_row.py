"""Which row a name means: for `bench compare A B` and for `--baseline`."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import UserError
from results.tables.leaderboard import Row


def find(rows: Sequence[Row], name: str, *, where: str, cure: str) -> int | None:
    """The index of the one row that `name` means (`meant`); None where none is meant.

    Raises UserError that lists all rows where several are meant. `cure` is its end.
    """
    places = meant(rows, name)
    if len(places) > 1:
        listed = [f"'{rows[place].label}'" for place in places]
        raise UserError(f"'{name}' matches {len(places)} rows of {where}: {', '.join(listed)}; {cure}")
    return places[0] if places else None


def meant(rows: Sequence[Row], name: str) -> list[int]:
    """The indices of the rows that `name` may mean; [] for none.

    A method's name comes first, then a whole label, both also in another case, then the start of labels, then that of
    methods' names. The dots of a label may be left out. Of several rows, those with the users' own histories are meant.
    """
    start, label = name.casefold(), ascii_label(name).casefold()
    labels = [ascii_label(row.label).casefold() for row in rows]
    kinds = [
        [place for place, row in enumerate(rows) if row.method == name],
        [place for place, row in enumerate(rows) if row.label == name],
        [place for place, row in enumerate(rows) if row.method.casefold() == start],
        [place for place, one in enumerate(labels) if one == label],
        [place for place, one in enumerate(labels) if one.startswith(label)],
        [place for place, row in enumerate(rows) if row.method.casefold().startswith(start)],
    ]
    found: list[int] = next(filter(None, kinds), [])
    own = [place for place in found if not rows[place].variant.startswith("history=")]
    return own or found


def ascii_label(label: str) -> str:
    """'RAG · bm25' -> 'RAG bm25', which any keyboard has."""
    return " ".join(label.replace("·", " ").split())
