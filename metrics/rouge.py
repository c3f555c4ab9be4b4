"""ROUGE-1 and ROUGE-L f-measure by the package rouge-score: no stemmer, plain mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from bench.types import Column
from metrics.pairs import blank, mean, pairs


@dataclass(frozen=True)
class Rouge:
    """Rows: {"rouge1": f, "rougeL": f}, each 0..1.

    The package lower-cases a text and keeps only runs of a-z and 0-9, so that texts in other scripts score 0.
    """

    per_pair = True
    columns = (Column("rouge1", "R-1"), Column("rougeL", "R-L", main=False))

    def score(self, predictions: Sequence[str], references: Sequence[str]) -> list[dict[str, Any]]:
        from rouge_score.rouge_scorer import RougeScorer

        keys = [column.key for column in self.columns]
        scorer = RougeScorer(keys, use_stemmer=False)
        rows: list[dict[str, Any]] = []
        for prediction, reference in pairs(predictions, references):
            if blank(prediction, reference):
                rows.append(dict.fromkeys(keys, 0.0))
            else:
                scores = scorer.score(target=reference, prediction=prediction)
                rows.append({key: float(scores[key].fmeasure) for key in keys})
        return rows

    def aggregate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return {column.key: mean(rows, column.key) for column in self.columns}

    def versions(self) -> dict[str, str]:
        return {"rouge-score": version("rouge-score")}
