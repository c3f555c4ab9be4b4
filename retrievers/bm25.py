"""BM25: the user's reviews that share the most informative words with the target (Robertson and Zaragoza 2009)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import UserError
from bench.protocols import RetrievalContext
from bench.types import Review, Sample
from retrievers.fields import Fields, document, missing, query, remedy
from retrievers.recency import newest_first

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Bm25:
    """`rank_bm25.BM25Okapi` over this user's history, with white-space tokens.

    DPL's released code uses the same scores but prefers the last of equal ones. Here the newest comes first.
    """

    uses_embeddings = False

    fields: Fields = "dpl"
    lowercase: bool = False
    k1: float = 1.5
    b: float = 0.75
    epsilon: float = 0.25

    def __post_init__(self) -> None:
        if self.k1 <= 0:
            raise UserError(f"bm25.k1={self.k1}: must be positive; the usual value is 1.5")
        if not 0 <= self.b <= 1:
            raise UserError(f"bm25.b={self.b}: must lie in 0..1; the usual value is 0.75")

    @property
    def remedy(self) -> Mapping[str, Any]:
        return remedy(self.fields)

    def uncompared(self, sample: Sample) -> str:
        """Without a common word all reviews score 0, and the newest come first."""
        if why := missing(sample, self.fields):
            return why
        asked = set(self._tokens(query(sample, self.fields)))
        documents = (self._tokens(document(review, self.fields)) for review in sample.history)
        return "" if any(map(asked.intersection, documents)) else "the target shares no word with any past review"

    def texts(self, samples: Sequence[Sample]) -> Iterable[str]:
        return ()

    def rank(self, sample: Sample, k: int, ctx: RetrievalContext) -> tuple[Review, ...]:
        history = newest_first(sample.history)
        # A sum in another order differs in its last bits, which must not decide before recency does.
        scores = self.scores(sample, history).round(9)
        order = sorted(range(len(history)), key=lambda i: -scores[i])
        return tuple(history[i] for i in order[:k])

    def scores(self, sample: Sample, history: Sequence[Review]) -> NDArray[np.float64]:
        """(n,) scores of the reviews, in order. They may be negative, as Okapi's floor of an idf may be."""
        import numpy as np
        from rank_bm25 import BM25Okapi

        corpus = [self._tokens(document(review, self.fields)) for review in history]
        if not any(corpus):  # the library divides by the number of words
            return np.zeros(len(corpus))
        index = BM25Okapi(corpus, k1=self.k1, b=self.b, epsilon=self.epsilon)
        # A word that no review has adds 0 to every score, at the price of one that all have.
        asked = [word for word in self._tokens(query(sample, self.fields)) if word in index.idf]
        with np.errstate(invalid="ignore"):  # 0 / 0 where b = 1 and a review is empty
            scores: NDArray[np.float64] = np.nan_to_num(index.get_scores(asked))
        return scores

    def _tokens(self, text: str) -> list[str]:
        return (text.lower() if self.lowercase else text).split()
