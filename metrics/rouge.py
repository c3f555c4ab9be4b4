"""ROUGE-1 and ROUGE-L f-measure by the package rouge-score: no stemmer, plain mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from bench.types import Column
from metrics import reading
from metrics.pairs import blank, mean, pairs

WHY = {
    reading.NONE: "hold no letter a-z and no digit, the only ones it reads, and score 0",
    reading.MOST: "have more than half of their letters outside a-z and 0-9, and these are dropped",
}


@dataclass(frozen=True)
class Rouge:
    """Rows: {"rouge1": f, "rougeL": f}, each 0..1.

    The package lower-cases a text and keeps only runs of a-z and 0-9, so that texts in other scripts score 0. Rows say
    of which texts it keeps nothing, or less than half of the letters.
    """

    per_pair = True
    columns = (
        Column("rouge1", "R-1", higher_is_better=True),
        Column("rougeL", "R-L", higher_is_better=True, main=False),
    )

    def score(self, predictions: Sequence[str], references: Sequence[str]) -> list[dict[str, Any]]:
        from rouge_score.rouge_scorer import RougeScorer

        keys = [column.key for column in self.columns]
        scorer = RougeScorer(keys, use_stemmer=False)
        rows: list[dict[str, Any]] = []
        for prediction, reference in pairs(predictions, references):
            row = dict.fromkeys(keys, 0.0)
            if not blank(prediction, reference):
                scores = scorer.score(target=reference, prediction=prediction)
                row = {key: float(scores[key].fmeasure) for key in keys}
            rows.append(reading.add(row, _unread, prediction, reference))
        return rows

    def unread(self, row: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
        return reading.words(row, WHY)

    def aggregate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return {column.key: mean(rows, column.key) for column in self.columns}

    def versions(self) -> dict[str, str]:
        return {"rouge-score": version("rouge-score")}


def _unread(text: str) -> list[str]:
    from rouge_score.tokenize import tokenize

    kept = sum(map(len, tokenize(text, None)))
    if not kept:
        return [reading.NONE]
    return [reading.MOST] if not text.isascii() and 2 * kept < reading.letters(text.lower()) else []
