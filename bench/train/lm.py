"""The frozen language model in training: the loss of some samples and its gradient at their soft prompt embeddings.

It saves the work that the released trainer does without need: there is no gradient of weights, no padding to a fixed
length, no logits outside the target, and no gradient before the first soft prompt embedding. The tokens before it are
a key-value cache that the gradient does not enter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.models import attention, folders
from bench.protocols import Space
from bench.types import Slot

IGNORED = -100


@dataclass(frozen=True)
class Example:
    """A prompt's ids (`slot_id` at each slot), the ids of the target that follows, and the slots in order."""

    sample_id: str
    ids: tuple[int, ...]
    target: tuple[int, ...]
    slots: tuple[Slot, ...]

    @property
    def fed(self) -> int:
        """Tokens that enter the model. The last target token does not, as nothing follows it."""
        return len(self.ids) + len(self.target) - 1


class FrozenLM:
    """Any causal language model of transformers, with all weights frozen."""

    def __init__(
        self, folder: str, *, dtype: str, device: torch.device, slot_id: int, trust_code: bool = False
    ) -> None:
        from transformers import AutoModelForCausalLM

        attention.of_any_shape()
        kind = "flash_attention_2" if device.type == "cuda" and _has_flash() else "sdpa"
        with folders.loading(folder):
            model = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                local_files_only=True,
                attn_implementation=kind,
                trust_remote_code=trust_code,
            )
        self.model: Any = model.to(device).eval().requires_grad_(False)
        self.device = device
        self.slot_id = slot_id
        self.recomputes = False

    @property
    def attention(self) -> str:
        """The kind of attention that the model computes: flash_attention_2, sdpa or eager."""
        return str(self.model.config._attn_implementation)

    def recompute(self) -> None:
        """From here on activations are computed again in the backward pass, for memory.

        transformers recomputes layers in training mode only, and without a cache of what is before the first soft
        prompt embedding. So the layers alone enter that mode; dropout inside them stays off.
        """
        self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        for layer in self.model.modules():
            if getattr(layer, "gradient_checkpointing", False):
                layer.training = True
        self.recomputes = True

    @property
    def table(self) -> Tensor:
        """(vocabulary, hidden size): the token embeddings."""
        weight: Tensor = self.model.get_input_embeddings().weight
        return weight

    def space(self, vectors: int) -> Space:
        """The sizes and token statistics that a module needs, for an embedder with `vectors` dimensions."""
        table = self.table.float()
        mean, std = table.mean(0).cpu().numpy(), table.std(0).cpu().numpy()
        return Space(vectors, table.shape[1], mean, std, float(table.norm(dim=1).mean()))

    def summed_loss(self, examples: Sequence[Example], embeds: Sequence[Tensor]) -> Tensor:
        """Cross entropy summed over the target tokens of all examples, a scalar in fp32.

        `embeds[i]` holds example i's soft prompt embeddings, (slots, hidden size), and may require a gradient. If no
        example has a slot, the result has no gradient.
        """
        batch = _Batch.of(examples, self.slot_id, self.device)
        cut = 0 if self.recomputes else batch.first_soft
        cache = self._cache(batch, cut)
        inputs = self.model.get_input_embeddings()(batch.ids[:, cut:])
        if soft := [one for one in embeds if len(one)]:
            places = batch.soft[:, cut:].unsqueeze(-1)
            inputs = inputs.masked_scatter(places, torch.cat(soft).to(inputs))
        logits = self.model(
            inputs_embeds=inputs,
            attention_mask=batch.mask,
            position_ids=batch.positions[:, cut:],
            past_key_values=cache,
            use_cache=cache is not None,
            logits_to_keep=batch.labels.shape[1],
        ).logits
        flat = logits.float().reshape(-1, logits.shape[-1])
        return cross_entropy(flat, batch.labels.reshape(-1), ignore_index=IGNORED, reduction="sum")

    def _cache(self, batch: _Batch, cut: int) -> Any:
        """Keys and values of all positions before the first soft prompt embedding; constants in training."""
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
    """Examples as tensors (B, L), padded on the left so that all targets end in the last column."""

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
        for number, example in enumerate(examples):
            ids[number, longest - example.fed :] = torch.tensor(example.ids + example.target[:-1])
            mask[number, longest - example.fed :] = 1
            labels[number, targets - len(example.target) :] = torch.tensor(example.target)
        soft = (ids == slot_id) & (mask == 1)
        columns = soft.any(0).nonzero()
        # Logits are needed from the first target token on, so the cache ends before these columns.
        first = min(int(columns[0]) if len(columns) else longest, longest - targets)
        positions = (mask.cumsum(1) - 1).clamp_min(0)
        ids, mask, positions, soft, labels = (x.to(device) for x in (ids, mask, positions, soft, labels))
        return cls(ids, mask, positions, soft, labels, first)


def grouped(examples: Sequence[Example], most: int) -> list[list[int]]:
    """Indices of examples of similar length, in groups of at most `most` tokens with padding; a longer one is alone."""
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
