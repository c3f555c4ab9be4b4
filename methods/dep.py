"""DEP: a user's reviews, and how they differ from other users' reviews of the same items, as soft prompts (the paper).

For each retrieved review, e_his is the vector of its text, and e_diff is the mean of e_his - e_peer over other users'
reviews of the same item (equations 2 to 4). A sparse autoencoder and two projectors (methods/dep_module.py) turn both
into soft prompt embeddings, which stand below the review's text in the prompt (figure 6). The language model is frozen.

Decisions where the paper is silent or the released code differs (docs/methods/dep.md has the full list):
- A block of the prompt holds the text and the embeddings of one and the same review. The released code fills them from
  two lists, the newest reviews and the newest reviews with peers, so that they may be about different items.
- A review without peers has e_diff = 0, and the sample's `notes.without_peers` lists it. `skip_without_peers` leaves
  such a review out of the prompt, as the released code leaves it out of the embeddings.
- All peers have the same weight (equation 4). `peer_weights=distance` is the released code: the softmax of the
  distances between users' mean vectors, scaled to sum to 1. Its user mean includes the training target; ours never.
- A peer's review without text is not compared. Held-out targets are never peers. `peers_before_target` leaves out
  newer reviews, and all reviews for a target without a timestamp.
- The four markers are drawn at random and are not trained, like the new tokens of the released code.
- Without any review the prompt is Non-Perso's. An ablation's system prompt names only the parts that its prompt has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bench.errors import UserError
from bench.protocols import Context, Space
from bench.types import Prompt, Review, Sample, Slot
from methods.blocks import item_block, joined, output_block, past_reviews_named, review_lines
from methods.nonperso import prompt as nonperso_prompt
from methods.rag import personalized

if TYPE_CHECKING:
    import torch

    from bench.protocols import Vectors

LABELS = {"his": "[Review Embedding]", "diff": "[Review Difference Embedding]"}
MEANINGS = {
    "his": "a soft prompt of the review text",
    "diff": "a soft prompt showing the difference between the review text and other reviews on the same item",
}


@dataclass(frozen=True)
class Dep:
    """`embeddings`, `text`, `refinement` and `guidance` (the note in the system prompt) are the paper's ablations.

    `latent`, `rho`, `recon_weight` (lambda) and `sparse_weight` (gamma) belong to the autoencoder; `decoder_gelu` is as
    in the released code. The module's docstring explains the others.
    """

    label = "DEP"
    uses_retriever = True
    uses_embeddings = True
    varies = False

    embeddings: Literal["his", "diff", "both"] = "both"
    text: bool = True
    refinement: Literal["none", "ae", "sae"] = "sae"
    guidance: bool = True
    latent: int = 512
    rho: float = 0.05
    recon_weight: float = 100.0
    sparse_weight: float = 1e-3
    decoder_gelu: bool = False
    peers_before_target: bool = False
    skip_without_peers: bool = False
    peer_weights: Literal["uniform", "distance"] = "uniform"

    def __post_init__(self) -> None:
        if self.latent < 1:
            raise UserError(f"dep.latent={self.latent}: at least 1; the paper's value is 512")
        if not 0 < self.rho < 1:
            raise UserError(f"dep.rho={self.rho}: between 0 and 1, both excluded; the paper's value is 0.05")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of embeddings in the prompt, in order."""
        return ("his", "diff") if self.embeddings == "both" else (self.embeddings,)

    @property
    def training(self) -> Mapping[str, Any]:
        return {}

    def module(self, space: Space) -> torch.nn.Module:
        from methods.dep_module import DepModule

        sparse = self.refinement == "sae"
        weights = {} if self.refinement == "none" else {"recon": self.recon_weight}
        return DepModule(
            space,
            kinds=self.kinds,
            latent=None if self.refinement == "none" else self.latent,
            rho=self.rho if sparse else None,
            decoder_gelu=self.decoder_gelu,
            loss_weights=weights | ({"sparse": self.recon_weight * self.sparse_weight} if sparse else {}),
        )

    async def write(self, sample: Sample, ctx: Context) -> str:
        return await ctx.generate(self.prompt(sample, ctx), stage="review")

    # ---------------------------------------------------------------- the prompt

    def prompt(self, sample: Sample, ctx: Context, *, variation: int = 0) -> Prompt:
        """Figure 6. Vectors are of whole texts, taken before the budget shortens the texts in the prompt."""
        history = ctx.retrieve(sample)
        peers = {review.review_id: self._peers(review, sample, ctx) for review in history}
        alone = [review_id for review_id, found in peers.items() if not found]
        if "diff" in self.kinds or self.skip_without_peers:
            ctx.note("without_peers", alone)
        if self.skip_without_peers:
            history = tuple(review for review in history if peers[review.review_id])
        vectors = {review.review_id: self._vectors(review, peers[review.review_id], sample, ctx) for review in history}

        def build(sample: Sample, reviews: tuple[Review, ...]) -> Prompt:
            return self._prompt(sample, reviews, vectors) if reviews else nonperso_prompt(sample)

        return ctx.fit(build, sample, history)

    def _prompt(
        self, sample: Sample, reviews: tuple[Review, ...], vectors: Mapping[str, Mapping[str, Vectors]]
    ) -> Prompt:
        """`vectors`: review id -> kind -> (d_e,)."""
        user: list[str | Slot] = [joined(item_block(sample.item), "[User's Past Reviews]:") + "\n"]
        for number, review in enumerate(reviews, start=1):
            user.append("\n".join([f"- [Review {number}]:", *review_lines(review, text=self.text)]) + "\n")
            for kind in self.kinds:
                vector = Slot(kind, (vectors[review.review_id][kind],))
                slots = (Slot(f"{kind}_start"), vector, Slot(f"{kind}_end"))
                user += [f"  - {LABELS[kind]}: ", *slots, "\n"]
        return Prompt(self._system(sample, reviews), (*user, output_block(sample)))

    def _system(self, sample: Sample, reviews: tuple[Review, ...]) -> str:
        shown = [LABELS[kind] for kind in self.kinds]
        embeddings = [label.strip("[]").lower() for label in shown]
        system = personalized(sample, past_reviews_named(reviews, text=self.text, more=embeddings))
        if not self.guidance:
            return system
        denoted = " and ".join(f"{LABELS[kind]} denotes {MEANINGS[kind]}" for kind in self.kinds)
        hints = "hints" if len(shown) > 1 else "a hint"
        used = f"{' and '.join(shown)} should serve as {hints} for personalized review text generation."
        return f"{system}\nNote: {denoted}. {used}"

    # ---------------------------------------------------------------- the vectors

    def texts(self, sample: Sample, ctx: Context) -> Iterable[str]:
        for review in ctx.retrieve(sample):
            yield review.text
            peers = self._peers(review, sample, ctx) if "diff" in self.kinds else ()
            yield from (peer.text for peer in peers)
            for user in (review, *peers) if self.peer_weights == "distance" and peers else ():
                yield from self._written_by(user, sample, ctx)

    def _peers(self, review: Review, sample: Sample, ctx: Context) -> tuple[Review, ...]:
        """Empty for a target without a timestamp where only older reviews count, because none is known to be older."""
        if self.peers_before_target and sample.timestamp is None:
            return ()
        return tuple(peer for peer in ctx.peers(review, before=self._before(sample)) if peer.text.strip())

    def _before(self, sample: Sample) -> int | None:
        return sample.timestamp if self.peers_before_target else None

    def _vectors(self, review: Review, peers: tuple[Review, ...], sample: Sample, ctx: Context) -> dict[str, Vectors]:
        """kind -> (d_e,)"""
        (his,) = ctx.embed([review.text])
        if "diff" not in self.kinds:
            return {"his": his}
        if not peers:
            return {"his": his, "diff": np.zeros_like(his)}
        others = ctx.embed([peer.text for peer in peers])
        return {"his": his, "diff": difference(his, others, self._weights(review, peers, sample, ctx))}

    def _weights(self, review: Review, peers: tuple[Review, ...], sample: Sample, ctx: Context) -> Vectors | None:
        if self.peer_weights == "uniform":
            return None
        mean, *means = (ctx.embed(self._written_by(user, sample, ctx)).mean(axis=0) for user in (review, *peers))
        return distance_weights(mean, np.stack(means))

    def _written_by(self, review: Review, sample: Sample, ctx: Context) -> list[str]:
        """All texts of this review's user; the history where that is the sample's own user."""
        found = ctx.reviews_of(review.category, review.user_id, before=self._before(sample))
        return [one.text for one in found if one.text.strip()] or [review.text]


def difference(own: Vectors, peers: Vectors, weights: Vectors | None = None) -> Vectors:
    """(d,), (m, d), (m,) -> (d,): the sum of w_j (own - peer_j), with w_j = 1/m by default (paper, equation 4)."""
    differences = own - peers
    total: Vectors = differences.mean(axis=0) if weights is None else weights @ differences
    return total


def distance_weights(mean: Vectors, means: Vectors) -> Vectors:
    """(d,), (m, d) -> (m,): the released code's softmax of p_j = |mean - mean_j| / sum_i |mean - mean_i|.

    Equal weights if all distances are 0. As p sums to 1, the farthest user weighs at most e times as much as the
    nearest.
    """
    distances = np.linalg.norm(mean - means, axis=1)
    shares = np.exp(distances / (distances.sum() or 1.0))
    weights: Vectors = shares / shares.sum()
    return weights
