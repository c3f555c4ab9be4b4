"""Soft prompts without a user: the controls of PPlug and DEP.

One trained soft prompt embedding, equal for all users, opens Non-Perso's or RAG's user message.
Trained methods have seen thousands of real reviews, which prompts alone have not. The gain of these controls over
Non-Perso and RAG is learned length and register. Only the gain of PPlug and DEP over these controls is personalization.
The paper has no such control.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.protocols import Context, Space
from bench.types import Prompt, Review, Sample, Slot
from methods.nonperso import prompt as nonperso_prompt
from methods.rag import Rag

if TYPE_CHECKING:
    import torch


def instructed(plain: Prompt) -> Prompt:
    """The prompt with PPlug's instruction slot, equal for all users, before the user message."""
    return Prompt(plain.system, (Slot("instruction"), *plain.parts))


def instruction_module(space: Space) -> torch.nn.Module:
    from methods.pplug_module import InstructionModule

    return InstructionModule(space)


@dataclass(frozen=True)
class Soft:
    """Non-Perso's prompt behind one soft prompt embedding, equal for all users: a control of PPlug and DEP."""

    label = "Soft prompt"
    uses_retriever = False
    uses_embeddings = False
    varies = False

    @property
    def training(self) -> Mapping[str, Any]:
        return {}

    def module(self, space: Space) -> torch.nn.Module:
        return instruction_module(space)

    def texts(self, sample: Sample, ctx: Context) -> Iterable[str]:
        return ()

    def prompt(self, sample: Sample, ctx: Context, *, variation: int = 0) -> Prompt:
        return ctx.fit(lambda sample, reviews: instructed(nonperso_prompt(sample)), sample)

    async def write(self, sample: Sample, ctx: Context) -> str:
        return await ctx.generate(self.prompt(sample, ctx), stage="review")


@dataclass(frozen=True)
class RagSoft:
    """RAG's prompt behind one soft prompt embedding, equal for all users: a control of PPlug and DEP."""

    label = "RAG + soft prompt"
    uses_retriever = True
    uses_embeddings = False
    varies = False

    @property
    def training(self) -> Mapping[str, Any]:
        return {}

    def module(self, space: Space) -> torch.nn.Module:
        return instruction_module(space)

    def texts(self, sample: Sample, ctx: Context) -> Iterable[str]:
        return ()

    def prompt(self, sample: Sample, ctx: Context, *, variation: int = 0) -> Prompt:
        def build(sample: Sample, reviews: tuple[Review, ...]) -> Prompt:
            return instructed(Rag().prompt(sample, reviews))

        return ctx.fit(build, sample, ctx.retrieve(sample))

    async def write(self, sample: Sample, ctx: Context) -> str:
        return await ctx.generate(self.prompt(sample, ctx), stage="review")
