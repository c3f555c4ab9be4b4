"""Prompts as ids without a tokenizer, for servers that take messages and render them.

An id is three bytes of the messages' UTF-8, so that the ids can be turned back into the messages. Their number is an
upper estimate of the tokens: English has four to five bytes a token, and scripts of three bytes a character have about
one token a character. The template's own tokens are not counted, but a prompt near a budget has fewer of them than the
estimate adds.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.errors import UserError
from bench.generate.prompts.chat import merged
from bench.types import Prompt

WIDTH = 3
# Bytes that UTF-8 never uses.
BORDER, FILLING = b"\xfe", b"\xff"

NO_SLOTS = (
    "this server gets messages, which have no place for soft prompt embeddings; serve the profile's model by vLLM with "
    "--enable-prompt-embeds, or pass --generator vllm"
)


@dataclass(frozen=True)
class MessageEncoder:
    """A `bench.protocols.PromptEncoder` whose ids can be turned back into the prompt.

    With `merge`, the system message opens the user message.
    """

    merge: bool = False

    @property
    def slot_id(self) -> int:
        raise UserError(NO_SLOTS)

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        if prompt.slots:
            raise UserError(NO_SLOTS)
        prompt = merged(prompt) if self.merge else prompt
        # Lone surrogates are no text to any server.
        system, user = (text.encode("utf-8", "replace") for text in (prompt.system, prompt.text))
        whole = system + BORDER + user
        whole += FILLING * (-len(whole) % WIDTH)
        return tuple(int.from_bytes(whole[at : at + WIDTH], "big") for at in range(0, len(whole), WIDTH))

    def decode(self, ids: tuple[int, ...]) -> Prompt:
        """The prompt that was encoded."""
        whole = b"".join(number.to_bytes(WIDTH, "big") for number in ids).rstrip(FILLING)
        system, _, user = whole.partition(BORDER)
        return Prompt(system.decode("utf-8"), user.decode("utf-8"))
