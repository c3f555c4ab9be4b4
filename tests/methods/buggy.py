"""A method with a bug, and one that has nothing to say."""

from __future__ import annotations

from dataclasses import dataclass

from bench.protocols import Context
from bench.types import Sample


@dataclass(frozen=True)
class Buggy:
    """Fails for user u1, is silent for u2."""

    label = "Buggy"
    uses_retriever = False
    uses_embeddings = False

    async def write(self, sample: Sample, ctx: Context) -> str:
        if sample.user_id == "u1":
            raise ValueError(f"no idea what to say of {sample.title}")
        return "" if sample.user_id == "u2" else "fine"
