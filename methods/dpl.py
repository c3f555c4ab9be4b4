"""DPL: profiles a user by how their reviews differ from other users' reviews of the same items (Qiu et al., 2025).

Three stages (paper, appendix B):
  difference  once for each retrieved review whose item has peers: the user's review against representative peers
  summary     the differences + past reviews -> a profile of the user
  review      PAG's last stage, with this profile

The prompts are in our words and ask for the aspects that DPL compares. Decisions that differ from the released code
(docs/methods/dpl.md has the full list):
- The paper's setting is the default: the run's retriever, DEP's embedder, one list of K reviews for all stages, and one
  peer is enough. `released` requires BM25 and at least 4 peers, and compares the K most recent items that have enough:
  the released code finds K such items by a second search.
- With few peers there are fewer clusters, and the prompt states how many peers it shows (the released code always
  says 4). An item is skipped where no peer differs from the user. With nothing to compare, PAG writes the sample.
- The paper's 2,048 tokens hold for the last prompt. The prompts before it have the budget of intermediate stages, so
  that the summary sees all differences and all past reviews; where they still do not fit, the lowest-ranked of both
  are dropped in turn. Nothing else shortens by default: `brief`, `difference_tokens`, `summary_tokens` and
  `descriptions` do.
- A held-out target is never a peer's text (the released code shows them), and `peers_before_target` drops newer ones.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from hashlib import sha256
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench.errors import UserError
from bench.protocols import Context
from bench.types import Prompt, Review, Sample
from methods.answers import strip_marker
from methods.blocks import (
    fields,
    given,
    item_block,
    item_fields,
    item_named,
    joined,
    named,
    own_fields,
    past_reviews_block,
    past_reviews_named,
)
from methods.pag import SUMMARIZE, Pag, at_least_one, history_key, review_with, without_target

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from threadpoolctl import ThreadpoolController

    from bench.protocols import Vectors

RELEASED_PEERS = 4

ASPECTS = (
    ", describe how the user's review differs from {them} in each of the following aspects{brief}:\n"
    "[Writing Style]: choice of words and structure of sentences.\n"
    "[Emotional Style]: tone, be it positive, negative or neutral.\n"
    "[Semantic Style]: density of information and coherence with the context."
)
BRIEF = ", in one or two sentences an aspect"
DIFFERENCES = (
    "the differences in writing style, emotional style and semantic style between the user's reviews and other users' "
    "reviews of the same items"
)


def difference_prompt(past: Sample, reviews: tuple[Review, ...], *, brief: bool = False) -> Prompt:
    """`reviews`: the user's review first, then the peers' reviews."""
    own, *peers = reviews
    others, them = (f"{len(peers)} other users' reviews", "them") if len(peers) > 1 else ("another user's review", "it")
    blocks = [item_block(own.item), _compared("User's Review", own)]
    blocks += [_compared(f"Other User {number}'s Review", peer) for number, peer in enumerate(peers, start=1)]
    each = f"(each with {', '.join(named(*map(own_fields, reviews)))})"
    shown = given(item_named(own.item), [f"the user's review and {others} of the same item {each}"])
    return Prompt(shown + ASPECTS.format(them=them, brief=BRIEF if brief else ""), joined(*blocks))


def _compared(head: str, review: Review) -> str:
    return joined(f"[{head}]:", *fields("- ", own_fields(review)))


def summary_prompt(differences: Sequence[Review], reviews: Sequence[Review]) -> Prompt:
    """`differences` holds each compared review with the difference as its text."""
    lines = ["[Differences from Other Users]:"]
    for number, difference in enumerate(differences, start=1):
        parts = *item_fields(difference.item), ("Difference", difference.text)
        lines += [f"- [Item {number}]:", *fields("  - ", parts)]
    shown = given(DIFFERENCES, [past_reviews_named(reviews)])
    return Prompt(shown + SUMMARIZE, joined(*lines, past_reviews_block(reviews)))


@dataclass(frozen=True)
class Dpl:
    """`released`: the released code's setting. `peers_before_target`: only peers' reviews older than the target.

    `min_peers`: an item with fewer peers is not compared. `clusters`: the user's cluster and one for each peer shown.
    `compare`: the items of the retrieved reviews, or the K most recent of the history, in both cases where enough peers
    are. The others shorten what intermediate stages write or read: `brief` asks for a sentence or two an aspect,
    `difference_tokens` and `summary_tokens` limit the answers (None: the profile's `max_new_tokens`), and without
    `descriptions` the summary names compared items by title.
    """

    label = "DPL"
    uses_retriever = True
    uses_embeddings = True

    released: bool = False
    peers_before_target: bool = False
    clusters: int = 5
    min_peers: int = 1
    compare: Literal["retrieved", "recent"] = "retrieved"
    brief: bool = False
    difference_tokens: int | None = None
    summary_tokens: int | None = None
    descriptions: bool = True

    def __post_init__(self) -> None:
        if self.clusters < 2:
            raise UserError(f"dpl.clusters={self.clusters}: at least 2, the user's and another; the usual value is 5")
        if self.min_peers < 1:
            raise UserError(f"dpl.min_peers={self.min_peers}: must be at least 1, the default")
        at_least_one("dpl.difference_tokens", self.difference_tokens)
        at_least_one("dpl.summary_tokens", self.summary_tokens)

    @property
    def retriever(self) -> str | None:
        """The retriever that these options imply, or None."""
        return "bm25" if self.released else None

    def texts(self, sample: Sample, ctx: Context) -> Iterable[str]:
        for review in self._compared(sample, ctx):
            yield review.text
            yield from (peer.text for peer in self._peers(review, sample, ctx))

    async def write(self, sample: Sample, ctx: Context) -> str:
        history, compared = ctx.retrieve(sample), self._compared(sample, ctx)
        answers = await asyncio.gather(*(self._difference(review, sample, ctx) for review in compared))
        differences = [replace(one, text=answer) for one, answer in zip(compared, answers, strict=True) if answer]
        if not differences:
            return await Pag(profile_tokens=self.summary_tokens).write(sample, ctx)
        prompt = self._summary(differences, history, sample, ctx)
        key = history_key(sample, history)
        profile = await ctx.generate(prompt, stage="summary", key=key, max_new_tokens=self.summary_tokens)
        return await review_with(strip_marker(profile, "Summary"), sample, ctx, history)

    def _compared(self, sample: Sample, ctx: Context) -> list[Review]:
        """The user's reviews to be compared: at most as many as were retrieved, each with enough peers."""
        retrieved = ctx.retrieve(sample)
        recent = self.released or self.compare == "recent"
        enough = (review for review in (sample.history if recent else retrieved) if self._peers(review, sample, ctx))
        return list(islice(enough, len(retrieved)))

    def _summary(self, differences: list[Review], history: tuple[Review, ...], sample: Sample, ctx: Context) -> Prompt:
        """By rank, a difference and a past review in turn: so the budget drops the lowest-ranked of both."""
        shown = differences if self.descriptions else [_bare(one) for one in differences]
        pairs = zip_longest(((True, one) for one in shown), ((False, one) for one in history))
        is_difference, ranked = zip(*(one for pair in pairs for one in pair if one), strict=True)

        def prompt(past: Sample, kept: tuple[Review, ...]) -> Prompt:
            told = list(zip(is_difference, kept, strict=False))
            return summary_prompt([one for is_, one in told if is_], [one for is_, one in told if not is_])

        return ctx.fit(prompt, without_target(sample), ranked, keep=2, intermediate=True)

    async def _difference(self, review: Review, sample: Sample, ctx: Context) -> str:
        """Empty where no peer differs. Independent of K and target: samples and cells share it."""
        peers = self._peers(review, sample, ctx)
        vectors = ctx.embed([review.text, *(peer.text for peer in peers)])
        chosen = [peers[i] for i in _remembered(vectors, self.clusters)]
        if not chosen:
            return ""
        reviews = (review, *map(_bare, chosen))
        build = partial(difference_prompt, brief=self.brief)
        prompt = ctx.fit(build, without_target(sample), reviews, keep=2, intermediate=True)
        key = json.dumps([one.review_id for one in reviews])
        return await ctx.generate(prompt, stage="difference", key=key, max_new_tokens=self.difference_tokens)

    def _peers(self, review: Review, sample: Sample, ctx: Context) -> tuple[Review, ...]:
        """Peers with a text, if there are enough of them and the user's review has a text too.

        With `peers_before_target`, a target without a timestamp has no peers, because no review is known to be older.
        """
        if not review.text.strip() or (self.peers_before_target and sample.timestamp is None):
            return ()
        before = sample.timestamp if self.peers_before_target else None
        peers = tuple(peer for peer in ctx.peers(review, before=before) if peer.text.strip())
        enough = max(self.min_peers, RELEASED_PEERS) if self.released else self.min_peers
        return peers if len(peers) >= enough else ()


def _bare(review: Review) -> Review:
    """Without the item's description: the prompt does not show it, so the budget has nothing to shorten there."""
    return replace(review, item=replace(review.item, description=""))


# Keyed by content, so that all cells of a grid (K = 1..8, seeds) cluster an item's vectors once. An entry takes a few
# hundred bytes.
_CHOSEN: dict[bytes, list[int]] = {}


def _remembered(vectors: Vectors, clusters: int) -> list[int]:
    """`representatives` of (own, *peers)."""
    digest = sha256(vectors.tobytes() + str((vectors.shape, clusters)).encode()).digest()
    if digest not in _CHOSEN:
        _CHOSEN[digest] = representatives(vectors[0], vectors[1:], clusters=clusters)
    return _CHOSEN[digest]


def representatives(own: Vectors, peers: Vectors, *, clusters: int = 5) -> list[int]:
    """Ascending indices into `peers` (J, d) of the peers that represent ways of writing unlike `own` (d,).

    k-means over own and peers with min(clusters, distinct vectors) clusters. Every cluster but own's gives the member
    nearest to its mean, the first of equally near ones (DPL's `get_others_by_kmeans`). Peers in own's cluster are never
    chosen, so there may be fewer than clusters - 1, and none if all peers write as the user does. Vectors that agree to
    six digits count as one: they are the same text, encoded in another batch.
    """
    if not len(peers):
        return []
    # The mean of two float32 values is exact in float64, so the members of a pair tie and no rounding decides.
    points = np.vstack((own, peers)).astype(np.float64)
    distinct = len(np.unique(points.round(6), axis=0))
    labels = _kmeans(points, min(clusters, distinct))
    chosen = []
    for label in set(labels.tolist()) - {int(labels[0])}:
        members = np.flatnonzero(labels == label)
        distances = np.linalg.norm(points[members] - points[members].mean(axis=0), axis=1)
        chosen.append(int(members[distances.argmin()]) - 1)
    return sorted(chosen)


def _kmeans(points: NDArray[np.float64], clusters: int) -> NDArray[np.int32]:
    """(n,) labels. One thread: with so few points, more threads wait for each other and for the engine's threads."""
    from sklearn.cluster import KMeans

    with _threads().limit(limits=1):
        labels: NDArray[np.int32] = KMeans(clusters, random_state=42, n_init=10).fit(points).labels_
    return labels


@cache
def _threads() -> ThreadpoolController:
    """Cached, because making one scans all loaded libraries."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
