"""DPL's filters over the reviews of one category (spec, Data), each a plain function on users' reviews.

`Reviews` maps a user to that user's reviews, newest first; every filter keeps that order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from bench.data.raw import RawReview, collapse
from bench.data.rules import Rules
from bench.types import Split

Reviews = dict[str, list[RawReview]]


@dataclass(frozen=True, slots=True)
class UserReviews:
    """A user of the finished dataset, newest first: `inputs` become samples, `profile` is history only."""

    inputs: list[RawReview]
    profile: list[RawReview]

    def splits(self) -> list[Split]:
        """The split of each input."""
        older: list[Split] = ["train"] * len(self.inputs)
        splits: list[Split] = ["test", "val", *older]
        return splits[: len(self.inputs)]


def lacks(review: RawReview, rules: Rules, *, timed: bool) -> str:
    """Why a review is left out, or ""; `timed` tells whether a timestamp is asked for."""
    if not review.text.strip() or len(review.text) < rules.min_chars:
        return f"with less than {max(rules.min_chars, 1)} characters"
    if review.rating is None:
        return "without a rating"
    if rules.require_review_title and not review.title.strip():
        return "without a title"
    return "without a timestamp" if timed and review.timestamp is None else ""


def by_user(reviews: Iterable[RawReview]) -> Reviews:
    """Users in the order of their ids, each one's reviews newest first."""
    grouped: defaultdict[str, list[RawReview]] = defaultdict(list)
    for review in reviews:
        grouped[review.user_id].append(review)
    return {user: sorted(grouped[user], key=lambda review: review.recency) for user in sorted(grouped)}


def unique(reviews: list[RawReview], *, by_text: bool) -> list[RawReview]:
    """Of one user's reviews the newest on each item and, with `by_text`, of each text."""
    items: set[str] = set()
    texts: set[str] = set()
    kept = []
    for review in reviews:
        text = collapse(review.text)
        if review.item_id not in items and not (by_text and text in texts):
            items.add(review.item_id)
            texts.add(text)
            kept.append(review)
    return kept


def core(reviews: Reviews, rules: Rules) -> Reviews:
    """Repeats until nothing changes: drop items of too few users and, at once, users of too few or too many reviews.

    Both are judged on the same counts, as DPL does. It matters for `max_user_reviews`: a user above it
    goes although the items that fall away in the same round might have brought the count below it.
    """
    while True:
        items = _common(reviews, rules.min_item_users)
        users = {u for u, own in reviews.items() if rules.min_user_reviews <= len(own) <= rules.max_user_reviews}
        smaller = _restrict({user: own for user, own in reviews.items() if user in users}, items)
        if _size(smaller) == _size(reviews):
            return smaller
        reviews = smaller


def divide(reviews: Reviews, rules: Rules) -> dict[str, UserReviews]:
    """Sets each user's newest reviews aside as inputs and filters what is left, the profile, to a fixed point.

    Items need `min_profile_item_users` users' profiles, users `min_profile_reviews` reviews in theirs. A
    user who falls short goes altogether.
    """
    n_inputs = rules.train_inputs + 2
    profiles = {user: own[n_inputs:] for user, own in reviews.items()}
    while True:
        smaller = _restrict(profiles, _common(profiles, rules.min_profile_item_users))
        smaller = {user: own for user, own in smaller.items() if len(own) >= rules.min_profile_reviews}
        if len(smaller) == len(profiles) and _size(smaller) == _size(profiles):
            return {user: UserReviews(reviews[user][:n_inputs], profile) for user, profile in smaller.items()}
        profiles = smaller


def _common(reviews: Mapping[str, list[RawReview]], n_users: int) -> set[str]:
    # One review per user and item is left, so counting reviews counts users.
    counts = Counter(review.item_id for own in reviews.values() for review in own)
    return {item for item, count in counts.items() if count >= n_users}


def _restrict(reviews: Reviews, items: Collection[str]) -> Reviews:
    return {user: [review for review in own if review.item_id in items] for user, own in reviews.items()}


def _size(reviews: Reviews) -> int:
    return sum(map(len, reviews.values()))
