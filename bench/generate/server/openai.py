"""Any server with OpenAI's interface: vLLM on another machine, or a hosted model.

A vLLM server that renders prompts to the same token ids as the local tokenizer of the profile's model gets these ids,
and its greedy texts equal those of the in-process engine. Every other server gets the messages. All sampling options
are sent. A hosted model may do more than it is asked for, and its identity is no more than what it reports.
Parameters that a model refuses by name are left out, and the identity names them.
Prompts with soft prompt embeddings go to vLLM servers with --enable-prompt-embeds, as embeddings of all their tokens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cached_property
from os import environ
from pathlib import Path
from typing import Any, Literal

from bench.config import Profile
from bench.errors import BenchError, EngineError, SampleFailure, UserError
from bench.generate import stopping
from bench.generate.prompts import chat, templates
from bench.generate.prompts.chat import ChatEncoder
from bench.generate.server import answers
from bench.generate.server.errors import as_status, fatal, is_transient, key, reason
from bench.generate.server.messages import NO_SLOTS, MessageEncoder
from bench.generate.server.parameters import CHAT_KWARGS, TRIAL, refused, trial, without
from bench.generate.server.probe import ServerInfo, probe
from bench.generate.server.prompt_embeds import SoftPromptEncoder
from bench.generate.server.retries import RetryPolicy
from bench.models import addresses, assets
from bench.types import Completion, Request

Api = Literal["auto", "completions", "chat"]

CONCURRENCY = 64
# A vLLM server takes from the model's generation_config whatever a request leaves open.
NEUTRAL = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
OWN_TEMPLATE = (
    "{} gets messages and renders them by its own chat template; leave out chat_template, or serve the profile's model "
    "by vLLM"
)
OTHER_TOKENS = (
    "{} does not tokenize as the tokenizer of {} on this machine, and chat_template is rendered here; serve this model"
)
UNPENALISED = {"frequency_penalty": 0.0, "presence_penalty": 0.0}


def _cure(said: str) -> str:
    """What mends a refused request, where the server's words tell."""
    if "chat template" in said.lower():
        return f"; {templates.CURE}"
    return f"; {chat.MERGE}" if "system" in said.lower().split() else ""


