"""A fake engine for unit tests. It has no model: its answers are made of the prompt's words."""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.config import Profile
from bench.types import Completion, Prompt, Request, Slot


def _number(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "replace"))


class WordEncoder:
    """One token a word. It remembers the words, so that ids can be turned into answers."""

    slot_id = -1

    def __init__(self) -> None:
        self.words: dict[int, str] = {}

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        ids: list[int] = []
        for part in (prompt.system, *prompt.parts):
            words = ["<slot>"] if isinstance(part, Slot) else part.split()
            new = [self.slot_id if isinstance(part, Slot) else _number(word) for word in words]
            self.words.update(zip(new, words, strict=True))
            ids += new
        return tuple(ids)


class EchoGenerator:
    """Answers with words of the prompt, drawn with the request's seed."""

    def __init__(self, profile: Profile, *, deterministic: bool = False, log: Path | None = None) -> None:
        self.encoder = WordEncoder()
        self.n_requests = 0

    def identity(self) -> Mapping[str, Any]:
        return {"backend": "echo", "version": "1"}

    async def start(self) -> None:
        return None

    async def generate(self, request: Request) -> Completion:
        self.n_requests += 1
        n = min(24, request.sampling.max_new_tokens)
        ids = tuple(random.Random(request.seed).choices(request.ids, k=n)) if request.ids else ()
        text = " ".join(self.encoder.words[number] for number in ids)
        return Completion(text=text, ids=ids, finish="stop", n_prompt=len(request.ids))

    async def close(self) -> None:
        return None
