"""What metrics compare texts with: references, samples, or users with their peers and other users of the category."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from bench.data.corpus import Corpus
from bench.protocols import Metric
from bench.seeds import derive
from bench.types import Author, Review, Sample, Target, UserTarget

LOOKS = 1000  # users that are drawn for a sample, of which OTHERS are taken
OTHERS = 31  # users that a measure may tell the sample's own from: a fixed list, so that all runs meet the same ones


@dataclass
class Targets:
    """Of these samples, in this order. Nothing is made before a metric asks for it."""

    samples: Sequence[Sample] = ()
    corpus: Corpus | None = None
    _made: dict[tuple[str, ...], list[UserTarget]] = field(default_factory=dict, init=False)

    def of(self, metric: Metric, references: Sequence[str]) -> Sequence[Any]:
        """What this metric's `score` gets: `references`, `Target`s or `UserTarget`s."""
        if getattr(metric, "sees_users", False):
            return self.users(getattr(metric, "held_out", ()))
        return self._plain if getattr(metric, "sees_samples", False) else references

    def users(self, held_out: Collection[str] = ()) -> list[UserTarget]:
        """The users of the samples, with the validation and test targets that are named: "peers", "others"."""
        key = tuple(sorted(held_out))
        if key not in self._made:
            self._made[key] = list(self._of_users(key))
        return self._made[key]

    @cached_property
    def _plain(self) -> list[Target]:
        corpus = self._corpus
        return [Target(one, corpus.reference(one.sample_id), corpus.truth(one)) for one in self.samples]

    @property
    def _corpus(self) -> Corpus:
        if self.corpus is None:
            raise ValueError("a metric that sees samples needs `targets`")
        return self.corpus

    def _of_users(self, held_out: Collection[str]) -> Iterator[UserTarget]:
        corpus = self._corpus
        real = {one.sample_id: one for split in {one.split for one in self.samples} for one in corpus.samples(split)}
        users = _authors(corpus, {one.category for one in self.samples})
        others = _with_held_out(users, corpus) if "others" in held_out else users
        by_item = (
            _grouped(corpus.held_out(), lambda review: (review.category, review.item.item_id))
            if "peers" in held_out
            else {}
        )
        for plain in self._plain:
            sample = real[plain.sample.sample_id]
            yield UserTarget(
                sample=plain.sample,
                reference=plain.reference,
                truth=plain.truth,
                author=Author(sample.category, sample.user_id, sample.history),
                peers=_peers(sample, corpus, by_item),
                others=_others(sample, others[sample.category]),
                users=users[sample.category],
            )


Authors = dict[str, tuple[Author, ...]]  # category -> its users, by id


def _authors(corpus: Corpus, categories: Collection[str]) -> Authors:
    return {
        category: tuple(Author(category, user, corpus.reviews_of(category, user)) for user in corpus.users(category))
        for category in categories
    }


def _with_held_out(users: Authors, corpus: Corpus) -> Authors:
    held = _grouped(corpus.held_out(), lambda review: (review.category, review.user_id))
    return {
        category: tuple(replace(one, held_out=tuple(held.get((category, one.user_id), ()))) for one in found)
        for category, found in users.items()
    }


def _grouped(
    reviews: Iterable[Review], key: Callable[[Review], tuple[str, str]]
) -> dict[tuple[str, str], list[Review]]:
    found: defaultdict[tuple[str, str], list[Review]] = defaultdict(list)
    for review in reviews:
        found[key(review)].append(review)
    return found


def _peers(sample: Sample, corpus: Corpus, held_out: Mapping[tuple[str, str], Sequence[Review]]) -> tuple[Review, ...]:
    more = held_out.get((sample.category, sample.item.item_id), ())
    found = (*corpus.peers(sample), *(one for one in more if one.user_id != sample.user_id))
    return tuple(sorted(found, key=lambda review: (review.user_id, review.review_id)))


def _others(sample: Sample, everybody: Sequence[Author]) -> tuple[Author, ...]:
    """At most OTHERS users, those first who have as many reviews of other items as the sample's history has.

    A measure that compares histories of one length thus has as much of each.
    """
    rng = random.Random(derive(0, "others", sample.sample_id))
    enough: list[Author] = []
    fewer: list[Author] = []
    for one in rng.sample(everybody, min(len(everybody), LOOKS)):
        if one.user_id == sample.user_id:
            continue
        reviews = _elsewhere(one.reviews, sample)
        if reviews:
            found = Author(one.category, one.user_id, reviews, _elsewhere(one.held_out, sample))
            (enough if len(reviews) >= len(sample.history) else fewer).append(found)
        if len(enough) == OTHERS:
            break
    fewer.sort(key=lambda author: -len(author.reviews))
    return (*enough, *fewer)[:OTHERS]


def _elsewhere(reviews: tuple[Review, ...], sample: Sample) -> tuple[Review, ...]:
    """Without those of the sample's item; the same tuple where there is none."""
    kept = tuple(one for one in reviews if one.item.item_id != sample.item.item_id)
    return kept if len(kept) < len(reviews) else reviews
