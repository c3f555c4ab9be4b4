"""Language models that metrics ask. Answers go through the output folder's request store: scoring again asks nothing.

A judge's engine starts at the first question that is not stored, and serves all folders that one command scores.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

from bench import registry
from bench.config import Profile, RunConfig
from bench.errors import SampleFailure
from bench.generate.reasoning import parted
from bench.generate.service import Completer, GenerationService
from bench.generate.store import RequestStore
from bench.protocols import Generator, Metric, Releasing
from bench.score import scoring
from bench.score.encoding import Encoders
from bench.types import Prompt, Request, Sampling
from metrics.judge import Respondent

Say = Callable[[str], None]


class Asking(Protocol):
    """What asks a language model. `base_url` and `model` are options of it; empty means the run's own."""

    base_url: str
    model: str
    max_new_tokens: int
    respondent: Respondent | None


@runtime_checkable
class AskingMetric(Metric, Asking, Protocol):
    """A metric that asks a language model."""


def waiting(profile: Profile) -> list[str]:
    """The profile's metrics that need memory which an engine at work holds: they ask a model or use the GPU."""
    metrics = scoring.create(profile)
    return [name for name, one in metrics.items() if isinstance(one, AskingMetric) or getattr(one, "uses_gpu", False)]


class Answering(Completer, Protocol):
    """A generation service, or a stand-in."""

    @property
    def identity(self) -> Mapping[str, Any]: ...


# (generator, its identity, store) -> what answers from the store alone
StoredOnly = Callable[[Generator, Mapping[str, Any], RequestStore], Answering]


@dataclass(frozen=True)
class ServedRespondent:
    """`metrics.judge.Respondent` over a generation service, on an event loop that outlives the calls.

    `budget`: the most tokens of a prompt, chat template included.
    """

    service: Answering
    loop: asyncio.Runner
    say: Say
    budget: int

    @property
    def name(self) -> str:
        identity = self.service.identity
        return f"{identity.get('model', 'no model')} on {identity['backend']} {identity['version']}"

    def fits(self, prompt: Prompt) -> bool:
        return len(self.service.generator.encoder.encode(prompt)) <= self.budget

    def answer(self, prompts: Sequence[Prompt], *, max_new_tokens: int) -> list[str | None]:
        answers = self.loop.run(self._all(prompts, Sampling(0.0, 1.0, max_new_tokens)))
        failures = [answer for answer in answers if isinstance(answer, SampleFailure)]
        if failures:
            self.say(f"{len(failures)} of {len(prompts)} questions to {self.name} failed; the first: {failures[0]}")
        return [None if isinstance(answer, SampleFailure) else answer for answer in answers]

    async def _all(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str | SampleFailure]:
        encoder = self.service.generator.encoder

        async def one(prompt: Prompt) -> str | SampleFailure:
            request = Request(ids=encoder.encode(prompt), sampling=sampling, seed=0, stage="judge")
            try:
                completion, _, _ = await self.service.complete(prompt, request)
            except SampleFailure as failure:
                return failure
            try:
                return parted(completion.text, opened=getattr(encoder, "opens_reasoning", ""))[0]
            except SampleFailure as failure:
                return failure

        return list(await asyncio.gather(*map(one, prompts)))


