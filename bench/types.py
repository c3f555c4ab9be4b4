"""The nouns of the suite: plain frozen data that all parts exchange.

A `Sample` deliberately has no review text. The text that a method has to write is in the corpus (`Corpus.reference`),
which methods and retrievers never see, so that no prompt, query or embedding can leak it by accident.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Split = Literal["train", "val", "test"]
History = Literal["own", "random", "similar", "dissimilar"]  # whose a sample shows: bench/data/swap.py
BY_VECTORS: tuple[History, ...] = ("similar", "dissimilar")  # chosen by vectors of the embedder


@dataclass(frozen=True, slots=True)
class Item:
    """A reviewed product, identified by (category, item_id), as ids repeat across categories."""

    category: str
    item_id: str
    title: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """A real review: of the user's history, or by a peer.

    `timestamp` is in milliseconds since 1970, or None where the source has none.
    """

    review_id: str
    user_id: str
    item: Item
    rating: float
    title: str
    text: str
    timestamp: int | None = None

    @property
    def category(self) -> str:
        return self.item.category


@dataclass(frozen=True, slots=True)
class Sample:
    """A review to be written: of item i', by user u', with this rating and title.

    `history` holds the user's earlier reviews in corpus order, newest first.
    """

    sample_id: str
    split: Split
    user_id: str
    item: Item
    rating: float
    title: str
    timestamp: int | None = None
    history: tuple[Review, ...] = ()

    @property
    def category(self) -> str:
        return self.item.category


@dataclass(frozen=True, slots=True)
class Truth:
    """What a planted world knows of a sample: habit -> its user's value, None where the user has none of the kind.

    `vocabulary`: all phrases of a kind in that world, which detectors need ("opening" -> its phrases).
    """

    habits: Mapping[str, str | None]
    vocabulary: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Target:
    """What a metric that sees samples compares a text with. `truth` is None for real reviews."""

    sample: Sample
    reference: str
    truth: Truth | None = None


@dataclass(frozen=True, slots=True)
class Author:
    """A user in one category, as metrics see users.

    `reviews` are those that no sample holds out, in corpus order. `held_out` are the user's validation and test
    targets: empty unless the metric says that it reads them.
    """

    category: str
    user_id: str
    reviews: tuple[Review, ...]
    held_out: tuple[Review, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTarget(Target):
    """What a metric that sees users compares a text with. All of it is real: no text that a method wrote.

    `sample.history` is what the method was shown, which is another user's where histories are swapped; `author.reviews`
    is always the real user's history of this sample. Neither holds the reference.
    """

    author: Author
    peers: tuple[Review, ...]  # other users' reviews of the item, by user id
    others: tuple[Author, ...]  # of the category, in an order that the sample alone decides; no review of its item
    users: tuple[Author, ...]  # all of the category, by id, without what is held out; one tuple for all samples


@dataclass(frozen=True, slots=True)
class Slot:
    """A placeholder in a user message for one soft prompt embedding. It is no text, so no text can imitate it.

    The part of the method's module called `name` computes the embedding from `features`, each (n, d) or (d,) fp32.
    Slots with the same name are equal: a tokenizer cannot tell them apart.
    """

    name: str
    features: tuple[NDArray[np.float32], ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A system and a user message. The model's own chat template renders it (bench.generate.prompts.chat).

    The user message of a soft prompt is a sequence of texts and slots.
    """

    system: str
    user: str | tuple[str | Slot, ...]

    @property
    def parts(self) -> tuple[str | Slot, ...]:
        """The user message with neighbouring texts joined, so that they are tokenized as one."""
        if isinstance(self.user, str):
            return (self.user,)
        joined: list[str | Slot] = []
        for part in self.user:
            if isinstance(part, str) and joined and isinstance(joined[-1], str):
                joined[-1] += part
            else:
                joined.append(part)
        return tuple(joined)

    @property
    def slots(self) -> tuple[Slot, ...]:
        return () if isinstance(self.user, str) else tuple(part for part in self.user if isinstance(part, Slot))

    @property
    def text(self) -> str:
        """The user message for people: a slot is its name in angle brackets."""
        return "".join(part if isinstance(part, str) else f"<{part.name}>" for part in self.parts)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are sampled. The model's generation_config is never applied.

    Temperature 0 is greedy. `max_new_tokens` counts the end token.
    """

    temperature: float = 0.8
    top_p: float = 0.95
    max_new_tokens: int = 2048


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the model: rendered token ids, how to sample, and a seed of its own.

    `embeds`, (n, hidden_size) fp32, are the soft prompt embeddings that replace the n ids equal to the encoder's
    `slot_id`, in order. `stage` is the method's name for the request, under which costs are summed. It changes neither
    the answer nor its key in the request store.
    """

    ids: tuple[int, ...]
    sampling: Sampling
    seed: int
    stage: str = ""
    embeds: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Completion:
    """The model's answer. `text` has no special tokens; `ids` are the new tokens.

    `n_cached` of the `n_prompt` tokens came from the engine's prefix cache. `seconds` is the request's share of the
    engine's time (bench.generate.clock), which no generator needs to fill in. `counted` is the number of new tokens
    where a server reports no ids. `reasoning` is what a server keeps apart from the text.
    """

    text: str
    ids: tuple[int, ...]
    finish: Literal["stop", "length", "unknown"]
    n_prompt: int
    n_cached: int = 0
    seconds: float = 0.0
    counted: int | None = None
    reasoning: str = ""

    @property
    def n_new(self) -> int:
        return len(self.ids) if self.counted is None else self.counted


