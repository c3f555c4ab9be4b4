"""The texts of a table's anchors: real ones, which stand in the place of a method's.

peer        another user's review of the same item: what the item alone gives
copy        the user's own earlier review that is most like the query: what old words give
reference   the real review itself: the end of each scale
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from bench.data.corpus import Corpus
from bench.types import Review, Sample
from metrics.nearest import nearest
from retrievers.bm25 import Bm25
from retrievers.recency import newest_first

ABOUT = {
    "peer": "another user's real review of the same item, the nearest in rating, held-out ones too",
    "copy": "the user's own earlier review that BM25 ranks first (bm25.fields=full)",
    "reference": "the real review itself",
}
WITHOUT = {  # why a sample has no such text
    "peer": "no other user's review of the item",
    "copy": "no past review",
    "reference": "an empty real review",
}
Texts = list[str | None]  # None for a sample without one


def texts(samples: Sequence[Sample], corpus: Corpus) -> dict[str, Texts]:
    """anchor -> a text for each sample. The samples have their own histories; blank reviews count as none."""
    by_item: defaultdict[tuple[str, str], list[Review]] = defaultdict(list)
    for review in corpus.reviews():
        by_item[review.category, review.item.item_id].append(review)
    of: Mapping[str, Callable[[Sample], str | None]] = {
        "peer": lambda sample: _peer(sample, by_item[sample.category, sample.item.item_id]),
        "copy": _copy,
        "reference": lambda sample: _filled(corpus.reference(sample.sample_id)),
    }
    return {name: [of[name](sample) for sample in samples] for name in ABOUT}


def _filled(text: str) -> str | None:
    return text if text.strip() else None


def _peer(sample: Sample, reviews: Sequence[Review]) -> str | None:
    others = nearest(sample, reviews)
    return others[0].text if others else None


def _copy(sample: Sample) -> str | None:
    """Equal scores go to the newest, as in retriever bm25."""
    history = newest_first(tuple(review for review in sample.history if review.text.strip()))
    if not history:
        return None
    return history[int(Bm25(fields="full").scores(sample, history).round(9).argmax())].text
