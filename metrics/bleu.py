"""Corpus BLEU, 0..100, by the package sacrebleu: 13a tokens, exponential smoothing, cased."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from bench.types import Column
from metrics import reading
from metrics.pairs import pairs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ORDERS = 4
WHY = {
    reading.NONE: "hold no token, and match nothing",
    reading.RUNS: "are mostly in a script without spaces: its words are not told apart, and only whole runs can match",
}


@dataclass(frozen=True)
class Bleu:
    """Rows: {"bleu": ten counts}: matched and total n-grams of orders 1 to 4, then both lengths.

    The corpus value is computed from the summed counts, so that every subset of rows has its exact BLEU. An empty
    prediction matches nothing, but its reference still counts in the brevity penalty.
    """

    per_pair = True
    columns = (Column("bleu", "BL.", digits=2, higher_is_better=True),)

    def score(self, predictions: Sequence[str], references: Sequence[str]) -> list[dict[str, Any]]:
        from sacrebleu.metrics import BLEU

        # The counts are those of corpus BLEU; effective_order only silences a warning about single sentences.
        bleu = BLEU(tokenize="13a", effective_order=True)
        rows: list[dict[str, Any]] = []
        for text, reference in pairs(predictions, references):
            score = bleu.sentence_score(text, [reference])
            lengths = {text: score.sys_len, reference: score.ref_len}
            row = {"bleu": [*score.counts, *score.totals, score.sys_len, score.ref_len]}
            rows.append(reading.add(row, partial(_unread, lengths), text, reference))
        return rows

    def unread(self, row: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
        return reading.words(row, WHY)

    def aggregate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Raises ValueError without rows."""
        from sacrebleu.metrics import BLEU

        if not rows:
            raise ValueError("no rows to compute BLEU over")
        sums = [sum(counts) for counts in zip(*(row["bleu"] for row in rows), strict=True)]
        score = BLEU.compute_bleu(
            correct=sums[:ORDERS],
            total=sums[ORDERS : 2 * ORDERS],
            sys_len=sums[-2],
            ref_len=sums[-1],
            smooth_method="exp",
        )
        return {"bleu": float(score.score)}

    def statistics(self, row: Mapping[str, Any]) -> Sequence[float]:
        counts: Sequence[float] = row["bleu"]
        return counts

    def values(self, sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """BLEU of many corpora at once, from (..., 10) summed counts: `aggregate`, vectorised for resampling."""
        import numpy as np

        correct, total = sums[..., :ORDERS], sums[..., ORDERS : 2 * ORDERS]
        length, reference = sums[..., -2], sums[..., -1]
        unmatched = correct == 0
        if unmatched.any():
            # Smoothing "exp": the first order without a match counts as 1/2 match, the next as 1/4, and so on.
            correct = np.where(unmatched, 0.5 ** np.cumsum(unmatched, axis=-1), correct)
        with np.errstate(divide="ignore", invalid="ignore"):
            brevity = np.exp(np.minimum(0.0, 1.0 - reference / length))
            score = 100.0 * brevity * np.sqrt(np.sqrt((correct / total).prod(axis=-1)))
        return {"bleu": np.where(unmatched.all(axis=-1) | (total[..., -1] == 0), 0.0, score)}

    def versions(self) -> dict[str, str]:
        return {"sacrebleu": f"{version('sacrebleu')} tok:13a smooth:exp case:mixed"}


def _unread(lengths: Mapping[str, int], text: str) -> list[str]:
    """`lengths`: text -> its number of tokens. 13a drops its own mark "<skipped>", and splits at ASCII punctuation."""
    if not lengths[text]:
        return [reading.NONE]
    return [reading.RUNS] if reading.unspaced(text) else []
