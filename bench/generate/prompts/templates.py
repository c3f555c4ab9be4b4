"""Chat templates that a profile brings: the plain one of base models, and what a template is told."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from bench.errors import UserError
from bench.profile import PLAIN

# Texts with a blank line after each. A tokenizer that opens every text with a token has it here too.
_PLAIN = "{% for message in messages %}{{ message['content'] + '\\n\\n' }}{% endfor %}"
CURE = f"--set chat_template={PLAIN} sends texts with blank lines between them, or name a template's file"


def text_of(given: str | None, *, opens: bool) -> str | None:
    """The template that a profile names; None for the model's own. `opens`: the tokenizer puts its own token first."""
    if given == PLAIN:
        return f"{'{{ bos_token }}' if opens else ''}{_PLAIN}"
    return given


def check_names(template: str, names: Iterable[str], folder: str) -> None:
    """Raises UserError for a value that the template never asks for: it would change nothing."""
    words = set(re.findall(r"[A-Za-z_]\w*", " ".join(re.findall(r"\{[{%].*?[%}]\}", template, re.DOTALL))))
    for name in names:
        if name not in words:
            close = difflib.get_close_matches(name, sorted(words), n=1, cutoff=0.6)
            hint = f"; did you mean '{close[0]}'?" if close else "; leave it out"
            raise UserError(f"chat_kwargs.{name}: the chat template of {folder} does not ask for it{hint}")
