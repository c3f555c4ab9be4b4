"""Parameters that a hosted model refuses by name: they are left out from then on, and the run's identity names them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from bench.errors import UserError
from bench.generate.server import answers
from bench.generate.server.errors import as_status, key
from bench.types import Prompt

if TYPE_CHECKING:
    import openai

TRIAL = Prompt("Answer with one word.", "Which parameters do you take?")
# Newer hosted models refuse the old name of the token limit, and older servers ignore the new one.
OLD_LIMIT, NEW_LIMIT = "max_tokens", "max_completion_tokens"
# What a request can do without. Without model, prompt or messages it would be another request.
# An answer is cut at a stop string here too.
OPTIONAL = ("seed", "temperature", "top_p", "frequency_penalty", "presence_penalty", "stop", OLD_LIMIT)
OPTIONAL_OF_VLLM = ("top_k", "min_p", "repetition_penalty", "return_token_ids")
CHAT_KWARGS = "chat_template_kwargs"  # vLLM, SGLang and others take it
_REFUSING = re.compile(
    r"unsupported|not support|n.t support|not allowed|unknown|unrecognized|unrecognised|unexpected|not permitted"
    r"|extra (?:input|field)|invalid (?:parameter|argument|field)|not (?:a )?valid (?:parameter|argument)|deprecated"
    r"|no longer|cannot be (?:used|set)",
    re.IGNORECASE,
)
_WORDS = ("unsupported_parameter", "unsupported_value", "unknown_parameter", "extra_forbidden")


def refused(error: openai.APIStatusError, options: Mapping[str, Any]) -> str | None:
    """The parameter of the request that this error refuses by its name, or None.

    Raises UserError for one that a request cannot do without.
    """
    if error.status_code not in (400, 422):
        return None
    sent = [*options, *options.get("extra_body", {})]
    named = [name for name in (*OPTIONAL, *OPTIONAL_OF_VLLM, CHAT_KWARGS) if name in sent]
    text = f"{error.message} {error.body or ''}"
    word = str(getattr(error, "code", "") or "")
    if word not in _WORDS and not _REFUSING.search(text):
        return None
    said = error.param if error.param in named else None
    found = said or next((name for name in named if re.search(rf"(?<![\w]){name}(?![\w])", text)), None)
    if found == CHAT_KWARGS:
        raise UserError(f"the server takes no chat_kwargs ({error.message}); leave them out, or serve by vLLM")
    return found


def without(options: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The request without these parameters. The limit of tokens gets its new name instead."""
    kept = {name: value for name, value in options.items() if name not in names}
    if OLD_LIMIT in names and OLD_LIMIT in options:
        kept[NEW_LIMIT] = options[OLD_LIMIT]
    if "extra_body" in kept:
        kept["extra_body"] = {name: value for name, value in kept["extra_body"].items() if name not in names}
    return kept


def trial(address: str, options: Mapping[str, Any]) -> frozenset[str]:
    """The parameters that the server refuses in a request for one token. Other errors are the first request's."""
    import openai

    found: frozenset[str] = frozenset()
    with openai.OpenAI(base_url=address, api_key=key(), timeout=60, max_retries=1) as client:
        chat: Any = client.chat.completions if "messages" in options else client.completions
        while True:
            asked = without({**options, OLD_LIMIT: 1}, found)
            try:
                answer = chat.with_raw_response.create(**asked)
                answers.body_of(answer.content)
                return found
            except answers.Refused as error:
                said = as_status(error, answer.http_response)
                name = refused(said, asked) if isinstance(said, openai.APIStatusError) else None
            except openai.APIStatusError as error:
                name = refused(error, asked)
            except (openai.APIError, ValueError):
                return found
            if name is None:
                return found
            found |= {name}
