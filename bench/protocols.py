"""The whole contract: what a method, retriever, generator, embedder and metric are.

Plug points are protocols, not base classes: a third party's class needs no import of ours. A class
that implements one of them is a dataclass, and the fields of the dataclass are its options
(`--set rag.order=chronological`), validated by `bench.registry`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from bench.types import Column, Completion, Prompt, Request, Review, Sample, Slot

    Vectors = NDArray[np.float32]

# A prompt as a pure function of what the budget may shorten: the sample (its item's
# description) and the past reviews, best first.
PromptBuilder = Callable[["Sample", tuple["Review", ...]], "Prompt"]


class Context(Protocol):
    """What one sample's method may ask for. Owns budgets, seeds, batching, storing and accounting."""

    def retrieve(self, sample: Sample) -> tuple[Review, ...]:
        """The run's retriever: at most K reviews of the sample's own history, best first."""
        ...

    def peers(self, review: Review, *, before: int | None = None) -> tuple[Review, ...]:
        """Other users' reviews of the same item, by user id; never a validation or test target of theirs.

        With `before` (ms since 1970) only older ones.
        """
        ...

    def reviews_of(self, category: str, user_id: str, *, before: int | None = None) -> tuple[Review, ...]:
        """What this user wrote in the category, in corpus order; never a validation or test target.

        Of the sample's own user it is the sample's history, whatever was written later. `before` as for `peers`.
        """
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, d) vectors of the profile's embedder, in order. Only texts that `EmbeddingMethod.texts` named."""
        ...

    def note(self, name: str, value: Any) -> None:
        """Puts a JSON value on the sample's row in samples.jsonl, under `notes`."""
        ...

    def fit(self, build: PromptBuilder, sample: Sample, reviews: tuple[Review, ...] = (), *, keep: int = 1) -> Prompt:
        """`build(sample, reviews)` inside the input budget (spec, Retrieval); records what was cut.

        The first `keep` reviews are not dropped but shortened. Raises SampleFailure where even the parts that
        are never cut exceed the budget.
        """
        ...

    async def generate(self, prompt: Prompt, *, stage: str, key: str = "", max_new_tokens: int | None = None) -> str:
        """The model's answer, stripped. Never generated again once stored.

        The seed derives from (run seed, stage, key); key defaults to the sample's id. Requests that
        several samples or cells share (an item's comparison, say) name themselves by a key of their own.
        `max_new_tokens` lowers the profile's limit for this request.
        """
        ...


class Method(Protocol):
    """How one sample is written. Many samples run at once; no stage waits for another sample."""

    @property
    def label(self) -> str:
        """The name in tables, as papers spell it."""
        ...

    @property
    def uses_retriever(self) -> bool:
        """False: the run has no retriever and no K, and a grid has it once."""
        ...

    @property
    def uses_embeddings(self) -> bool:
        """True: the class is an `EmbeddingMethod`, and the embedder's weights are part of the run's identity."""
        ...

    async def write(self, sample: Sample, ctx: Context) -> str: ...


class EmbeddingMethod(Method, Protocol):
    """A method that compares texts in the embedder's space."""

    def texts(self, sample: Sample, ctx: Context) -> Iterable[str]:
        """What `write` will ask `ctx.embed` for; embedded for all samples in one go, before the engine starts.

        May call `ctx.retrieve`, `ctx.peers` and `ctx.reviews_of`, nothing else of the context.
        """
        ...


@dataclass(frozen=True)
class Space:
    """The two ends of a soft-prompt module: the embedder's vectors and the rows of the language model's table.

    `mean` and `std`, (rows,) fp32, are of the table's rows, coordinate by coordinate; `norm` is their mean length.
    """

    vector_size: int
    hidden_size: int
    mean: Vectors
    std: Vectors
    norm: float


