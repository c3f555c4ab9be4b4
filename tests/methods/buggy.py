"""A method that fails in every way that a method can."""

from __future__ import annotations

from dataclasses import dataclass

from bench.protocols import Context
from bench.types import Sample


@dataclass(frozen=True)
class Buggy:
    """Fails for user u1 and gives an empty text for u2. `gives` and `notes` select a forbidden return value or note."""

    label = "Buggy"
    uses_retriever = False
    uses_embeddings = False
    gives: str = ""
    notes: str = ""

    async def write(self, sample: Sample, ctx: Context) -> str:
        if sample.user_id == "u1":
            raise ValueError(f"no idea what to say of {sample.title}")
        if sample.user_id == "u0" and self.notes:
            ctx.note("odd", {"nan": float("nan"), "object": object()}[self.notes])
        if sample.user_id == "u0" and self.gives:
            return {"none": None, "bytes": b"fine"}[self.gives]  # type: ignore[return-value]
        return "" if sample.user_id == "u2" else "fine"
