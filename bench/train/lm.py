"""The frozen language model in training: the loss of some samples and its gradient at their soft rows, at least cost.

What is not done (and the released trainer does): no weight gradient, no padding to a fixed length, no logits but the
target's, and no gradient work before the first soft row: what stands before it is a key-value cache without history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.models import folders
from bench.protocols import Space
from bench.types import Slot

IGNORED = -100


@dataclass(frozen=True)
class Example:
    """A prompt's ids (`slot_id` at its soft positions), the ids that should follow, and what stands in the slots."""

    sample_id: str
    ids: tuple[int, ...]
    target: tuple[int, ...]
    slots: tuple[Slot, ...]

    @property
    def fed(self) -> int:
        """Tokens that go in: the last one of the target has nothing to predict."""
        return len(self.ids) + len(self.target) - 1


class FrozenLM:
    """Any causal language model of transformers; nothing of it is trained."""

    def __init__(
        self, folder: str, *, dtype: str, device: torch.device, slot_id: int, trust_code: bool = False
    ) -> None:
        from transformers import AutoModelForCausalLM

        attention = "flash_attention_2" if device.type == "cuda" and _has_flash() else "sdpa"
        with folders.loading(folder):
            model = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                local_files_only=True,
                attn_implementation=attention,
                trust_remote_code=trust_code,
            )
        self.model: Any = model.to(device).eval().requires_grad_(False)
        self.device = device
        self.slot_id = slot_id

    @property
    def table(self) -> Tensor:
        """(vocabulary, hidden size): the rows that stand for tokens."""
        weight: Tensor = self.model.get_input_embeddings().weight
        return weight

    def space(self, vectors: int) -> Space:
        """What a module must know of this model's table, for an embedder of so many dimensions."""
        table = self.table.float()
        mean, std = table.mean(0).cpu().numpy(), table.std(0).cpu().numpy()
        return Space(vectors, table.shape[1], mean, std, float(table.norm(dim=1).mean()))

    def summed_loss(self, examples: Sequence[Example], rows: Sequence[Tensor]) -> Tensor:
        """Cross entropy summed over the target tokens of all examples, a scalar in fp32.

        `rows[i]`, (slots of example i, hidden size), may want a gradient. Without any soft row there is none.
        """
        batch = _Batch.of(examples, self.slot_id, self.device)
        cut = batch.first_soft
        cache = self._cache(batch, cut)
        embeds = self.model.get_input_embeddings()(batch.ids[:, cut:])
        if soft := [row for row in rows if len(row)]:
            places = batch.soft[:, cut:].unsqueeze(-1)
            embeds = embeds.masked_scatter(places, torch.cat(soft).to(embeds))
        logits = self.model(
            inputs_embeds=embeds,
            attention_mask=batch.mask,
            position_ids=batch.positions[:, cut:],
            past_key_values=cache,
            use_cache=cache is not None,
            logits_to_keep=batch.labels.shape[1],
        ).logits
        flat = logits.float().reshape(-1, logits.shape[-1])
        return cross_entropy(flat, batch.labels.reshape(-1), ignore_index=IGNORED, reduction="sum")

    def _cache(self, batch: _Batch, cut: int) -> Any:
        """Keys and values of everything before the first soft row: constants."""
        from transformers import DynamicCache

        if cut == 0:
            return None
        cache = DynamicCache(config=self.model.config)
        with torch.no_grad():
            self.model(
                input_ids=batch.ids[:, :cut],
                attention_mask=batch.mask[:, :cut],
                position_ids=batch.positions[:, :cut],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        return cache


@dataclass(frozen=True)
class _Batch:
    """Examples as tensors (B, L), padded on the left, so that all targets end in the last column."""

    ids: Tensor
    mask: Tensor
    positions: Tensor
    soft: Tensor
    labels: Tensor  # (B, longest target)
    first_soft: int

    @classmethod
    def of(cls, examples: Sequence[Example], slot_id: int, device: torch.device) -> _Batch:
        longest = max(example.fed for example in examples)
        targets = max(len(example.target) for example in examples)
        ids = torch.zeros(len(examples), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        labels = torch.full((len(examples), targets), IGNORED)
        for row, example in enumerate(examples):
            ids[row, longest - example.fed :] = torch.tensor(example.ids + example.target[:-1])
            mask[row, longest - example.fed :] = 1
            labels[row, targets - len(example.target) :] = torch.tensor(example.target)
        soft = (ids == slot_id) & (mask == 1)
        columns = soft.any(0).nonzero()
        # Logits are wanted from the first target on, so at least these columns are computed in full.
        first = min(int(columns[0]) if len(columns) else longest, longest - targets)
        positions = (mask.cumsum(1) - 1).clamp_min(0)
        ids, mask, positions, soft, labels = (x.to(device) for x in (ids, mask, positions, soft, labels))
        return cls(ids, mask, positions, soft, labels, first)


def grouped(examples: Sequence[Example], most: int) -> list[list[int]]:
    """Indices of examples of alike lengths, in groups of at most `most` tokens, padding included; a long one alone."""
    groups: list[list[int]] = []
    for index in sorted(range(len(examples)), key=lambda i: -examples[i].fed):
        widest = examples[groups[-1][0]].fed if groups else 0
        if groups and widest * (len(groups[-1]) + 1) <= most:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _has_flash() -> bool:
    from transformers.utils import is_flash_attn_2_available

    return bool(is_flash_attn_2_available())
