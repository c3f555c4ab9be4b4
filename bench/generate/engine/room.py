"""Whether a card holds a language model and the key-value cache of its prompts, from the model folder's files alone.

    cache of a token = 2 * layers * key-value heads * head size * bytes of a number
    room for cache   = cards * (memory * gpu_memory_utilization - RESERVE) - weights

It is an estimate, told before anything is trained or generated: vLLM itself finds out after minutes of loading.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GIB = 2**30
RESERVE = 2 * GIB  # of each card: activations, CUDA graphs, buffers of communication
FEW = 16  # prompts of full length in the cache at once; below this an engine is mostly waiting
MOST_CARDS = 64


@dataclass(frozen=True)
class Needs:
    """Bytes of the weights, and of one token's keys and values."""

    weights: int
    token: int


def needs(folder: str, *, dtype: str) -> Needs | None:
    """None where the folder does not say: an unusual configuration, weights in other files than safetensors."""
    try:
        config: dict[str, Any] = json.loads((Path(folder) / "config.json").read_text("utf-8"))
        config = {**config, **config.get("text_config", {})}
        stored = str(config.get("torch_dtype") or config.get("dtype") or "bfloat16")
        number = _bytes(stored if dtype == "auto" else dtype)
        heads = int(config["num_attention_heads"])
        size = int(config.get("head_dim") or config["hidden_size"] // heads)
        kept = int(config.get("num_key_value_heads") or heads)
        files = sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))
        token = 2 * int(config["num_hidden_layers"]) * kept * size * number
        return Needs(files * number // _bytes(stored), token) if files else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        return None


def _bytes(dtype: str) -> int:
    return 4 if dtype == "float32" else 2


def warning(found: Needs, *, length: int, memory: float, share: float, cards: int) -> str:
    """One line where the cache holds fewer than FEW prompts of `length` tokens; else "".

    `memory`: bytes of one card; `share`: `gpu_memory_utilization`; `cards`: `tensor_parallel_size`.
    """
    at_once = _prompts(found, length, memory, share, cards)
    if at_once >= FEW:
        return ""
    more = cards
    while _prompts(found, length, memory, share, more) < FEW and more < MOST_CARDS:
        more *= 2
    what = f"weights of {found.weights / GIB:.1f} GiB on {cards} x {memory / GIB:.0f} GiB"
    room = "leave no room for a prompt" if at_once < 1 else f"leave room for {at_once:.0f} prompts at once"
    enough = _prompts(found, length, memory, share, more) >= FEW
    cure = f"--set engine.tensor_parallel_size={more}" if enough else "a larger card, or a smaller model"
    return f"{what} {room} of {length:,} tokens; better: {cure}"


def _prompts(found: Needs, length: int, memory: float, share: float, cards: int) -> float:
    room = cards * (memory * share - RESERVE) - found.weights
    return max(0.0, room) / (found.token * length)