class SoftModule(Protocol):
    """A `torch.nn.Module` (fp32) that turns slots into rows. Frozen vectors of it are buffers, kept with the rest."""

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """What each auxiliary loss is multiplied by in the total: total = cross entropy + sum of weight * loss."""
        ...

    def __call__(self, slots: Sequence[Slot]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(n, hidden size) rows in the slots' order, and the auxiliary losses by name, unweighted.

        In training the slots are those of a whole effective batch, so that statistics are over the batch's rows.
        """
        ...


@runtime_checkable
class SoftPromptMethod(EmbeddingMethod, Protocol):
    """A method with trained rows in its prompt. The language model stays frozen; the module is what is trained."""

    @property
    def training(self) -> Mapping[str, Any]:
        """What these options change in the profile's [train]; an explicit `--set train.x` goes before it."""
        ...

    @property
    def varies(self) -> bool:
        """True: `prompt` follows its `variation`, and the trainer asks for the examples of every epoch anew."""
        ...

    def module(self, space: Space) -> torch.nn.Module:
        """A new `SoftModule`, initialised from torch's global generator, which the trainer has seeded."""
        ...

    def prompt(self, sample: Sample, ctx: Context, *, variation: int = 0) -> Prompt:
        """The prompt, fitted, with slots that hold their features. `write` generates from it.

        `variation` is a seed of the trainer's, new for each epoch, for methods that vary what they train on; 0 asks for
        the prompt as it is.
        """
        ...


class TextVectors(Protocol):
    """Vectors of texts, wherever they come from."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32, in order; each distinct text is computed once."""
        ...


class RetrievalContext(TextVectors, Protocol):
    """What a retriever may ask for: a seed, and vectors of the retrieval encoder."""

    @property
    def seed(self) -> int: ...


class Retriever(Protocol):
    """Ranks a sample's own history. Stateless: everything it needs comes in by its arguments."""

    @property
    def uses_embeddings(self) -> bool:
        """True: the retrieval encoder's weights are part of the run's identity."""
        ...

    def texts(self, samples: Sequence[Sample]) -> Iterable[str]:
        """The texts whose vectors `rank` will ask for; embedded in one go before the run."""
        ...

    def rank(self, sample: Sample, k: int, ctx: RetrievalContext) -> tuple[Review, ...]:
        """min(k, n) reviews, best first; an empty history gives none."""
        ...


class PromptEncoder(Protocol):
    """Renders prompts to the token ids of one model."""

    @property
    def slot_id(self) -> int:
        """The id that stands at every slot and nowhere else. Raises UserError where the tokenizer has none to spare."""
        ...

    def encode(self, prompt: Prompt) -> tuple[int, ...]: ...


class Generator(Protocol):
    """A language model behind an engine: continuous batching is the engine's, order is nobody's."""

    @property
    def encoder(self) -> PromptEncoder: ...

    def identity(self) -> Mapping[str, Any]:
        """Everything but the request that can change a completion. Part of every store key."""
        ...

    async def start(self) -> None: ...

    async def generate(self, request: Request) -> Completion:
        """Raises SampleFailure for a request that cannot be served, EngineError for a dead engine.

        UserError where the request has soft prompt embeddings and the engine takes none.
        """
        ...

    async def close(self) -> None: ...


class Embedder(Protocol):
    """A frozen text encoder."""

    def identity(self) -> str:
        """Names the weights, pooling and limits: the key under which vectors are kept."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors: ...


class DataSource(Protocol):
    """A dataset of a plug-in's."""

    def folder(self) -> Path:
        """Where the dataset lies, in the layout of `bench.data.folder`; made by this call if it must be."""
        ...


class Metric(Protocol):
    """Compares texts. Per-sample rows are stored; corpus values are aggregated from rows alone.

    So a table can be re-sliced or resampled without the texts: BLEU's rows are n-gram statistics. A class with
    `per_pair = True` promises that a row depends on its own pair alone: its pairs are spread over processes.
    """

    @property
    def columns(self) -> tuple[Column, ...]: ...

    def score(self, predictions: Sequence[str], references: Sequence[str]) -> list[dict[str, Any]]:
        """One row a pair, JSON values only. An empty prediction gets a row that scores 0."""
        ...

    def aggregate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """One value a column over these rows."""
        ...

    def versions(self) -> dict[str, str]:
        """Packages, models and data that the values depend on."""
        ...


class CorpusMetric(Metric, Protocol):
    """A metric whose values are no means of its rows: they are made of sums over rows, as corpus BLEU is of counts.

    Every other metric's column is the mean of the rows' entry of the same name, those without one left out.
    """

    def statistics(self, row: Mapping[str, Any]) -> Sequence[float]:
        """The m numbers of one row that are summed."""
        ...

    def values(self, sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """(..., m) sums to (...) values a column: equal to `aggregate` over the rows that were summed."""
        ...
