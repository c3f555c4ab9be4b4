"""Users with reviews, as scorers and metrics see them, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from bench.types import Author, Item, Review, Sample, UserTarget


def review(user: str, number: int, text: str, *, item: str = "", rating: float = 4.0) -> Review:
    found = Item("c", item or f"of {user} {number}", "An item")
    return Review(f"{user}/{number}", user, found, rating, "t", text)


def author(user: str, *texts: str) -> Author:
    return Author("c", user, tuple(review(user, number, text) for number, text in enumerate(texts)))


def target(
    own: Author,
    reference: str,
    *,
    others: Sequence[Author] = (),
    peers: Sequence[Review] = (),
    item: str = "i",
    rating: float = 4.0,
) -> UserTarget:
    sample = Sample(f"s of {own.user_id}", "test", own.user_id, Item("c", item, "An item"), rating, "t")
    everybody = tuple(sorted((own, *others), key=lambda one: one.user_id))
    return UserTarget(
        sample=sample, reference=reference, author=own, peers=tuple(peers), others=tuple(others), users=everybody
    )
