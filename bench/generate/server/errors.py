"""The key for a model server, and the server's errors in one line without the key."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from bench.errors import EngineError, UserError

if TYPE_CHECKING:
    import openai

    from bench.generate.server.answers import Refused

KEY = "OPENAI_API_KEY"
LONGEST = 300  # characters of an error that are shown: some servers send the prompt back
PASSING = (408, 409, 429)  # statuses below 500 that may pass
SPENT = "insufficient_quota"


def key() -> str:
    """The key for servers. Local ones need none, but the client does.

    Raises UserError for a key that cannot be sent: the client's message about it would spell it out.
    """
    value = os.environ.get(KEY, "").strip()
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise UserError(f"{KEY} holds a character that no key has; set it again")
    return value or "none"


def reason(error: Exception) -> str:
    """Status and message of a client's error in one line, with *** for the key."""
    import openai

    if isinstance(error, openai.APIStatusError):
        body: Any = error.body
        said = body.get("message") if isinstance(body, dict) else error.message
        text = f"{error.status_code} {said}"
    elif isinstance(error, openai.APITimeoutError):
        text = "no answer in time"
    else:
        text = f"{error} {error.__cause__ or ''}"
    if secret := os.environ.get(KEY, "").strip():
        text = text.replace(secret, "***")
    return " ".join(text.split())[:LONGEST]


def as_status(error: Refused, response: Any) -> openai.APIStatusError | ValueError:
    """The error in the body of an answer, as the client raises it for the status that it names.

    ValueError where it names none: that may pass.
    """
    import httpx2
    import openai

    if error.code is None:
        return ValueError(f"the answer is an error: {error.said}")
    request = getattr(response, "request", None)
    answer = httpx2.Response(error.code, headers=dict(response.headers), request=request)
    body = {"message": error.said, "param": error.param, "code": error.word}
    return openai.APIStatusError(error.said, response=answer, body=body)


def fatal(error: openai.APIStatusError, address: str) -> EngineError | None:
    """The error that ends the run where every request would fail: a wrong key, an unknown model or address, a spent
    quota. None for other errors."""
    cures = {
        401: f"set {KEY}",
        403: f"set {KEY} to one that may use the model",
        404: "check the model's name, and that the address ends in /v1",
    }
    if error.code == SPENT or error.status_code == 402:
        return EngineError(f"{address}: {reason(error)}; what was finished is kept")
    if error.status_code in cures:
        return EngineError(f"{address} refuses: {reason(error)}; {cures[error.status_code]}")
    return None


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    import openai

    if isinstance(error, openai.APIStatusError):
        return (error.status_code >= 500 or error.status_code in PASSING) and error.code != SPENT
    return isinstance(error, (openai.APIError, ValueError))  # ValueError: the answer is no JSON
