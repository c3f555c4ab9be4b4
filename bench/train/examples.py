"""Turns samples into training examples: the method's prompt, fitted as at inference, and the user's real review."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.config import RunConfig
from bench.context import prefetch
from bench.context.context import CellResources, SampleContext
from bench.data.corpus import Corpus
from bench.embed.store import AwaitedVectors, Progress, StoredEmbedder
from bench.errors import SampleFailure, UserError
from bench.generate.prompts.chat import ChatEncoder
from bench.seeds import derive
from bench.train.lm import Example
from bench.types import Completion, Prompt, Request, Sample

if TYPE_CHECKING:
    from bench.protocols import SoftPromptMethod


@dataclass(frozen=True)
class Templates:
    """A `bench.generate.service.Completer` that counts tokens and generates nothing."""

    encoder: ChatEncoder

    @property
    def generator(self) -> Any:
        return self

    async def complete(self, prompt: Prompt, request: Request) -> tuple[Completion, bool, str]:
        raise AssertionError("a training prompt is not generated from")


@dataclass
class ExampleSource:
    """The examples of every epoch. `failed` holds the reason for each sample that has no prompt."""

    method: SoftPromptMethod
    samples: Sequence[Sample]
    corpus: Corpus
    resources: CellResources
    encoder: ChatEncoder
    limit: int
    seed: int
    failed: dict[str, str] = field(default_factory=dict)
    _plain: list[Example] | None = None

    def of_epoch(self, epoch: int) -> list[Example]:
        """The examples in the samples' order. They are made once if the method does not vary them."""
        if self.method.varies:
            return self._made(epoch)
        if self._plain is None:
            self._plain = self._made(epoch)
        return self._plain

    def _made(self, epoch: int) -> list[Example]:
        found = (self._example(sample, epoch) for sample in self.samples)
        return [example for example in found if example is not None]

    def _example(self, sample: Sample, epoch: int) -> Example | None:
        variation = derive(self.seed, "variation", epoch, sample.sample_id)
        try:
            prompt = self.method.prompt(sample, SampleContext(sample, self.resources), variation=variation)
        except SampleFailure as failure:
            self.failed[sample.sample_id] = str(failure)
            return None
        target = self.encoder.target(self.corpus.reference(sample.sample_id), self.limit)
        return Example(sample.sample_id, self.encoder.encode(prompt), target, prompt.slots)


def source(
    config: RunConfig,
    method: SoftPromptMethod,
    corpus: Corpus,
    encoder: ChatEncoder,
    *,
    out: Path,
    first: bool = True,
    progress: Progress | None = None,
) -> ExampleSource:
    """The examples of a configuration. The `first` rank embeds the texts that they need, and the others wait for it.

    Raises UserError without training samples.
    """
    train = config.profile.train
    samples = corpus.training_samples(limit=train.limit)
    if not samples:
        raise UserError(f"data '{config.data}' has no training samples; build it with --train-inputs of at least 1")
    k = config.profile.k if train.k is None else train.k
    training = config.model_copy(update={"k": k if config.retriever else 0})
    vectors = StoredEmbedder if first else AwaitedVectors
    resources = prefetch.resources(training, samples, corpus, Templates(encoder), out=out, vectors=vectors)
    if first:
        prefetch.embed(method, training, samples, resources, out=out, progress=progress)
    else:
        resources.vectors.embed(prefetch.compared(method, training, samples, resources))
    return ExampleSource(method, samples, corpus, resources, encoder, config.profile.max_new_tokens, config.seed)