class OpenAIGenerator:
    """`bench.protocols.Generator` on the `openai` package.

    The key is read from OPENAI_API_KEY and sent to the server only. `base_url` defaults to OPENAI_BASE_URL, and `model`
    to the only one that the server lists, or else to the profile's.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        deterministic: bool = False,
        log: Path | None = None,
        base_url: str | None = None,
        model: str | None = None,
        api: Api = "auto",
        concurrency: int = CONCURRENCY,
        retries: RetryPolicy | None = None,
    ) -> None:
        found = base_url or environ.get("OPENAI_BASE_URL")
        if not found:
            raise UserError("--generator openai needs the server's address: pass --base-url or set OPENAI_BASE_URL")
        self._address = addresses.checked(found)
        self._profile = profile
        self._deterministic = deterministic
        self._model = model
        self._asked_api = api
        self._retries = retries or RetryPolicy()
        self._room = asyncio.Semaphore(1 if deterministic else concurrency)
        self._refused: frozenset[str] = frozenset()  # parameters that the server does not take
        self._later: frozenset[str] = frozenset()  # those of them that it refused after the run began
        self._client: Any = None

    @cached_property
    def _server(self) -> ServerInfo:
        return probe(self._address, self._model, default=self._profile.llm)

    @cached_property
    def encoder(self) -> ChatEncoder | MessageEncoder:
        """A ChatEncoder for completions, a MessageEncoder for chat."""
        own = self._profile.chat_template is not None
        local = self._local(required=own or self._asked_api == "completions")
        if local and (self._asked_api == "completions" or self._server.encodes_like(local)):
            return local
        if own:
            raise UserError(OTHER_TOKENS.format(self._address, self._profile.llm))
        return MessageEncoder(merge=self._profile.system_role == "merge")

    def _local(self, *, required: bool) -> ChatEncoder | None:
        """The tokenizer of the profile's model, where the server may take its ids. None where it is not here."""
        if self._asked_api == "chat" or (self._asked_api == "auto" and not self._server.is_vllm):
            if self._profile.chat_template is not None:
                raise UserError(OWN_TEMPLATE.format(self._address))
            return None
        try:
            return chat.of_profile(self._profile, assets.resolve(self._profile.llm, revision=self._profile.revision))
        except UserError:
            if required:
                raise
            return None

    def identity(self) -> Mapping[str, Any]:
        """Asks the server what it is. Raises EngineError if no server answers."""
        found, encoder = self._server, self.encoder
        refused = self._refused_at_first
        identity = {
            "backend": "openai",
            "version": found.version,
            "server": addresses.place(self._address),
            "model": found.model,
            "root": found.root,
            "api": "chat" if isinstance(encoder, MessageEncoder) else "completions",
            "deterministic": self._deterministic,
            **({"left_out": sorted(refused)} if refused else {}),
            **self._profile.chat,
        }
        if isinstance(encoder, ChatEncoder):
            identity["tokenizer"] = assets.fingerprint(encoder.folder)
        return identity

    @cached_property
    def _refused_at_first(self) -> frozenset[str]:
        """The parameters that a hosted model refuses, found by a request for one token. vLLM takes them all."""
        if self._server.is_vllm:
            return frozenset()
        ids = self.encoder.encode(TRIAL)
        found = trial(self._address, self._options(Request(ids, self._profile.sampling, seed=0)))
        self._refused |= found
        return found

    def details(self) -> Mapping[str, Any]:
        """The parameters that the server refused after the run began, and that requests lack since."""
        later = sorted(self._later - self._refused_at_first)
        return {"left_out_later": later} if later else {}

    async def start(self) -> None:
        import openai

        await asyncio.to_thread(self.identity)
        self._client = openai.AsyncOpenAI(
            base_url=self._address, api_key=key(), max_retries=0, timeout=self._retries.per_try
        )

    async def generate(self, request: Request) -> Completion:
        async with self._room:  # held during pauses too, so that an overloaded server gets fewer requests
            embeds = await self._soft.encode(request) if request.embeds is not None else None
            answer = await self._ask(request, embeds)
        return self._completion(request, answer)

    @cached_property
    def _soft(self) -> SoftPromptEncoder:
        encoder = self.encoder
        if not (isinstance(encoder, ChatEncoder) and self._server.is_vllm):
            raise UserError(NO_SLOTS)
        return SoftPromptEncoder(encoder, dtype=self._profile.dtype, server=self._address, ask=self._ask)

    async def _ask(self, request: Request, embeds: str | None = None, **more: Any) -> Any:
        """The server's answer, after as many tries as the policy allows."""
        import openai

        retrying = self._retries.retrying(is_transient)
        try:
            return await retrying(self._try, request, embeds, **more)
        except (openai.APIError, ValueError) as error:
            # The client's own error may hold what the server sent back, so it is no part of ours.
            raise self._final(error, retrying.statistics["attempt_number"]) from None

    def _final(self, error: Exception, tries: int) -> BenchError:
        """The error to give up with."""
        import httpx2
        import openai

        if isinstance(error, openai.APIStatusError):
            if found := fatal(error, self._address):
                return found
            if not is_transient(error):
                return SampleFailure(f"the server refused the request: {reason(error)}{_cure(reason(error))}")
        tried = f"{tries} {'try' if tries == 1 else 'tries'}"
        if isinstance(error.__cause__, httpx2.ConnectError):
            return EngineError(
                f"{self._address} is gone ({tried}: {reason(error)}); start it and run the same command again"
            )
        return SampleFailure(f"the server gave no answer in {tried}; the last: {reason(error)}")

    async def _try(self, request: Request, embeds: str | None, **more: Any) -> dict[str, Any]:
        """Sends the request, again without each parameter that the server refuses by its name."""
        import openai

        while True:
            options = without(self._options(request, embeds, **more), self._refused)
            try:
                return await self._send(options)
            except openai.APIStatusError as error:
                if (name := refused(error, options)) is None:
                    raise
                self._refused |= {name}
                self._later |= {name}

    def _options(self, request: Request, embeds: str | None = None, **more: Any) -> dict[str, Any]:
        """All sampling options are sent, so that no server adds its own."""
        found, sampling, encoder = self._server, request.sampling, self.encoder
        options: dict[str, Any] = {
            "model": found.model,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            # Several hosted servers accept no seeds of more than 31 bits.
            "seed": request.seed if found.is_vllm else request.seed % 2**31,
            **({"stop": list(self._profile.stop)} if self._profile.stop else {}),
            **more,
        }
        if found.is_vllm:
            options |= UNPENALISED | {"extra_body": NEUTRAL | {"return_token_ids": True}}
        if isinstance(encoder, ChatEncoder):
            options |= {"prompt": list(request.ids), "max_tokens": sampling.max_new_tokens}
            if embeds is not None:
                options["prompt"] = None
                options["extra_body"]["prompt_embeds"] = embeds
            return options
        prompt = encoder.decode(request.ids)
        system = [] if encoder.merge else [{"role": "system", "content": prompt.system}]
        messages = [*system, {"role": "user", "content": prompt.user}]
        if self._profile.chat_kwargs:
            told = {CHAT_KWARGS: dict(self._profile.chat_kwargs)}
            options["extra_body"] = {**options.get("extra_body", {}), **told}
        return options | {"messages": messages, "max_tokens": sampling.max_new_tokens}

    async def _send(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The answer's JSON, read by us alone. Raises openai's errors, and ValueError for what is no JSON object."""
        route = self._client.chat.completions if "messages" in options else self._client.completions
        answer = await route.with_raw_response.create(**options)
        try:
            return answers.body_of(answer.content)
        except answers.Refused as error:
            raise as_status(error, answer.http_response) from None

    def _completion(self, request: Request, body: Mapping[str, Any]) -> Completion:
        answer = answers.read(body)
        return Completion(
            text=stopping.cut(answer.text, self._profile.stop),
            ids=answer.ids,
            finish=answer.finish,
            n_prompt=len(request.ids) if answer.n_prompt is None else answer.n_prompt,
            n_cached=answer.n_cached,
            counted=None if answer.ids else answer.n_new,
            reasoning=answer.reasoning,
        )

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()
