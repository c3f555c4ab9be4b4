"""Distinct-n over users: how many different n-grams the texts of a category have, of all that they have.

One register for everybody repeats itself. After Li et al. 2016, "A Diversity-Promoting Objective Function for Neural
Conversation Models", section 5, who count over all texts of a system.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.types import Column
from metrics.pairs import pairs

VERSION = "1"
ORDERS = (1, 2, 3)
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Distinct:
    """Rows: {"words": the text's words in lower case}. Columns: different n-grams / n-grams, over all rows.

    The share falls with the number of texts and with their length. It is no sum over users, and a user whom a bootstrap
    draws twice would pass for repetition: so these columns have no interval, and no value in slices.
    """

    columns = tuple(Column(f"distinct{n}", f"D-{n}", digits=3) for n in ORDERS)

    def score(self, predictions: Sequence[str], references: Sequence[str]) -> list[dict[str, Any]]:
        return [{"words": " ".join(WORD.findall(text.lower()))} for text, _ in pairs(predictions, references)]

    def aggregate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """A column is left out where no text has an n-gram of its order."""
        texts = [row["words"].split() for row in rows]
        found: dict[str, float] = {}
        for column, n in zip(self.columns, ORDERS, strict=True):
            grams = [tuple(words[at : at + n]) for words in texts for at in range(len(words) - n + 1)]
            if grams:
                found[column.key] = len(set(grams)) / len(grams)
        return found

    def versions(self) -> dict[str, str]:
        return {"distinct": VERSION}
