"""`bench table --normalized`: each value as its way from the floor to the ceiling, (m - floor) / (ceiling - floor).

The floor is Non-Perso, the ceiling the anchor `reference`. Only columns in which more is better.
"""

from __future__ import annotations

from dataclasses import replace

from results.statistics import shares
from results.statistics.resampling import Estimates
from results.tables import recovered
from results.tables.leaderboard import Leaderboard

FLOOR, CEILING = recovered.FLOOR, "reference"
DIGITS = 2
NOTE = (
    "Normalized: (value - Non-Perso's) / (the reference's - Non-Perso's): 0 is the floor, 1 the real review. Intervals "
    "are of this ratio, by the same draws of users; daggers are of the values themselves. It does not show how "
    "personal a text is: that the reference has the top of ROUGE, METEOR, BLEU or BERTScore is so by construction, and "
    "no writer reaches it, the same user on another day included. Row peer says what the item alone gives, row copy "
    "what the user's old words give. -: the reference is not certainly better than the floor, or lacks the value."
)
LEFT_OUT = "Left out of the normalized table: {labels} (not columns in which more is better)."
WITHOUT = "Not normalized: this table has no {lacking}, so that these are the values themselves."


def normalize(board: Leaderboard, found: Estimates) -> tuple[Leaderboard, Estimates]:
    """The board with shares as values, and their estimates; the board itself, with a note, where an end is missing.

    REC. is such a share already, and stays.
    """
    floor, ceiling = (recovered.only_row(board, method) for method in (FLOOR, CEILING))
    columns = [column for column in board.columns if column.higher_is_better]
    if floor is None or ceiling is None or not columns:
        ends = {
            "one row of Non-Perso": floor,
            "row reference": ceiling,
            "column in which more is better": columns or None,
        }
        lacking = " and no ".join(name for name, place in ends.items() if place is None)
        return replace(board, notes=(*board.notes, WITHOUT.format(lacking=lacking))), found
    own = recovered.COLUMN.key
    keys = [column.key for column in columns if column.key != own]
    made = shares.of_rows(found, keys, floor=floor, ceiling=ceiling)
    made |= {cell: one for cell, one in found.items() if cell[2] == own}
    left_out = [column.label for column in board.columns if not column.higher_is_better]
    rows = [
        replace(
            row,
            values={(label, key): one.value for (at, label, key), one in made.items() if at == place},
            by_seed={},
        )
        for place, row in enumerate(board.rows)
    ]
    said = [NOTE, *([LEFT_OUT.format(labels=", ".join(left_out))] if left_out else [])]
    return (
        replace(
            board,
            title=f"{board.title} · normalized",
            columns=tuple(replace(column, digits=DIGITS) for column in columns),
            rows=tuple(rows),
            notes=(*board.notes, *said),
        ),
        made,
    )
