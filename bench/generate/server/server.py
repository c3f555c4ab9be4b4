"""What a model server says of itself before anything is asked of it, and its errors in one line without the key."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from bench.errors import EngineError, UserError, unknown
from bench.types import Prompt

if TYPE_CHECKING:
    import openai

    from bench.generate.prompts.chat import ChatEncoder

KEY = "OPENAI_API_KEY"
UNREPORTED = "unreported"
LONGEST = 300  # characters of an error that are shown: some servers send the prompt back


def key() -> str:
    """The key for servers; local ones want none, but the client does.

    Raises UserError for what cannot be sent: the client's message about it would spell it out.
    """
    value = os.environ.get(KEY, "").strip()
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise UserError(f"{KEY} holds a character that no key has; set it again")
    return value or "none"


def reason(error: Exception) -> str:
    """Status and message of a client's error in one line, the key struck out."""
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


def fatal(error: openai.APIStatusError, address: str) -> EngineError | None:
    """What no other request can escape: a wrong key, an unknown model or address, a spent quota."""
    cures = {
        401: f"set {KEY}",
        403: f"set {KEY} to one that may use the model",
        404: "check the model's name, and that the address ends in /v1",
    }
    if getattr(error, "code", None) == "insufficient_quota":
        return EngineError(f"{address}: {reason(error)}; what was finished is kept")
    if error.status_code in cures:
        return EngineError(f"{address} refuses: {reason(error)}; {cures[error.status_code]}")
    return None


@dataclass(frozen=True)
class Server:
    """`root` is what the model's name stands for, where the server says so."""

    address: str
    model: str
    root: str
    version: str
    is_vllm: bool

    @property
    def home(self) -> str:
        """Where vLLM has the routes that OpenAI's interface does not know."""
        return self.address.removesuffix("/v1")

    def renders_like(self, encoder: ChatEncoder) -> bool:
        """Whether the server's chat template and tokenizer give this encoder's ids."""
        import openai

        probe = Prompt("Write a review.", "[Item Title]: A lamp, naïve 3.5")
        messages = [{"role": "system", "content": probe.system}, {"role": "user", "content": probe.user}]
        body = {"model": self.model, "messages": messages, "add_generation_prompt": True}
        try:
            with _client(self.address) as client:
                answer: Any = client.post(f"{self.home}/tokenize", body=body, cast_to=cast("type[Any]", object))
        except openai.APIStatusError:
            return False
        return isinstance(answer, dict) and answer.get("tokens") == list(encoder.encode(probe))


def look(address: str, model: str | None, *, default: str) -> Server:
    """Asks a server for its models and its version. Without `model` the only one is meant, else `default`.

    Raises EngineError for a server that does not answer or refuses the key, UserError where the model has to
    be chosen.
    """
    import openai

    try:
        with _client(address) as client:
            cards = {card.id: card for card in _cards(client, required=model is None)}
            if model and cards and model not in cards:
                raise unknown(f"model at {address}", model, cards)
            name = model or _only(list(cards), address, default=default)
            is_vllm = name in cards and cards[name].owned_by == "vllm"
            version = _version(client, address) if is_vllm else UNREPORTED
    except openai.APIStatusError as error:
        raise fatal(error, address) or EngineError(f"{address} is not ready: {reason(error)}; try again") from None
    except (openai.APIError, ValueError) as error:
        raise EngineError(
            f"no model server answers at {address} ({reason(error)}); start it, or pass another --base-url"
        ) from None
    root = getattr(cards.get(name), "root", None) or ""
    return Server(address, name, root, version, is_vllm)


def _client(address: str) -> openai.OpenAI:
    import openai

    return openai.OpenAI(base_url=address, api_key=key(), timeout=20, max_retries=1)


def _cards(client: openai.OpenAI, *, required: bool) -> list[Any]:
    """The models that a server lists. Some list none, which matters only where none is named."""
    import openai

    try:
        return list(client.models.list().data or ())
    except openai.NotFoundError:
        if required:
            raise
        return []


def _only(names: list[str], address: str, *, default: str) -> str:
    if len(names) == 1:
        return names[0]
    if names and default not in names:
        raise UserError(f"{address} serves {', '.join(names[:8])}; choose one by --model-name")
    return default


def _version(client: openai.OpenAI, address: str) -> str:
    import openai

    try:
        answer: Any = client.get(f"{address.removesuffix('/v1')}/version", cast_to=cast("type[Any]", object))
    except openai.APIStatusError:
        return UNREPORTED
    return str(answer.get("version", UNREPORTED)) if isinstance(answer, dict) else UNREPORTED
