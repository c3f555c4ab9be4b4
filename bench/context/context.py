"""The context of one sample: `bench.protocols.Context` over the run's retriever, peers, budget and engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from bench.context.soft_use import soft_use
from bench.data.corpus import Corpus
from bench.errors import BenchError, SampleFailure, UserError
from bench.generate.prompts.budget import Count, fit
from bench.generate.reasoning import parted
from bench.generate.service import Completer
from bench.protocols import PromptBuilder, TextVectors
from bench.seeds import derive
from bench.types import Completion, Prompt, Request, Review, Sample, Sampling, Slot, StageCost, Trace, Truth

if TYPE_CHECKING:
    from bench.protocols import Vectors


class SlotEncoder(Protocol):
    """A trained module: turns slots into soft prompt embeddings."""

    def __call__(self, slots: Sequence[Slot]) -> Vectors:
        """(n, hidden size) fp32 soft prompt embeddings of these slots, in order."""
        ...


def untrained(slots: Sequence[Slot]) -> Vectors:
    raise UserError("this method's prompt has soft slots, but nothing is trained for it; see docs/plugins.md")


def unseen(stage: str, cost: StageCost) -> None:
    """The default of `answered`: does nothing."""


@dataclass(frozen=True)
class CellResources:
    """What all samples of one cell share.

    `retrieved`: sample id -> its retrieved reviews, best first. `uncompared`: sample id -> why the retriever has
    nothing to compare. `failed`: sample id -> why its prefetch failed, so that it cannot be written. `answered` is
    called with (stage, cost) for every answer.
    """

    corpus: Corpus
    service: Completer
    retrieved: Mapping[str, tuple[Review, ...]]
    vectors: TextVectors
    sampling: Sampling
    input_budget: int
    stage_budget: int
    seed: int
    keep_reasoning: bool = False
    sees_truth: bool = False
    slot_encoder: SlotEncoder = untrained
    answered: Callable[[str, StageCost], None] = unseen
    failed: dict[str, BenchError] = field(default_factory=dict)
    uncompared: Mapping[str, str] = field(default_factory=dict)


@dataclass
class SampleContext:
    """Implements `bench.protocols.Context` and keeps the trace that becomes part of the sample's row."""

    sample: Sample
    cell: CellResources
    trace: Trace = field(default_factory=Trace)

    def retrieve(self, sample: Sample) -> tuple[Review, ...]:
        reviews = self.cell.retrieved.get(sample.sample_id, ())
        self.trace.retrieved = tuple(review.review_id for review in reviews)
        self.trace.uncompared = self.cell.uncompared.get(sample.sample_id, "")
        return reviews

    def peers(self, review: Review, *, before: int | None = None) -> tuple[Review, ...]:
        return self.cell.corpus.peers(review, before=before)

    def reviews_of(self, category: str, user_id: str, *, before: int | None = None) -> tuple[Review, ...]:
        if (category, user_id) == (self.sample.category, self.sample.user_id):
            return self.sample.history
        return self.cell.corpus.reviews_of(category, user_id, before=before)

    def users(self, category: str) -> tuple[str, ...]:
        return self.cell.corpus.users(category)

    def embed(self, texts: Sequence[str]) -> Vectors:
        return self.cell.vectors.embed(texts)

    def truth(self, sample: Sample) -> Truth:
        found = self.cell.corpus.truth(sample) if self.cell.sees_truth else None
        if found is None:
            raise UserError("only a ceiling (`sees_truth`) on a planted world may ask for what is planted")
        return found

    def note(self, name: str, value: Any) -> None:
        self.trace.notes[name] = value

    def fit(
        self,
        build: PromptBuilder,
        sample: Sample,
        reviews: tuple[Review, ...] = (),
        *,
        keep: int = 1,
        intermediate: bool = False,
    ) -> Prompt:
        budget = self.cell.stage_budget if intermediate else self.cell.input_budget
        prompt, dropped = fit(build, sample, reviews, count=self._counter(), budget=budget, keep=keep)
        if intermediate:
            self.trace.dropped_before.add(dropped)
        else:
            self.trace.dropped.add(dropped)
            own = {review.review_id for review in self.sample.history}
            self.trace.kept = sum(one.review_id in own for one in reviews[: len(reviews) - dropped.reviews])
        return prompt

    def _counter(self) -> Count:
        """The encoder's own `count`, if it has one: it need not tokenize the whole prompt."""
        encoder = self.cell.service.generator.encoder
        return getattr(encoder, "count", lambda prompt, *, limit: len(encoder.encode(prompt)))

    async def generate(self, prompt: Prompt, *, stage: str, key: str = "", max_new_tokens: int | None = None) -> str:
        sampling = self.cell.sampling
        if max_new_tokens is not None:
            sampling = replace(sampling, max_new_tokens=min(max_new_tokens, sampling.max_new_tokens))
        request = Request(
            ids=self.cell.service.generator.encoder.encode(prompt),
            sampling=sampling,
            seed=derive(self.cell.seed, stage, key or self.sample.sample_id),
            stage=stage,
            embeds=self.cell.slot_encoder(prompt.slots) if prompt.slots else None,
        )
        if request.embeds is not None:
            self.trace.soft = soft_use(prompt.slots, request.embeds)
        completion, from_store, store_key = await self.cell.service.complete(prompt, request)
        self.trace.requests.append((stage, store_key))
        self.trace.finish.append((stage, completion.finish))
        text, thoughts, failure = self._answer(completion)
        self.trace.reasoning += [(stage, thought) for thought in thoughts]
        cost = StageCost(
            requests=1,
            from_store=int(from_store),
            prompt_tokens=completion.n_prompt,
            cached_tokens=0 if from_store else completion.n_cached,
            new_tokens=completion.n_new,
            capped=int(completion.finish == "length"),
            reasoned=int(bool(thoughts)),
            engine_seconds=0.0 if from_store else completion.seconds,
        )
        self.trace.stages.setdefault(stage, StageCost()).add(cost)
        self.cell.answered(stage, cost)
        if failure:
            raise failure
        return text.strip()

    def _answer(self, completion: Completion) -> tuple[str, list[str], SampleFailure | None]:
        """(the answer, the reasoning before it, why there is no answer). The store keeps both as they came."""
        apart = [completion.reasoning] if completion.reasoning else []
        if self.cell.keep_reasoning:
            return completion.text, apart, None
        try:
            opened = getattr(self.cell.service.generator.encoder, "opens_reasoning", "")
            text, thoughts = parted(completion.text, opened=opened)
        except SampleFailure as failure:
            return "", [*apart, completion.text], failure
        return text, [*apart, *thoughts], None
