"""The prompts of a method of ours, for a model that cannot be run here: a method that asks once, with text alone.

Nothing is generated. They are inside the profile's budget, counted by its model's tokenizer, so that a system elsewhere
reads what the rows of that profile read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bench import registry
from bench.config import RunConfig
from bench.context import comparing, prefetch
from bench.context.context import CellResources, SampleContext
from bench.data.corpus import Corpus, resolve
from bench.errors import SampleFailure, UserError
from bench.protocols import Generator, Method, SoftPromptMethod
from bench.record import provenance
from bench.run.cells import check_truth
from bench.suite import grid
from bench.types import Completion, Prompt, Request, Sample

ANSWER = "answer"


class Listener:
    """`bench.generate.service.Completer` that keeps what it is asked, and answers with a word."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self.asked: list[tuple[str, Prompt]] = []  # (stage, prompt)

    async def complete(self, prompt: Prompt, request: Request) -> tuple[Completion, bool, str]:
        self.asked.append((request.stage, prompt))
        return Completion(ANSWER, (), "stop", n_prompt=len(request.ids)), False, ""


def config(
    corpus: Corpus, *, data: str, method: str, retriever: str, k: int | None, profile: str, generator: str
) -> RunConfig:
    """The configuration of one method. Raises UserError for several methods or retrievers, and for a wrong option."""
    found = grid.expand(
        corpus,
        data=resolve(data),
        methods=grid.named(method, "method"),
        retrievers=grid.named(retriever, "retriever"),
        ks=None if k is None else [k],
        seeds=[0],
        profile=profile,
        set_values={},
        generator=generator,
    )
    if len(found) > 1:
        raise UserError(
            f"--prompts {method} and --retriever {retriever} are {len(found)} kinds of prompts; name one of each"
        )
    return found[0]


def said(config: RunConfig) -> str:
    """What a system elsewhere needs to be compared fairly: whose prompts they are, and the limits of the answer."""
    profile, sampling = config.profile, config.profile.sampling
    retriever = f" by {config.retriever}, K = {config.k}" if config.retriever else ""
    return (
        f", with prompts of {config.method}{retriever} (at most {profile.input_budget} tokens of {profile.llm}); our "
        f"answers have at most {sampling.max_new_tokens} tokens, at temperature {sampling.temperature}, top-p "
        f"{sampling.top_p}"
    )


def of_method(config: RunConfig, samples: Sequence[Sample], corpus: Corpus, out: Path) -> dict[str, Prompt]:
    """sample id -> the one prompt that the method sends. `out`: where vectors of a retriever are kept.

    Raises UserError for a method that trains or asks more than once, and for a sample whose prompt does not fit.
    """
    method = registry.create("method", config.method, config.method_options)
    if isinstance(method, SoftPromptMethod):
        raise UserError(
            f"method '{config.method}' sends soft prompt embeddings, which no text holds; --prompts takes a method of "
            "one request, such as rag"
        )
    check_truth(config, corpus, method)
    comparing.check(config, samples)
    listener = Listener(_generator(config))
    resources = prefetch.resources(config, samples, corpus, listener, out=out)
    return asyncio.run(_all(config.method, method, samples, resources, listener))


def _generator(config: RunConfig) -> Generator:
    """For its tokenizer; it is not started."""
    day = config.profile.date or provenance.now()[:10]
    profile = config.profile.model_copy(update={"date": day})
    made: Generator = registry.load("generator", config.generator)(profile, **config.generator_options)
    return made


async def _all(
    name: str, method: Method, samples: Sequence[Sample], resources: CellResources, listener: Listener
) -> dict[str, Prompt]:
    found: dict[str, Prompt] = {}
    for sample in samples:
        listener.asked.clear()
        failure = await _failure(method, sample, resources)
        stages = [stage for stage, _ in listener.asked]
        if not stages:
            raise UserError(f"method '{name}' has no prompt for {sample.sample_id}: {failure or 'it asks nothing'}")
        if len(stages) > 1 or failure:
            asks = f"asks {len(stages)} times ({', '.join(dict.fromkeys(stages))})" if len(stages) > 1 else failure
            raise UserError(
                f"method '{name}' does more for {sample.sample_id} than ask once: {asks}; later prompts hold answers "
                "that are not there; --prompts takes a method of one request, such as rag"
            )
        found[sample.sample_id] = listener.asked[0][1]
    return found


async def _failure(method: Method, sample: Sample, resources: CellResources) -> str:
    """Why the method could not write the sample with an answer that is none; "" where it could."""
    if known := resources.failed.get(sample.sample_id):
        return str(known)
    try:
        await method.write(sample, SampleContext(sample, resources))
    except SampleFailure as failure:
        return str(failure)
    return ""
