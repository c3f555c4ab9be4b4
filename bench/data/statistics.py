"""Statistics of a dataset: the paper's table 4, and shares of samples with peers, newer peers and near-duplicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean, pstdev

from bench.data.corpus import Corpus
from bench.data.duplicates import near
from bench.data.link import SPLITS
from bench.types import Review, Sample


@dataclass(frozen=True, slots=True)
class Size:
    """A row of table 4: the number of samples, and two lengths as (mean, population standard deviation).

    `profile` is the number of reviews in the history, `output` the number of characters of the reference.
    """

    name: str
    samples: int
    profile: tuple[float, float]
    output: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Peers:
    """The peers in one category and split. Shares of the samples are 0..1.

    per_review      (mean, sd) of the number of peers of a review in a history
    none            share of samples whose history has no review with a peer
    some_without    share with a review in the history that has no peer
    newer           share with a peer that is not known to be older than the target
    in_history      share with a near-duplicate of the reference in the history
    in_peers        share with one among the peers' reviews of the history's items and the target's item
    """

    category: str
    split: str
    samples: int
    per_review: tuple[float, float]
    none: float
    some_without: float
    newer: float
    in_history: float
    in_peers: float


def sizes(corpus: Corpus) -> list[Size]:
    """The rows of table 4: the unified training set, the validation set, the test set of each category."""
    test = corpus.samples("test")
    return [
        _size("Training Dataset", corpus.training_samples(), corpus),
        _size("Validation Dataset", corpus.samples("val"), corpus),
        *(
            _size(f"Test Dataset: {name}", [sample for sample in test if sample.category == name], corpus)
            for name in corpus.categories
        ),
    ]


def peers(corpus: Corpus) -> list[Peers]:
    """A row per category and split that has samples."""
    samples = {split: corpus.samples(split) for split in SPLITS}
    everything = [sample for own in samples.values() for sample in own]
    found = {past.review_id: corpus.peers(past) for sample in everything for past in sample.history}
    newest = {review_id: max((_time(peer) for peer in own), default=None) for review_id, own in found.items()}
    similar = _similar(everything, corpus)
    return [
        _peers(category, split, own, _Facts(corpus, found, newest, similar))
        for category in corpus.categories
        for split in SPLITS
        if (own := [sample for sample in samples[split] if sample.category == category])
    ]


@dataclass(frozen=True, slots=True)
class _Facts:
    """Facts computed once for all samples, by review id; `similar` by the id of the target."""

    corpus: Corpus
    peers: Mapping[str, tuple[Review, ...]]
    newest: Mapping[str, float | None]
    similar: Mapping[str, set[str]]


def _size(name: str, samples: Sequence[Sample], corpus: Corpus) -> Size:
    lengths = [len(corpus.reference(sample.sample_id)) for sample in samples]
    return Size(name, len(samples), _spread([len(sample.history) for sample in samples]), _spread(lengths))


def _spread(values: Sequence[float]) -> tuple[float, float]:
    return (fmean(values), pstdev(values)) if values else (0.0, 0.0)


def _peers(category: str, split: str, samples: Sequence[Sample], facts: _Facts) -> Peers:
    histories = [[past.review_id for past in sample.history] for sample in samples]
    newest = [[facts.newest[review_id] for review_id in own] for own in histories]
    targets = [facts.corpus.target(sample.sample_id) for sample in samples]
    alike = [facts.similar.get(target.review_id, set()) for target in targets]
    return Peers(
        category,
        split,
        len(samples),
        _spread([len(facts.peers[review_id]) for own in histories for review_id in own]),
        none=fmean(all(time is None for time in own) for own in newest),
        some_without=fmean(None in own for own in newest),
        newer=fmean(
            any(time is not None and time >= (sample.timestamp or -inf) for time in own)
            for sample, own in zip(samples, newest, strict=True)
        ),
        in_history=fmean(not own.isdisjoint(history) for own, history in zip(alike, histories, strict=True)),
        in_peers=fmean(
            bool(own) and _is_among(own, target, history, facts)
            for own, target, history in zip(alike, targets, histories, strict=True)
        ),
    )


def _is_among(alike: set[str], target: Review, history: Sequence[str], facts: _Facts) -> bool:
    """Whether one of these reviews is a peer's, on an item of the history or on the target's item."""
    lists = [facts.corpus.peers(target), *(facts.peers[review_id] for review_id in history)]
    return any(peer.review_id in alike for own in lists for peer in own)


def _similar(samples: Sequence[Sample], corpus: Corpus) -> dict[str, set[str]]:
    """The target's review id -> ids of its near-duplicates."""
    targets = {review.review_id: review.text for review in (corpus.target(sample.sample_id) for sample in samples)}
    found: dict[str, set[str]] = {}
    for target, other in near(targets, ((review.review_id, review.text) for review in corpus.reviews())):
        found.setdefault(target, set()).add(other)
    return found


def _time(review: Review) -> float:
    return inf if review.timestamp is None else review.timestamp