@dataclass(frozen=True, slots=True)
class Column:
    """A value of a metric: its key in files, its label in tables, and the digits to show.

    Every table shows the `main` columns; the others are shown on request. `higher_is_better` None: the column has no
    direction, so that no value is best, better or worse.
    """

    key: str
    label: str
    digits: int = 4
    higher_is_better: bool | None = None
    main: bool = True


@dataclass(slots=True)
class Dropped:
    """What an input budget cut from prompts of a sample. Zero: nothing."""

    reviews: int = 0
    description_chars: int = 0
    text_chars: int = 0

    def add(self, other: Dropped) -> None:
        self.reviews += other.reviews
        self.description_chars += other.description_chars
        self.text_chars += other.text_chars


@dataclass(slots=True)
class StageCost:
    """The cost of one stage of one sample, or of a whole run. `requests` are all that were answered, `from_store` those
    of them that were not generated for it. `capped`: answers that ended at their limit of new tokens; `reasoned`:
    answers that had reasoning before them; `engine_seconds`: the engine's time, shared among the requests in it.
    """

    requests: int = 0
    from_store: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    new_tokens: int = 0
    capped: int = 0
    reasoned: int = 0
    engine_seconds: float = 0.0

    def add(self, other: StageCost) -> None:
        self.requests += other.requests
        self.from_store += other.from_store
        self.prompt_tokens += other.prompt_tokens
        self.cached_tokens += other.cached_tokens
        self.new_tokens += other.new_tokens
        self.capped += other.capped
        self.reasoned += other.reasoned
        self.engine_seconds += other.engine_seconds

    @property
    def truncated(self) -> float | None:
        """The share of answers that ended at their limit of new tokens; None without any answer."""
        return self.capped / self.requests if self.requests else None


@dataclass(slots=True)
class EngineUse:
    """One engine's work for one command. `requests` are all that were answered, `from_store` those of them that were
    not generated; `engine_seconds`: the time in which at least one request was in the engine.
    """

    requests: int = 0
    from_store: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    new_tokens: int = 0
    start_seconds: float = 0.0
    engine_seconds: float = 0.0

    @property
    def generated(self) -> int:
        return self.requests - self.from_store

    @property
    def tokens_per_second(self) -> float:
        return self.new_tokens / max(self.engine_seconds, 1e-9) if self.generated else 0.0


@dataclass(frozen=True, slots=True)
class SoftUse:
    """The soft prompt embeddings of one prompt, of the slots of one name.

    `slots`: how many. `vectors`: the feature vectors that they are made from, and `features` the mean length of these;
    `embeds`: the mean length of the embeddings as the engine gets them. A length is an L2 norm.
    """

    slots: int
    vectors: int
    features: float
    embeds: float


@dataclass(slots=True)
class Trace:
    """What happened while one sample was written. Becomes part of its row in samples.jsonl.

    `kept`: how many past reviews stand in the prompt that writes the text; None where no such prompt was fitted.
    `dropped` is of that prompt, `dropped_before` of the prompts of the stages before it, together. `uncompared`: why
    the retriever had nothing to compare, "" where it had. `finish`: how each answer ended. `soft`: name of slots ->
    their embeddings, of the last prompt that has some.
    """

    retrieved: tuple[str, ...] = ()
    uncompared: str = ""
    kept: int | None = None
    dropped: Dropped = field(default_factory=Dropped)
    dropped_before: Dropped = field(default_factory=Dropped)
    stages: dict[str, StageCost] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)  # (stage, store key), in order
    finish: list[tuple[str, str]] = field(default_factory=list)  # (stage, stop | length | unknown), in the same order
    soft: dict[str, SoftUse] = field(default_factory=dict)
    reasoning: list[tuple[str, str]] = field(default_factory=list)  # (stage, what the model thought before answering)
    notes: dict[str, Any] = field(default_factory=dict)  # by `Context.note`
