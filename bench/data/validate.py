"""Finds what is wrong with a dataset: broken rows, repeated reviews, leaked targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.data.caveats import order
from bench.data.corpus import Corpus, load
from bench.data.leaks import SHORTEST, plain
from bench.data.time_column import SAME_TIME, TIES, Times
from bench.data.times import FIRST, LAST
from bench.errors import UserError
from bench.types import Review, Sample, Split

SPLITS: tuple[Split, ...] = ("train", "val", "test")
SHOWN = 5


@dataclass(slots=True)
class Finding:
    """One kind of problem: how often it was found, and the first few cases."""

    what: str
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        self.count += 1
        if len(self.examples) < SHOWN:
            self.examples.append(example)


def validate(name_or_dir: str) -> tuple[Corpus | None, list[Finding]]:
    """The dataset (None if it cannot be read) and the problems found. Raises UserError if there is no such dataset."""
    try:
        corpus = load(name_or_dir)
    except UserError as error:
        if str(error).startswith("no data "):
            raise
        return None, [Finding("the dataset cannot be read", 1, [str(error)])]
    findings = [*_duplicates(corpus), *_leaks(corpus), *units(corpus)]
    return corpus, [finding for finding in findings if finding.count]


def odd_ratings(corpus: Corpus) -> str:
    """A sentence on ratings outside 1 to 5, or "". Other scales are allowed. A category of zeros has no ratings."""
    odd: list[Review] = []
    for category in corpus.categories:
        reviews = [review for review in corpus.reviews() if review.category == category]
        if any(review.rating for review in reviews):
            odd += [review for review in reviews if not 1 <= review.rating <= 5]
    if not odd:
        return ""
    cases = ", ".join(f"{review.review_id}: {review.rating:g}" for review in odd[:SHOWN])
    return f"{len(odd)} ratings are outside 1 to 5, which prompts show as they are: {cases}"


def units(corpus: Corpus) -> list[Finding]:
    """Times are milliseconds. Others beside them put the newest reviews before the oldest."""
    found = Finding("a time is in another unit than milliseconds")
    for category in corpus.categories:
        reviews = [review for review in corpus.reviews() if review.category == category]
        if not Times.of(review.timestamp for review in reviews).only_order:
            for review in reviews:
                if review.timestamp is not None and not FIRST <= review.timestamp < LAST:
                    found.add(f"{review.review_id}: {review.timestamp}")
    return [found]


def times(corpus: Corpus) -> list[str]:
    """Sentences on times that are missing, equal, or no dates."""
    notes = []
    for category in corpus.categories:
        reviews = [review for review in corpus.reviews() if review.category == category]
        dated = [review for review in reviews if review.timestamp is not None]
        if missing := len(reviews) - len(dated):
            samples = sum(sample.category == category for split in SPLITS for sample in corpus.samples(split))
            notes.append(
                f"{category}: {missing} of {len(reviews)} reviews have no time: `recency` is {order(corpus, category)} "
                f"in up to {samples} samples"
            )
        users = Counter((review.user_id, review.timestamp) for review in dated)
        ties = sum(n for n in users.values() if n > 1)
        if dated and ties >= TIES * len(reviews):
            notes.append(f"{category}: {ties} of {len(reviews)} reviews {SAME_TIME}")
        found = Times.of(review.timestamp for review in dated)
        notes += [f"{category}: {note}" for note in found.odd("reviews") if found.only_order or found.future]
    return notes


def _duplicates(corpus: Corpus) -> list[Finding]:
    items = Finding("a user reviewed an item twice")
    texts = Finding("a user wrote a text twice")
    by_item: dict[tuple[str, str, str], Review] = {}
    by_text: dict[tuple[str, str, str], Review] = {}
    for review in corpus.reviews():
        user = (review.category, review.user_id)
        other = by_item.setdefault((*user, review.item.item_id), review)
        if other is not review:
            items.add(f"{review.review_id} and {other.review_id}")
        text = " ".join(review.text.split())  # as `bench data build --dedupe-text` compares them
        other = by_text.setdefault((*user, text), review)
        if other is not review and len(text) >= SHORTEST:
            texts.add(f"{review.review_id} and {other.review_id}: {review.text[:60]!r}")
    return [items, texts]


def _leaks(corpus: Corpus) -> list[Finding]:
    history = Finding("a target's text is in its own history")
    peers = Finding("a target's text is in a peer's review")
    texts = {review.review_id: plain(review.text) for review in corpus.reviews()}
    for split in ("train", "val", "test"):
        for sample in corpus.samples(split):
            target = texts[corpus.target(sample.sample_id).review_id]
            if len(target) < SHORTEST:
                continue
            for past in sample.history:
                if target in texts[past.review_id]:
                    history.add(f"{sample.sample_id}: in {past.review_id}: {target[:60]!r}")
            for peer in _peers(corpus, sample):
                if target in texts[peer.review_id]:
                    peers.add(f"{sample.sample_id}: in {peer.review_id}: {target[:60]!r}")
    return [history, peers]


def _peers(corpus: Corpus, sample: Sample) -> Iterable[Review]:
    """The peers' reviews that a method may use: of the history's items and of the target's item."""
    reviews = (corpus.target(sample.sample_id), *sample.history)
    return {peer.review_id: peer for review in reviews for peer in corpus.peers(review)}.values()
