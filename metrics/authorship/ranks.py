"""Where the true candidate stands among all, from scores. Ties share: equal scores are worth what a guess is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metrics.authorship.scorer import Array

MEASURES = ("auc", "top1", "mrr")
ZERO = dict.fromkeys(MEASURES, 0.0)


def measures(own: float, others: Array) -> dict[str, float]:
    """Of the true candidate's score and those of n - 1 others, at least one.

    auc: the share of others below the own, ties 1/2. top1: whether the own is the highest; 1 / t where t tie for it.
    mrr: 1 / rank, the mean over the ranks that tied candidates share.
    """
    above, tied = int((others > own).sum()), int((others == own).sum())
    below = len(others) - above - tied
    return {
        "auc": (below + tied / 2) / len(others),
        "top1": 0.0 if above else 1 / (tied + 1),
        "mrr": sum(1 / rank for rank in range(above + 1, above + tied + 2)) / (tied + 1),
    }
