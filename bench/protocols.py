"""The whole contract: what a method, retriever, generator, embedder, dataset and metric are.

They are protocols, not base classes, so that a plug-in needs no import of ours. A class that implements a protocol is a
dataclass; its fields are its options (`--set rag.order=chronological`), and `bench.registry` checks them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from bench.types import Column, Completion, Prompt, Request, Review, Sample, Slot, Target, Truth, UserTarget

    Vectors = NDArray[np.float32]

# A pure function from what the budget may shorten to a prompt: the sample (the description of its item) and past
# reviews, best first.
PromptBuilder = Callable[["Sample", tuple["Review", ...]], "Prompt"]


class Context(Protocol):
    """What a method may ask for while it writes one sample. Owns budgets, seeds, batching, storing and accounting."""

    def retrieve(self, sample: Sample) -> tuple[Review, ...]:
        """The run's retriever: at most K reviews of the sample's own history, best first."""
        ...

    def peers(self, review: Review, *, before: int | None = None) -> tuple[Review, ...]:
        """Other users' reviews of the same item, by user id. Their validation and test targets are left out.

        `before` (ms since 1970) leaves out the reviews from then on.
        """
        ...

    def reviews_of(self, category: str, user_id: str, *, before: int | None = None) -> tuple[Review, ...]:
        """This user's reviews in the category, in corpus order. Validation and test targets are left out.

        For the sample's own user this is the sample's history, without later reviews. `before` as for `peers`.
        """
        ...

    def users(self, category: str) -> tuple[str, ...]:
        """Ids of the category's users who have a review that is not held out, sorted. `reviews_of` reads them."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, d) vectors of the profile's embedder, in order. Only for texts that `EmbeddingMethod.texts` returned."""
        ...

    def truth(self, sample: Sample) -> Truth:
        """What a planted world knows of the sample: only for methods with `sees_truth = True`, which are ceilings."""
        ...

    def note(self, name: str, value: Any) -> None:
        """Adds a JSON value to the sample's row in samples.jsonl, under `notes`."""
        ...

    def fit(
        self,
        build: PromptBuilder,
        sample: Sample,
        reviews: tuple[Review, ...] = (),
        *,
        keep: int = 1,
        intermediate: bool = False,
    ) -> Prompt:
        """`build(sample, reviews)` within the input budget (docs/concepts.md). Records what was dropped or truncated.

        The first `keep` reviews may be truncated but not dropped. `intermediate`: the prompt of a stage before the one
        that writes the text, which has the profile's `stage_input_budget`. Raises SampleFailure where the parts that
        are never cut already exceed the budget.
        """
        ...

    async def generate(self, prompt: Prompt, *, stage: str, key: str = "", max_new_tokens: int | None = None) -> str:
        """The model's answer, stripped. A stored answer is not generated again.

        The seed derives from (run seed, stage, key); key defaults to the sample's id. A request that several samples
        or cells share (the comparison of an item, say) needs a key of its own. `max_new_tokens` lowers the profile's
        limit for this request.
        """
        ...


class Method(Protocol):
    """Writes one sample. Many samples are written at once, and none waits for a stage of another."""

    @property
    def label(self) -> str:
        """The name in tables, spelled as in the papers."""
        ...

    @property
    def uses_retriever(self) -> bool:
        """False: its runs have no retriever and no K, so a grid has one cell of it, not one a retriever and K."""
        ...

    @property
    def uses_embeddings(self) -> bool:
        """True: the class is an `EmbeddingMethod`, and the embedder's weights are part of the run's identity."""
        ...

    async def write(self, sample: Sample, ctx: Context) -> str: ...


class EmbeddingMethod(Method, Protocol):
    """A method that compares texts in the embedder's space."""

    def texts(self, sample: Sample, ctx: Context) -> Iterable[str]:
        """The texts that `write` passes to `ctx.embed`. Those of all samples are embedded before the engine starts.

        May call `ctx.retrieve`, `ctx.peers`, `ctx.reviews_of` and `ctx.users`, and nothing else of the context.
        """
        ...


@dataclass(frozen=True)
class Space:
    """The input and output of a soft-prompt module: the embedder's vectors and the language model's token embeddings.

    `mean` and `std`, (hidden_size,) fp32, are over all token embeddings; `norm` is their mean Euclidean norm.
    """

    vector_size: int
    hidden_size: int
    mean: Vectors
    std: Vectors
    norm: float


