"""Habits: which of the habits that a planted world gave the user show in the text. Only on worlds.

It measures whether what is known to be there was carried, and says nothing of real users. A reference shows about 85 %
of its user's habits, and fewer where items have fashions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import UserError
from bench.types import Column, Target
from metrics.detectors import HABITS, shows
from metrics.pairs import means

VERSION = "1"  # of the detectors
LABELS = dict(zip(HABITS, ("Length", "Punct.", "Opening", "Sign-off", "Catch."), strict=True))


@dataclass(frozen=True)
class Habits:
    """Rows: {"habits": the share of the user's habits that show, and 1 or 0 a habit; None: the user has none of it}."""

    sees_samples = True
    needs_truth = True
    columns = (
        Column("habits", "HAB.", higher_is_better=True),
        *(Column(f"habit_{name}", label, higher_is_better=True, main=False) for name, label in LABELS.items()),
    )

    def score(self, predictions: Sequence[str], targets: Sequence[Target]) -> list[dict[str, Any]]:
        """Raises UserError for real reviews, and ValueError for lists of different length."""
        return [self._row(text, target) for text, target in zip(predictions, targets, strict=True)]

    def _row(self, text: str, target: Target) -> dict[str, Any]:
        if (truth := target.truth) is None:
            raise UserError("metric 'habits' needs a planted world (`bench data world`); leave it out for other data")
        seen = {
            habit: None if value is None else float(bool(text.strip()) and shows(habit, value, text, truth.vocabulary))
            for habit, value in ((name, truth.habits[name]) for name in HABITS)
        }
        had = [one for one in seen.values() if one is not None]
        return {"habits": sum(had) / len(had), **{f"habit_{habit}": one for habit, one in seen.items()}}

    def aggregate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """The mean over the samples whose user has the habit; a column without any is left out."""
        return means(rows, (column.key for column in self.columns))

    def versions(self) -> dict[str, str]:
        return {"detectors": VERSION}