class Judges:
    """The models that the metrics of one command ask or hold: each is loaded once, for all folders that it scores.

    A context manager that closes engines and gives memory back.
    With `stored`, no model is asked: a question whose answer is not stored has no score.
    """

    def __init__(self, *, say: Say = lambda message: None, stored: StoredOnly | None = None) -> None:
        self._say = say
        self._stored = stored
        self._stack = ExitStack()
        self._loop = self._stack.enter_context(asyncio.Runner())
        self._services: dict[tuple[str, ...], GenerationService] = {}
        self._encoders = Encoders()
        self._holding: dict[tuple[str, str], Metric] = {}  # a model, by name and options

    def check(self, config: RunConfig, *, out: Path) -> None:
        """Fails now, before anything is generated, where a metric misses its data or a judge cannot be reached."""
        for name, metric in self.metrics(config, out=out).items():
            scoring.check_versions(name, metric)

    def metrics(
        self,
        config: RunConfig,
        names: Sequence[str] | None = None,
        *,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        out: Path,
        asleep: Sequence[str] = (),
    ) -> dict[str, Metric]:
        """name -> metric, ready to score; `names` None means the profile's. Raises what `bind` raises.

        Those `asleep` only aggregate rows that are there: they get no model.
        """
        found = scoring.create(config.profile, names, options=options)
        found = {name: self._held(name, metric) for name, metric in found.items()}
        self.bind({name: metric for name, metric in found.items() if name not in asleep}, config, out=out)
        return found

    def _held(self, name: str, metric: Metric) -> Metric:
        """The metric with the same options that an earlier run was scored by, if it holds a model."""
        if not isinstance(metric, Releasing):
            return metric
        options = {key: getattr(metric, key) for key in registry.options_of("metric", name)}
        return self._holding.setdefault((name, json.dumps(options, sort_keys=True, default=str)), metric)

    def release(self) -> None:
        """Gives the memory of the metrics' models back; the next run that is scored loads them again."""
        for metric in self._holding.values():
            if isinstance(metric, Releasing):
                metric.release()

    def bind(self, metrics: Mapping[str, Metric], config: RunConfig, *, out: Path) -> None:
        """Gives every metric that asks a model its respondent, and its encoders to one that compares. Starts no engine.

        Raises UserError for a model that is not here or unfit, EngineError for a server that does not answer.
        """
        for metric in metrics.values():
            self._encoders.bind(metric, config.profile, out=out)
            if isinstance(metric, AskingMetric):
                metric.respondent = self.respondent(metric, config, out=out)

    def respondent(self, metric: Asking, config: RunConfig, *, out: Path) -> ServedRespondent:
        """Who answers: the model that `metric` names, else the run's own. Raises what `bind` raises."""
        service = self._service(metric, config, out)
        stored = self._stored and self._stored(service.generator, service.identity, service.store)
        budget = judging_profile(config.profile, metric).input_budget
        return ServedRespondent(stored or service, self._loop, self._say, budget)

    def _service(self, metric: Asking, config: RunConfig, out: Path) -> GenerationService:
        profile = judging_profile(config.profile, metric)
        server = json.dumps(config.generator_options, sort_keys=True)
        name = (str(out), metric.base_url, metric.model, config.generator, server, profile.model_dump_json())
        if name not in self._services:
            generator = _generator(metric, config, profile, log=out / ".store" / "engine.log")
            store = RequestStore(out / ".store" / "requests.sqlite")
            service = GenerationService(generator, store, say=self._say, make_room=self.release)
            self._stack.callback(lambda: self._loop.run(service.close()))
            self._services[name] = service
        return self._services[name]

    def __enter__(self) -> Judges:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self._stack.close()


def judging_profile(profile: Profile, metric: Asking) -> Profile:
    """The run's profile with the judge's model, and an engine as long as the run's: that much is known to fit."""
    length = profile.input_budget + profile.max_new_tokens
    limit = min(metric.max_new_tokens, length - 1)
    another: dict[str, Any] = {"llm": metric.model, "revision": None, "chat_template": None, "chat_kwargs": {}}
    model = another if metric.model else {}
    budgets = {"input_budget": length - limit, "max_new_tokens": limit}
    nothing: dict[str, Any] = {"stop": (), "metrics": (), "options": {}}  # the stop strings are those of reviews
    return profile.model_copy(update={**model, **budgets, **nothing})


def _generator(metric: Asking, config: RunConfig, profile: Profile, *, log: Path) -> Generator:
    """The run's kind of generator at the run's server, unless the metric names a server."""
    name = "openai" if metric.base_url else config.generator
    options = {"base_url": metric.base_url} if metric.base_url else dict(config.generator_options)
    if name == "openai" and metric.model:
        options["model"] = metric.model
    made: Generator = registry.load("generator", name)(profile, deterministic=config.deterministic, log=log, **options)
    return made
