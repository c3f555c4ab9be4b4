"""Prompts with soft prompt embeddings for a vLLM server, which takes a prompt as ids or as embeddings, not as both.

The completions API takes the whole prompt as `prompt_embeds`, the base64 of a saved tensor. So the prompt stays exact
to the token, at 2 bytes a token and dimension, and a third more for base64. The alternative is content parts of a chat
message, but then the server renders and tokenizes the texts, and a review could spell special tokens.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import SampleFailure, UserError
from bench.generate.prompts import soft
from bench.generate.prompts.chat import ChatEncoder
from bench.types import Prompt, Request, Sampling

if TYPE_CHECKING:
    import torch

PROBE = Prompt("Write a review.", "[Item Title]: A lamp, naïve 3.5")
# Largest difference of one token's log-probability: bfloat16 and another order of sums stay below it. The embeddings of
# another model exceed it by far.
TOLERANCE = 0.25
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"


class SoftPromptEncoder:
    """Embeds whole prompts by the local model's embedding table.

    Before the first prompt it checks that the server answers the embeddings of a probe as it answers the probe's ids.
    `ask(request, embeds, logprobs=n)` is one request to the server. Without `embeds` it sends the ids.
    """

    def __init__(self, encoder: ChatEncoder, *, dtype: str, server: str, ask: Callable[..., Awaitable[Any]]) -> None:
        self._encoder = encoder
        self._dtype = dtype
        self._server = server
        self._ask = ask
        self._checking = asyncio.Lock()
        self._table: EmbeddingTable | None = None

    async def encode(self, request: Request) -> str:
        """The whole prompt as `prompt_embeds`: 20 MB for 2,048 tokens of a 7B model in bfloat16."""
        async with self._checking:
            if self._table is None:
                table = await asyncio.to_thread(EmbeddingTable, self._encoder.folder, dtype=self._dtype)
                await self._check(table)
                self._table = table
        return await asyncio.to_thread(self._table.encode, request, slot_id=self._encoder.slot_id)

    async def _check(self, table: EmbeddingTable) -> None:
        probe = Request(self._encoder.encode(PROBE), Sampling(0.0, 1.0, max_new_tokens=1), seed=0)
        by_ids = await self._ask(probe, None, logprobs=5)
        try:
            by_embeds = await self._ask(probe, table.encode(probe, slot_id=self._encoder.slot_id), logprobs=5)
        except SampleFailure as error:
            raise UserError(
                f"{self._server} takes no soft prompt embeddings ({error}); start it with --enable-prompt-embeds, "
                "or pass --generator vllm"
            ) from None
        if not same_answer(by_ids, by_embeds):
            raise UserError(
                f"{self._server} does not answer the embeddings in {self._encoder.folder} as it answers ids: it has "
                "other weights, or scales embeddings; pass --generator vllm"
            )


def same_answer(one: Any, other: Any) -> bool:
    """Whether two completions begin alike, as those of one prompt do. False without log-probabilities to compare."""
    try:
        first, second = (dict(answer["choices"][0]["logprobs"]["top_logprobs"][0]) for answer in (one, other))
    except (KeyError, IndexError, TypeError, ValueError):
        return False
    likeliest = max(first, key=lambda token: float(first[token]))
    return likeliest in second and bool(abs(first[likeliest] - second[likeliest]) < TOLERANCE)


class EmbeddingTable:
    """The input embeddings of one model folder, read once, in the file's dtype."""

    def __init__(self, folder: str, *, dtype: str) -> None:
        import torch

        self._values = read(Path(folder))
        asked = self._values.dtype if dtype == "auto" else getattr(torch, dtype)
        # The smallest type that holds the table's numbers and the model's exactly.
        self._sent = torch.promote_types(self._values.dtype, asked)

    def encode(self, request: Request, *, slot_id: int) -> str:
        """The whole prompt: base64 of a saved tensor (n_ids, hidden size). Raises like `soft.positions`."""
        import torch

        width = self._values.shape[1]
        whole, is_id = soft.prompt_embeds(request, slot_id=slot_id, width=width, dtype=self._sent)
        at, ids = torch.tensor(is_id), torch.tensor(request.ids)
        whole[at] = self._values[ids[at]].to(self._sent)
        file = io.BytesIO()
        torch.save(whole, file)
        return base64.b64encode(file.getbuffer()).decode()


def read(folder: Path) -> torch.Tensor:
    """(vocabulary, hidden size). Raises UserError if the folder has no such table in safetensors."""
    from safetensors import SafetensorError, safe_open

    try:
        files, wanted = _files(folder), _name(folder)
        # The names in a checkpoint may lack the model's prefix, or have another before it.
        names = [name for name in files if f".{wanted}".endswith(f".{name}") or name.endswith(f".{wanted}")]
        if len(names) != 1:
            raise ValueError(f"{len(names)} tensors are called like {wanted}")
        with safe_open(folder / files[names[0]], framework="pt") as file:
            table: torch.Tensor = file.get_tensor(names[0])
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"the input embeddings of {folder} cannot be read ({reason}); soft prompt embeddings need --generator vllm"
        ) from error
    return table


def _files(folder: Path) -> dict[str, str]:
    """tensor -> file."""
    from safetensors import safe_open

    if (folder / INDEX).is_file():
        found: dict[str, str] = json.loads((folder / INDEX).read_text("utf-8"))["weight_map"]
        return found
    with safe_open(folder / WHOLE, framework="pt") as file:
        return dict.fromkeys(file.keys(), WHOLE)


def _name(folder: Path) -> str:
    """The name of the input embeddings in the model, taken from one without weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    table = model.get_input_embeddings().weight
    return str(next(name for name, value in model.named_parameters() if value is table))
