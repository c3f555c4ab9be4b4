"""Soft prompts without a user, the controls of PPlug and DEP: one trained row before Non-Perso's or RAG's user message.

Trained methods have seen thousands of real reviews, which prompts alone have not. What these gain over Non-Perso and
RAG is learned length and register; only what PPlug and DEP gain over them is personalization. The paper has no such
control (spec, PPlug).
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
    """PPlug's instruction row, the same for everybody, opens the user message."""
    return Prompt(plain.system, (Slot("instruction"), *plain.parts))


def instruction_module(space: Space) -> torch.nn.Module:
    from methods.pplug_module import InstructionModule

    return InstructionModule(space)


@dataclass(frozen=True)
class Soft:
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
