"""PPlug: a user's whole history as one soft prompt embedding (Liu et al., 2025; paper, appendix B).

Two soft prompt embeddings, the instruction's and the user's (methods/pplug_module.py), open Non-Perso's user message.
The user's is made of the vectors of all their reviews, attended by the vector of the target's fields. The prompt holds
no review.

The default is the paper's setting: DEP's embedder, frozen, for reviews and query, and DEP's training. Decisions
(docs/methods/pplug.md has the full list):
- The query is the item's title, its description, the rating and the review title, one a line. A user without history
  has the instruction's embedding only. Of a longer history the newest `history_cap` reviews count.
- `original` trains as PPlug's own code does: its learning rate, weight decay, warm-up and 2 epochs; embeddings as long
  as the language model's (`match_embedding_norm`, measured, where that code has constants for one model); and its
  augmentation. There, a sample with more than two reviews has eleven copies, and each but one loses
  1 + int(n U(0, .5)) of its n reviews. Here a sample has no copies: each epoch draws anew and keeps the whole history
  with probability 1/11, so `--set train.epochs=22` gives the original's number of steps. The query encoder, which that
  code trains, stays frozen.
- `compat_unmasked_padding` is a diagnostic: the public inference code of DEP's authors takes the softmax over 512
  vectors, most of them padding. With it, histories are padded with zeros to the cap, and the zeros count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.errors import UserError
from bench.protocols import Context, Space
from bench.types import Prompt, Review, Sample, Slot
from methods.blocks import rating
from methods.nonperso import prompt as nonperso_prompt

if TYPE_CHECKING:
    import torch

    from bench.protocols import Vectors

ORIGINAL_TRAINING = {"lr": 1e-4, "weight_decay": 1e-4, "warmup": 0.05, "epochs": 2}
COPIES = 10  # the original adds this many copies of each sample


def query(sample: Sample) -> str:
    """The target's input fields that it has, without the text to be written."""
    known = sample.item.title, sample.item.description, rating(sample.rating), sample.title
    return "\n".join(text for text in known if text.strip())


@dataclass(frozen=True)
class PPlug:
    """The module's docstring explains `original`, `match_embedding_norm` and `compat_unmasked_padding`.

    `temperature` divides the attention scores. With `shared_projector` the instruction uses the reviews' projector.
    """

    label = "PPlug"
    uses_retriever = False
    uses_embeddings = True

    original: bool = False
    match_embedding_norm: bool = False
    temperature: float = 1.0
    history_cap: int = 512
    shared_projector: bool = False
    compat_unmasked_padding: bool = False

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise UserError(f"pplug.temperature={self.temperature}: above 0; the paper's value is 1")
        if self.history_cap < 1:
            raise UserError(f"pplug.history_cap={self.history_cap}: at least 1; the usual value is 512")

    @property
    def training(self) -> Mapping[str, Any]:
        return ORIGINAL_TRAINING if self.original else {}

    @property
    def varies(self) -> bool:
        return self.original

    def module(self, space: Space) -> torch.nn.Module:
        from methods.pplug_module import PPlugModule

        return PPlugModule(
            space,
            temperature=self.temperature,
            shared=self.shared_projector,
            match_norm=self.match_embedding_norm or self.original,
            padded_to=self.history_cap if self.compat_unmasked_padding else None,
        )

    def texts(self, sample: Sample, ctx: Context) -> Iterable[str]:
        if history := self._history(sample):
            yield query(sample)
            yield from (review.text for review in history)

    def prompt(self, sample: Sample, ctx: Context, *, variation: int = 0) -> Prompt:
        slots = (Slot("instruction"), *self._user(self._history(sample, variation), sample, ctx))

        def build(sample: Sample, reviews: tuple[Review, ...]) -> Prompt:
            plain = nonperso_prompt(sample)
            return Prompt(plain.system, (*slots, *plain.parts))

        return ctx.fit(build, sample)

    async def write(self, sample: Sample, ctx: Context) -> str:
        return await ctx.generate(self.prompt(sample, ctx), stage="review")

    def _history(self, sample: Sample, variation: int = 0) -> tuple[Review, ...]:
        """Newest first: the reviews that the augmentation keeps, cut to the cap."""
        kept = _some(sample.history, variation) if self.original and variation else sample.history
        return kept[: self.history_cap]

    def _user(self, history: tuple[Review, ...], sample: Sample, ctx: Context) -> tuple[Slot, ...]:
        if not history:
            return ()
        x, *h = ctx.embed([query(sample), *(review.text for review in history)])
        features: tuple[Vectors, Vectors] = (np.stack(h), x)
        return (Slot("user", features),)


def _some(history: tuple[Review, ...], seed: int) -> tuple[Review, ...]:
    """The whole history, or the history without 1 + int(n U(0, .5)) of its n reviews, in order."""
    generator = np.random.default_rng(seed)
    if len(history) <= 2 or generator.integers(COPIES + 1) == 0:
        return history
    dropped = 1 + int(len(history) * generator.uniform(0, 0.5))
    kept = sorted(generator.permutation(len(history))[dropped:])
    return tuple(history[place] for place in kept)
