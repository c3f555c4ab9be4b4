"""Contriever: the user's reviews whose meaning is nearest to the target's (Izacard et al. 2022)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.protocols import RetrievalContext
from bench.types import Review, Sample
from retrievers.fields import Fields, document, missing, query, remedy
from retrievers.recency import newest_first


@dataclass(frozen=True)
class Contriever:
    """Inner product of the retrieval encoder's vectors, with exact search in each history.

    The run's profile names the encoder; it is `facebook/contriever` in the paper's profiles.
    """

    uses_embeddings = True

    fields: Fields = "dpl"

    @property
    def remedy(self) -> Mapping[str, Any]:
        return remedy(self.fields)

    def uncompared(self, sample: Sample) -> str:
        """The vector of an empty text is near to nothing in particular."""
        return missing(sample, self.fields)

    def texts(self, samples: Sequence[Sample]) -> Iterable[str]:
        for sample in samples:
            if sample.history:
                yield query(sample, self.fields)
                yield from (document(review, self.fields) for review in sample.history)

    def rank(self, sample: Sample, k: int, ctx: RetrievalContext) -> tuple[Review, ...]:
        if k == 0 or not sample.history:
            return ()
        history = newest_first(sample.history)
        documents = [document(review, self.fields) for review in history]
        score = _inner_products(query(sample, self.fields), documents, ctx)
        order = sorted(range(len(history)), key=lambda i: -score[documents[i]])
        return tuple(history[i] for i in order[:k])


def _inner_products(text: str, documents: Sequence[str], ctx: RetrievalContext) -> dict[str, float]:
    """document -> inner product with the text.

    Each distinct document is searched once, so that equal documents tie however faiss's kernels round.
    """
    import faiss

    distinct = list(dict.fromkeys(documents))
    vectors = ctx.embed([text, *distinct])
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors[1:])
    products, rows = index.search(vectors[:1], len(distinct))
    return {distinct[row]: float(product) for row, product in zip(rows[0], products[0], strict=True)}
