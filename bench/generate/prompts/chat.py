"""Prompts to token ids by the model's own chat template, so that no text can act as a special token.

The template is rendered once, around placeholders. The messages are encoded apart from it, as plain text. So a review
that contains `<|im_end|>` becomes the ordinary characters of that string, and cannot end the user's turn. For texts
without such strings the ids equal those of `apply_chat_template`, but for spaces at the start of a text: some
tokenizers join them with the template's text before them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from bench.errors import UserError
from bench.generate.prompts import templates
from bench.generate.prompts.pieces import PieceEncoder
from bench.generate.reasoning import MARKS, opened_by
from bench.models import facts
from bench.types import Prompt, Slot

if TYPE_CHECKING:
    from bench.config import Profile

SYSTEM, USER = "\ue000system\ue001", "\ue000user\ue001"


MERGE = "--set system_role=merge puts the system text first in the user message"


def merged(prompt: Prompt) -> Prompt:
    """The prompt with its system message at the start of the user message."""
    return Prompt("", (f"{prompt.system}\n\n", *prompt.parts)) if prompt.system else prompt


def _valid(text: str) -> str:
    """No tokenizer takes lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")


class ChatEncoder:
    """The tokenizer and chat template of one model folder. Code in the folder runs only with `trust_code`.

    With `merge`, the system message opens the user message, for templates that take none. `date` is what a template
    that asks for today's date is told; None is today. `template` stands in for the model's own, or is "plain";
    `values` are what the template is told besides.
    """

    def __init__(
        self,
        folder: str,
        *,
        trust_code: bool = False,
        merge: bool = False,
        date: str | None = None,
        template: str | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        from transformers import AutoTokenizer

        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=trust_code
            )
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{folder} has no tokenizer that loads ({reason}); name a complete model folder") from error
        known = facts.read(folder).vocabulary
        if known is not None and self.tokenizer.vocab_size > known:  # added tokens apart, which a text never becomes
            size = f"{self.tokenizer.vocab_size:,} tokens, and its model knows {known:,}"
            raise UserError(
                f"{folder} holds the tokenizer of another model: it has {size}; name a complete model folder"
            )
        self.folder = folder
        self._merge = merge
        day = datetime.fromisoformat(date) if date else datetime.now(UTC)
        self.values = dict(values or {})
        self._told = {**self.values, "strftime_now": day.strftime}
        self._own = templates.text_of(template, opens=self._opens())
        if self._own is not None:
            self._told["chat_template"] = self._own
        self._pieces = PieceEncoder(self._encode_plain)
        self._constant = lru_cache(maxsize=64)(self._encode)
        self._frame = self._render()
        if not self.has_own_template:
            self._check()

    @property
    def has_own_template(self) -> bool:
        """Whether prompts are rendered by another chat template than the model's."""
        return self._own is not None

    @property
    def template_hash(self) -> str:
        """sha256 of the chat template."""
        return hashlib.sha256(self._template.encode()).hexdigest()

    @property
    def dated(self) -> bool:
        """Whether the chat template asks for today's date."""
        return "strftime_now" in self._template

    @property
    def _template(self) -> str:
        return str(self.tokenizer.chat_template) if self._own is None else self._own

    def _opens(self) -> bool:
        """Whether the tokenizer puts a token of its own before every text."""
        first = self.tokenizer("a")["input_ids"][:1]
        return self.tokenizer.bos_token_id is not None and first == [self.tokenizer.bos_token_id]

    def _render(self) -> list[str]:
        """[text before the system message, between, after the user message]."""
        if self._own is None and not self.tokenizer.chat_template:
            raise UserError(f"{self.folder} has no chat template, as base models have none; {templates.CURE}")
        templates.check_names(self._template, self.values, self.folder)
        try:
            text = self._apply(Prompt("" if self._merge else SYSTEM, USER), tokenize=False)
        except Exception as error:  # templates raise anything, mostly jinja's TemplateError
            what = "does not render a user message" if self._merge else f"takes no system message: {error}; {MERGE}"
            raise UserError(f"{self._whose} {what}") from error
        before, _, rest = ("", "", text) if self._merge else text.partition(SYSTEM)
        between, found, after = rest.partition(USER)
        if not found:
            cure = "" if self._merge else f"; {MERGE}"
            raise UserError(f"{self._whose} does not keep a system and a user message{cure}")
        return [before, between, after]

    @property
    def _whose(self) -> str:
        return "the chat template of the profile" if self.has_own_template else f"the chat template of {self.folder}"

    def _apply(self, prompt: Prompt, **options: Any) -> Any:
        """Renders what the template gets."""
        system = [] if self._merge else [{"role": "system", "content": prompt.system}]
        messages = [*system, {"role": "user", "content": prompt.text}]
        return self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, **options, **self._told)

    def messages(self, prompt: Prompt) -> list[dict[str, str]]:
        """The prompt as messages for a server that renders them."""
        seen = self._seen(prompt)
        system = [] if self._merge else [{"role": "system", "content": seen.system}]
        return [*system, {"role": "user", "content": seen.text}]

    def _check(self) -> None:
        """Refuses tokenizers that join text across the borders of parts: they must be encoded together.

        Not for a template of the profile's, which no model was taught: there parts are encoded apart all the same.
        """
        probe = Prompt("Write a review.", "[Item Title]: A lamp")
        whole = self._apply(self._seen(probe), return_dict=False)
        if tuple(whole) != self.encode(probe):
            raise UserError(f"the tokenizer of {self.folder} cannot encode messages apart from their template")

    def encode_text(self, text: str) -> tuple[int, ...]:
        """The ids of a text alone, in which nothing is a special token."""
        return self._encode(text, True)

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

    def _seen(self, prompt: Prompt) -> Prompt:
        """The prompt as the template gets it."""
        return merged(prompt) if self._merge else prompt

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        prompt = self._seen(prompt)
        before, between, after = (self._constant(part, False) for part in self._frame)
        ids = [*before, *self._constant(prompt.system, True), *between]
        for part in prompt.parts:
            ids += (self.slot_id,) if isinstance(part, Slot) else self._pieces.ids(part)
        return (*ids, *after)

    def count(self, prompt: Prompt, *, limit: int) -> int:
        """The number of ids of `encode`; some number above `limit` where there are more, as soon as that is known."""
        prompt = self._seen(prompt)
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
        """The ids that a model should answer with: the text's and the token that ends a turn, at most `limit`."""
        return (*self._encode(text, True), self.turn_end)[:limit]

    @cached_property
    def turn_end(self) -> int:
        """The special token that the template puts after an assistant's message; the tokenizer's end token if none."""
        answer = "\ue000answer\ue001"
        messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": answer}]
        end: int = self.tokenizer.eos_token_id
        try:
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, **self._told)
        except Exception:  # templates raise anything
            return end
        after = self._encode(text.partition(answer)[2].lstrip(), False)
        added = self.tokenizer.added_tokens_decoder
        return after[0] if after and after[0] in added and added[after[0]].special else end

    @cached_property
    def end_tokens(self) -> tuple[int, ...]:
        """Ascending: every token that ends an answer, by the folder's files, the tokenizer and the template."""
        found = {*facts.read(self.folder).end_tokens, self.tokenizer.eos_token_id, self.turn_end}
        return tuple(sorted(token for token in found if token is not None))

    @cached_property
    def opens_reasoning(self) -> str:
        """The mark of reasoning with which the template ends a prompt, or ""."""
        return opened_by(self._frame[2])

    @cached_property
    def marks(self) -> frozenset[int]:
        """Special tokens that mark reasoning: decoding keeps them, or nothing would tell reasoning from answer."""
        spelled = "".join(mark for marks in MARKS for mark in marks)
        tokens = self.tokenizer.added_tokens_decoder.items()
        return frozenset(id_ for id_, token in tokens if token.special and str(token) in spelled)

    def decode(self, ids: tuple[int, ...]) -> str:
        """Text of new tokens, without special tokens other than marks of reasoning."""
        if not self.marks.intersection(ids):
            text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
            return text
        kept = [id_ for id_ in ids if id_ in self.marks or id_ not in self.tokenizer.all_special_ids]
        marked: str = self.tokenizer.decode(kept, skip_special_tokens=False)
        return marked


def of_profile(profile: Profile, folder: str) -> ChatEncoder:
    """The encoder of a profile's language model in this folder."""
    return ChatEncoder(
        folder,
        trust_code=profile.trusts_code,
        merge=profile.system_role == "merge",
        date=profile.date,
        template=profile.chat_template,
        values=profile.chat_kwargs,
    )
