"""A server's answer is anybody's JSON: what of it is text, why there is none, and what it counts.

Whatever is not the text is bookkeeping, and never costs a text: a field that is missing or of another type is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from bench.errors import SampleFailure

SHOWN = 200
LIMITS = ("length", "max_tokens", "max_length", "MAX_TOKENS", "token_limit")
ENDS = ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "STOP", "COMPLETE", "end")
WITHHELD = ("content_filter", "safety", "SAFETY", "RECITATION", "refusal", "error")
# The words that some servers give for the status that they mean.
CODES = {
    "rate_limit_exceeded": 429, "rate_limit_error": 429, "too_many_requests": 429, "overloaded_error": 503,
    "overloaded": 503, "server_error": 500, "internal_error": 500, "api_error": 500, "timeout": 408,
    "insufficient_quota": 402, "payment_required": 402, "invalid_api_key": 401, "authentication_error": 401,
    "unauthorized": 401, "permission_error": 403, "model_not_found": 404, "not_found_error": 404,
    "context_length_exceeded": 400, "invalid_request_error": 400, "bad_request": 400,
}  # fmt: skip


@dataclass(frozen=True)
class Refused(Exception):
    """An error in the body of an answer with status 200. `code` is the status that it names, None if it names none."""

    code: int | None
    said: str
    param: str | None = None
    word: str | None = None  # the error's own code, where it is no number

    def __str__(self) -> str:
        return f"{self.code} {self.said}" if self.code else self.said


@dataclass(frozen=True)
class Answer:
    """What a server answered. Counts are None where it does not say."""

    text: str
    finish: Literal["stop", "length", "unknown"]
    ids: tuple[int, ...] = ()
    reasoning: str = ""
    n_prompt: int | None = None
    n_cached: int = 0
    n_new: int | None = None


def body_of(content: bytes) -> dict[str, Any]:
    """The JSON object of an answer. Raises ValueError for anything else, Refused for an error."""
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValueError("the answer is not UTF-8") from None
    if text.startswith(("data:", "event:", ":")):
        raise ValueError("the answer is a stream of events, which was not asked for")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"the answer is no JSON: {_short(text) or 'nothing'}") from None
    if not isinstance(body, dict):
        raise ValueError(f"the answer is no JSON object: {_short(text)}")
    _check_error(body)
    return body


def _check_error(body: Mapping[str, Any]) -> None:
    choice = _first(body.get("choices"))
    for found in (body.get("error"), choice.get("error") if isinstance(choice, dict) else None):
        if found:
            raise _refused(found)
    if not choice and (body.get("object") == "error" or body.get("message") or body.get("detail")):
        raise _refused({**body, "message": body.get("message") or body.get("detail") or "an error"})


def _refused(error: Any) -> Refused:
    if not isinstance(error, dict):
        return Refused(_code(error), _short(error))
    inner = error.get("error")
    if isinstance(inner, dict) and not error.get("message"):
        return _refused(inner)
    names = [error.get(name) for name in ("code", "status", "status_code", "http_code", "type")]
    code = next((found for found in map(_code, names) if found is not None), None)
    said = _short(error.get("message") or error.get("detail") or error)
    metadata = error.get("metadata")
    if isinstance(metadata, dict) and (raw := metadata.get("raw")):
        said = f"{said}: {_short(raw)}"
    param, word = error.get("param"), error.get("code")
    return Refused(code, said, param if isinstance(param, str) else None, word if isinstance(word, str) else None)


def _code(value: Any) -> int | None:
    """The HTTP status of an error, which may be a number, its text, or a word."""
    if isinstance(value, str):
        word = value.strip()
        return int(word) if word.isdecimal() and 400 <= int(word) < 600 else CODES.get(word.lower())
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value
    return int(value) if whole and 400 <= value < 600 else None


def read(body: Mapping[str, Any]) -> Answer:
    """The text of a completion or chat completion. Raises SampleFailure that says why there is none."""
    choice = _first(body.get("choices"))
    if not isinstance(choice, dict):
        raise SampleFailure("the server's answer holds no text; does the address end in /v1?")
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    ended = choice.get("finish_reason")
    reasoning = _reasoning(message, choice)
    text = _text(message.get("content", choice.get("text")) if message else choice.get("text"))
    if ended in WITHHELD or (text is None and message.get("refusal")):
        _fail(message, f"the server withheld the answer ({ended})" if ended in WITHHELD else "the model refused")
    if text is None or (not text.strip() and ended in LIMITS and (reasoning or _spent(body))):
        _without_text(message, ended, reasoning or _spent(body))
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    return Answer(
        text=text,
        finish="length" if ended in LIMITS else "stop" if ended in ENDS else "unknown",
        ids=_ids(choice.get("token_ids")),
        reasoning=reasoning,
        n_prompt=_count(usage.get("prompt_tokens")),
        n_cached=(_count(details.get("cached_tokens")) if isinstance(details, dict) else None) or 0,
        n_new=_count(usage.get("completion_tokens")),
    )


def _without_text(message: Mapping[str, Any], ended: Any, reasoning: Any) -> NoReturn:
    if reasoning:
        _fail(message, "the answer never leaves its reasoning; raise --set max_new_tokens")
    if message.get("tool_calls") or message.get("function_call"):
        _fail(message, "the model called a tool instead of answering")
    _fail(message, f"the answer has no text (finish_reason {ended!r})")


def _fail(message: Mapping[str, Any], why: str) -> NoReturn:
    said = message.get("refusal")
    raise SampleFailure(f"{why}: {_short(said)}" if isinstance(said, str) and said else why)


def _text(content: Any) -> str | None:
    """A string, or a list of parts with texts. None where there is no text at all."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        return None
    parts = [part.get("text") if isinstance(part, dict) else part for part in content]
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if texts else None


def _reasoning(message: Mapping[str, Any], choice: Mapping[str, Any]) -> str:
    names = ("reasoning_content", "reasoning", "thinking")
    found = (_text(where.get(name)) for where in (message, choice) for name in names)
    return next((text for text in found if text), "")


def _spent(body: Mapping[str, Any]) -> bool:
    """Whether tokens went into reasoning that the server does not show."""
    usage = body.get("usage")
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    return bool(isinstance(details, dict) and _count(details.get("reasoning_tokens")))


def _first(values: Any) -> Any:
    return values[0] if isinstance(values, list) and values else None


def _count(value: Any) -> int | None:
    """A number of tokens; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        return None
    return int(value) if value == int(value) else None


def _ids(values: Any) -> tuple[int, ...]:
    whole = isinstance(values, list) and all(_count(value) is not None for value in values)
    return tuple(int(value) for value in values) if whole else ()


def _short(value: Any) -> str:
    return " ".join(str(value).split())[:SHOWN]
