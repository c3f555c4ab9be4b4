"""Pairs with known answers: this user's real review against a peer's real review of the same item.

They calibrate a judge: one that cannot tell whose text is whose here says nothing of texts that methods wrote.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from bench.data.corpus import Corpus
from bench.score.targets import Targets
from bench.seeds import derive
from bench.types import Review, Sample, Split, UserTarget
from metrics.nearest import apart, nearest

NEAR = 1.0  # of the ratings of the two reviews, where a peer is that near


@dataclass(frozen=True)
class Known:
    """`target.reference` is the user's own text, `peer` the other one. `near`: whether their ratings are."""

    target: UserTarget
    peer: Review
    near: bool


def known(corpus: Corpus, split: Split, *, n: int) -> list[Known]:
    """At most n pairs, one a user, from all categories in turn. A larger n holds the pairs of a smaller one.

    Held-out reviews of peers are among those that are drawn from. Left out are samples whose user has no past review,
    and those without a peer whose text is another one.
    """
    found: list[Known] = []
    samples = _one_a_user(corpus.samples(split))
    for target in _targets(samples, corpus, n):
        peer = _peer(target)
        if peer is not None:
            found.append(Known(target, peer, apart(target.sample, peer) <= NEAR))
        if len(found) == n:
            break
    return found


def _one_a_user(samples: Sequence[Sample]) -> list[Sample]:
    """One sample of each user with a history, in a seeded order, the categories in turn."""
    by_category: defaultdict[str, dict[str, Sample]] = defaultdict(dict)
    for sample in sorted(samples, key=lambda one: derive(0, "known", one.sample_id)):
        if sample.history:
            by_category[sample.category].setdefault(sample.user_id, sample)
    turns = zip_longest(*(by_category[name].values() for name in sorted(by_category)))
    return [sample for sample in chain.from_iterable(turns) if sample is not None]


def _targets(samples: Sequence[Sample], corpus: Corpus, n: int) -> Iterator[UserTarget]:
    """In parts: a target takes time, and most datasets have many more samples than are needed."""
    for start in range(0, len(samples), max(n, 1)):
        yield from Targets(samples[start : start + n], corpus).users(held_out=("peers",))


def _peer(target: UserTarget) -> Review | None:
    """A peer drawn among those whose rating is within `NEAR`, else among the nearest. None without any."""
    own = target.reference.strip()
    peers = nearest(target.sample, (one for one in target.peers if own and one.text.strip() != own), within=NEAR)
    return peers[0] if peers else None