class SoftModule(Protocol):
    """A `torch.nn.Module` (fp32) from slots to soft prompt embeddings. Frozen vectors are buffers, which are saved."""

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """The weight of each auxiliary loss: total = cross entropy + sum of weight * loss."""
        ...

    def __call__(self, slots: Sequence[Slot]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(n, hidden_size) embeddings in the order of the n slots, and the auxiliary losses by name, unweighted.

        In training the slots are those of a whole effective batch, so that a loss may use statistics of the batch.
        """
        ...


@runtime_checkable
class SoftPromptMethod(EmbeddingMethod, Protocol):
    """A method with soft prompt embeddings in its prompt. Its module is trained; the language model stays frozen."""

    @property
    def training(self) -> Mapping[str, Any]:
        """Changes to the profile's [train] that the method's options need. `--set train.x` overrides them."""
        ...

    @property
    def varies(self) -> bool:
        """True: `prompt` depends on `variation`, and the trainer makes new examples for every epoch."""
        ...

    def module(self, space: Space) -> torch.nn.Module:
        """A new `SoftModule`, initialised from torch's global generator, which the trainer has seeded."""
        ...

    def prompt(self, sample: Sample, ctx: Context, *, variation: int = 0) -> Prompt:
        """The prompt within the budget, with slots that hold their features. `write` generates from it.

        `variation` is a seed of the trainer, new for each epoch, for methods that vary their training prompts. 0 asks
        for the prompt as it is written from.
        """
        ...


class TextVectors(Protocol):
    """Vectors of texts: computed, or read from the vector store."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32, in order; each distinct text is computed once."""
        ...


class RetrievalContext(TextVectors, Protocol):
    """What a retriever may ask for: a seed, and vectors of the retrieval encoder."""

    @property
    def seed(self) -> int: ...


class Retriever(Protocol):
    """Ranks a sample's own history. Stateless: everything it needs is an argument."""

    @property
    def uses_embeddings(self) -> bool:
        """True: the retrieval encoder's weights are part of the run's identity."""
        ...

    def texts(self, samples: Sequence[Sample]) -> Iterable[str]:
        """The texts whose vectors `rank` needs. They are embedded before the first request."""
        ...

    def rank(self, sample: Sample, k: int, ctx: RetrievalContext) -> tuple[Review, ...]:
        """min(k, n) reviews, best first; an empty history gives none."""
        ...


class ComparingRetriever(Retriever, Protocol):
    """A retriever that says for which samples it has nothing to compare, so that it cannot choose among the reviews.

    They are counted on their rows, in the summary and under tables. A run is refused where they are all.
    """

    @property
    def remedy(self) -> Mapping[str, Any]:
        """Options that give it more to compare: `{"fields": "full"}`. Empty where there are none."""
        ...

    def uncompared(self, sample: Sample) -> str:
        """Why, in a few words that do not name the sample, which has past reviews; "" where it can compare."""
        ...


class PromptEncoder(Protocol):
    """Renders prompts to the token ids of one model."""

    @property
    def slot_id(self) -> int:
        """The token id of every slot, used nowhere else. Raises UserError where the tokenizer has no unused id."""
        ...

    def encode(self, prompt: Prompt) -> tuple[int, ...]: ...


class Generator(Protocol):
    """A language model behind an engine. The engine batches requests; they may finish in any order."""

    @property
    def encoder(self) -> PromptEncoder: ...

    def identity(self) -> Mapping[str, Any]:
        """Everything besides the request that can change a completion. Part of every key of the request store."""
        ...

    async def start(self) -> None: ...

    async def generate(self, request: Request) -> Completion:
        """Raises SampleFailure for a request that cannot be served, EngineError for a dead engine.

        UserError where the request has soft prompt embeddings and the engine takes none.
        """
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Releasing(Protocol):
    """An embedder or metric that can give its model's memory back. It loads the model again where it must.

    Such a metric is kept for all runs that one command scores, so that its model is loaded once.
    """

    def release(self) -> None: ...


class Embedder(Protocol):
    """A frozen text encoder."""

    def identity(self) -> str:
        """Names the weights, pooling and limits. Part of every key of the vector store."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors: ...


class DataSource(Protocol):
    """A dataset of a plug-in."""

    def folder(self) -> Path:
        """The folder of the dataset, in the layout of `bench.data.folder`. This call may make it first."""
        ...


class Metric(Protocol):
    """Compares texts. Gives a row (a dict) a sample, which is stored, and values of a corpus from rows alone.

    So tables can select and resample samples without their texts: the rows of BLEU are n-gram counts. A class with
    `per_pair = True` promises that a row depends on its own pair only; pairs are then spread over processes.
    A class with `uses_gpu = True` scores only when no engine holds the GPU.
    """

    @property
    def columns(self) -> tuple[Column, ...]: ...

    def score(self, predictions: Sequence[str], references: Sequence[str]) -> list[dict[str, Any]]:
        """One row for each pair, of JSON values. An empty prediction gets a row that scores 0."""
        ...

    def aggregate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """column -> value over these rows."""
        ...

    def versions(self) -> dict[str, str]:
        """Packages, models and data that the values depend on."""
        ...


class SampleMetric(Protocol):
    """A metric that sees samples: `score` gets `Target`s in place of references. Else as `Metric`.

    With `needs_truth = True` it is refused, before anything is written, for data without planted habits.
    """

    sees_samples: Literal[True]

    def score(self, predictions: Sequence[str], targets: Sequence[Target]) -> list[dict[str, Any]]: ...


class UserMetric(Protocol):
    """A metric that asks whether a text is like this user: it sees the user, peers and other users. Else as `Metric`.

    `held_out` names the validation and test targets that it may read besides its own reference: those of "peers" (then
    these are among the peers' reviews), those of "others" (then `Author.held_out` has them), both or neither.
    """

    sees_users: Literal[True]
    held_out: tuple[Literal["peers", "others"], ...]

    def score(self, predictions: Sequence[str], targets: Sequence[UserTarget]) -> list[dict[str, Any]]: ...


class ReadingMetric(Metric, Protocol):
    """A metric that says which texts it cannot read as they are. Tables count them in a note; no value changes."""

    def unread(self, row: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
        """For a row of `score`: "reference", "prediction" or both -> why, in words that complete "3 of 24 references".

        Empty where both texts are read: `{"reference": ["hold no letter that it reads, and score 0"]}`. Blank texts are
        counted elsewhere.
        """
        ...


class CorpusMetric(Metric, Protocol):
    """A metric whose values come from sums over rows, as corpus BLEU comes from sums of counts.

    The columns of every other metric are means: of the entries of the same name in the rows that have one.
    """

    def statistics(self, row: Mapping[str, Any]) -> Sequence[float]:
        """The m numbers of one row that are summed over rows."""
        ...

    def values(self, sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """column -> (...) values from (..., m) sums: what `aggregate` gives for the rows that were summed."""
        ...
