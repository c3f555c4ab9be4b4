"""Prompts to token ids by the model's own chat template, so that no text can act as a special token.

The template is rendered once, around placeholders. The messages are encoded apart from it, as plain text. So a review
that contains `<|im_end|>` becomes the ordinary characters of that string, and cannot end the user's turn. For texts
without such strings the ids equal those of `apply_chat_template`, but for spaces at the start of a text: some
tokenizers join them with the template's text before them.
"""

from __future__ import annotations

import hashlib
from functools import cached_property, lru_cache
from typing import Any

from bench.errors import UserError
from bench.generate.prompts.pieces import PieceEncoder
from bench.types import Prompt, Slot

SYSTEM, USER = "\ue000system\ue001", "\ue000user\ue001"


def _valid(text: str) -> str:
    """No tokenizer takes lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")


class ChatEncoder:
    """The tokenizer and chat template of one model folder. Code in the folder runs only with `trust_code`."""

    def __init__(self, folder: str, *, trust_code: bool = False) -> None:
        from transformers import AutoTokenizer

        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=trust_code
            )
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{folder} has no tokenizer that loads ({reason}); name a complete model folder") from error
        self.folder = folder
        self._pieces = PieceEncoder(self._encode_plain)
        self._constant = lru_cache(maxsize=64)(self._encode)
        self._frame = self._render()
        self._check()

    @property
    def template_hash(self) -> str:
        """sha256 of the model's chat template."""
        return hashlib.sha256(str(self.tokenizer.chat_template).encode()).hexdigest()

    def _render(self) -> list[str]:
        """[text before the system message, between, after the user message]."""
        if not self.tokenizer.chat_template:
            raise UserError(f"{self.folder} has no chat template; use an instruction-tuned model")
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
        try:
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # templates raise anything, mostly jinja's TemplateError
            raise UserError(f"the chat template of {self.folder} takes no system message: {error}") from error
        before, _, rest = text.partition(SYSTEM)
        between, _, after = rest.partition(USER)
        if not after:
            raise UserError(f"the chat template of {self.folder} does not keep a system and a user message in order")
        return [before, between, after]

    def _check(self) -> None:
        """Refuses tokenizers that join text across the borders of parts: they must be encoded together."""
        probe = Prompt("Write a review.", "[Item Title]: A lamp")
        messages = [{"role": "system", "content": probe.system}, {"role": "user", "content": probe.user}]
        whole = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        if tuple(whole) != self.encode(probe):
            raise UserError(f"the tokenizer of {self.folder} cannot encode messages apart from their template")

    def _encode(self, text: str, plain: bool) -> tuple[int, ...]:
        return tuple(self.tokenizer(_valid(text), add_special_tokens=False, split_special_tokens=plain)["input_ids"])

    def _encode_plain(self, text: str) -> list[int]:
        """The ids of `_encode(text, True)`, without the offsets that a fast tokenizer computes for every token."""
        fast = getattr(self.tokenizer, "backend_tokenizer", None)
        if fast is None:
            return list(self._encode(text, True))
        fast.encode_special_tokens = True  # as split_special_tokens does
        ids: list[int] = fast.encode_batch_fast([_valid(text)], add_special_tokens=False)[0].ids
        return ids

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        before, between, after = (self._constant(part, False) for part in self._frame)
        ids = [*before, *self._constant(prompt.system, True), *between]
        for part in prompt.parts:
            ids += (self.slot_id,) if isinstance(part, Slot) else self._pieces.ids(part)
        return (*ids, *after)

    def count(self, prompt: Prompt, *, limit: int) -> int:
        """The number of ids of `encode`; some number above `limit` where there are more, as soon as that is known."""
        total = sum(len(self._constant(part, False)) for part in self._frame)
        total += len(self._constant(prompt.system, True))
        for part in prompt.parts:
            if total > limit:
                break
            total += 1 if isinstance(part, Slot) else self._pieces.count(part, limit=limit - total)
        return total

    @cached_property
    def slot_id(self) -> int:
        """The id that stands for a slot: a special token of no use in the template or at the end of a text.

        No text is ever encoded to it, so the slots can be read off the ids, and a prefix cache keyed by ids and
        embeddings is right.
        """
        tokenizer = self.tokenizer
        in_use = {token for part in self._frame for token in self._constant(part, False)}
        in_use |= {tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id}
        special: list[int] = sorted(id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special)
        free = [token for token in special if token not in in_use]
        if not free:
            raise UserError(
                f"the tokenizer of {self.folder} has no spare special token, which soft prompt embeddings need"
            )
        return free[0]

    def target(self, text: str, limit: int) -> tuple[int, ...]:
        """The ids that a model should answer with: the text's and the end token, at most `limit`."""
        return (*self._encode(text, True), self.tokenizer.eos_token_id)[:limit]

    def decode(self, ids: tuple[int, ...]) -> str:
        """Text of new tokens, without special tokens."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return text
