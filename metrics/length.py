"""Length: how long the text is beside the user's real review. Most metrics of likeness move with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.types import Column
from metrics import reading
from metrics.pairs import means, pairs

VERSION = "1"
WHY = {reading.NONE: "hold no word, so that there is no ratio of lengths; they are left out of it"}


@dataclass(frozen=True)
class Length:
    """Rows: {"length": log(words of the text / words of the reference), "length_abs": its absolute value}.

    Words are those between blanks. None where a text or its reference has no word: log 0 is no number, and a value
    invented for it would decide the mean. The notes count such texts.
    """

    per_pair = True
    columns = (
        Column("length", "LEN.", digits=3),
        Column("length_abs", "|LEN.|", digits=3, higher_is_better=False, main=False),
    )

    def score(self, predictions: Sequence[str], references: Sequence[str]) -> list[dict[str, Any]]:
        return [_row(len(text.split()), len(reference.split())) for text, reference in pairs(predictions, references)]

    def unread(self, row: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
        return reading.words(row, WHY)

    def aggregate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Means over the rows that have a ratio; nothing where none has."""
        return means(rows, (column.key for column in self.columns))

    def versions(self) -> dict[str, str]:
        return {"length": VERSION}


def _row(words: int, real: int) -> dict[str, Any]:
    if words and real:
        ratio = math.log(words / real)
        return {"length": ratio, "length_abs": abs(ratio)}
    sides = {"reference": real, "prediction": words}
    return {
        "length": None,
        "length_abs": None,
        "unread": {side: [reading.NONE] for side, count in sides.items() if not count},
    }
