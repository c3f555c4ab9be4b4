"""Other users' real reviews of an item in one order for all who need one: the nearest in rating first."""

from __future__ import annotations

from collections.abc import Iterable

from bench.seeds import derive
from bench.types import Review, Sample


def nearest(sample: Sample, reviews: Iterable[Review], *, within: float = 0.0) -> list[Review]:
    """Those of others with a text, by how far their rating is from the sample's; what is nearer than `within` is equal.

    Equally near ones stand in an order that the sample draws, so that no user is the peer of all.
    """
    others = [one for one in reviews if one.user_id != sample.user_id and one.text.strip()]
    return sorted(others, key=lambda one: (max(within, apart(sample, one)), _drawn(sample, one), one.review_id))


def apart(sample: Sample, review: Review) -> float:
    return abs(review.rating - sample.rating)


def _drawn(sample: Sample, review: Review) -> int:
    return derive(0, "peer", sample.sample_id, review.user_id)
