"""Asks a model server what it is, before any request: its model, its version, whether it is vLLM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from bench.errors import EngineError, UserError, unknown
from bench.generate.server.errors import fatal, key, reason
from bench.types import Prompt

if TYPE_CHECKING:
    import openai

    from bench.generate.prompts.chat import ChatEncoder

UNREPORTED = "unreported"


@dataclass(frozen=True)
class ServerInfo:
    """What a server says of itself. `root` is the folder or hub name behind the model's name, if it says so."""

    address: str
    model: str
    root: str
    version: str
    is_vllm: bool

    @property
    def home(self) -> str:
        """The address of the routes that vLLM adds to OpenAI's interface."""
        return self.address.removesuffix("/v1")

    def encodes_like(self, encoder: ChatEncoder) -> bool:
        """Whether the server makes the same ids as this encoder of a prompt; of a text, if the template is not its own.

        A server need not be told a template to be sent ids.
        """
        import openai

        prompt = Prompt("Write a review.", "[Item Title]: A lamp, naïve 3.5")
        if encoder.has_own_template:
            body: dict[str, Any] = {"prompt": prompt.text, "add_special_tokens": False}
            ids = encoder.encode_text(prompt.text)
        else:
            told = {"chat_template_kwargs": encoder.values} if encoder.values else {}
            body = {"messages": encoder.messages(prompt), "add_generation_prompt": True, **told}
            ids = encoder.encode(prompt)
        try:
            with _client(self.address) as client:
                whole = {"model": self.model, **body}
                answer: Any = client.post(f"{self.home}/tokenize", body=whole, cast_to=cast("type[Any]", object))
        except openai.APIStatusError:
            return False
        return isinstance(answer, dict) and answer.get("tokens") == list(ids)


def probe(address: str, model: str | None, *, default: str) -> ServerInfo:
    """Asks a server for its models and its version. Without `model` it is the only one that the server lists, or
    `default`.

    Raises EngineError for a server that does not answer or refuses the key, UserError where a model must be named.
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
    return ServerInfo(address, name, root, version, is_vllm)


def _client(address: str) -> openai.OpenAI:
    import openai

    return openai.OpenAI(base_url=address, api_key=key(), timeout=20, max_retries=1)


def _cards(client: openai.OpenAI, *, required: bool) -> list[Any]:
    """The models that a server lists. Some servers list none, which matters only if the user names none either."""
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
