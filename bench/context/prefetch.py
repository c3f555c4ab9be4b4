"""Prefetch, before the engine starts: the retrieved reviews of a cell, and the vectors that its method will ask for.

Vectors come from the store or are computed now, all together, so that the encoder's memory is free for the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bench import plugins, registry
from bench.config import RunConfig
from bench.context import comparing
from bench.context.context import CellResources, SampleContext
from bench.data import swap
from bench.data.corpus import Corpus
from bench.embed.encoders import create as create_encoder
from bench.embed.store import Progress, StoredEmbedder, VectorStore
from bench.errors import BenchError, EngineError, SampleFailure, UserError
from bench.generate.service import Completer
from bench.protocols import Embedder, TextVectors
from bench.types import Review, Sample

if TYPE_CHECKING:
    from bench.protocols import EmbeddingMethod, Method, Retriever, Vectors

MakeVectors = Callable[[VectorStore, Embedder], TextVectors]


@dataclass(frozen=True)
class RetrieverContext:
    """`bench.protocols.RetrievalContext`."""

    seed: int
    vectors: TextVectors

    def embed(self, texts: Sequence[str]) -> Vectors:
        return self.vectors.embed(texts)


def vector_store(out: Path) -> VectorStore:
    """The vector store of an output folder."""
    return VectorStore(out / ".store" / "vectors.sqlite")


def resources(
    config: RunConfig,
    samples: Sequence[Sample],
    corpus: Corpus,
    service: Completer,
    *,
    out: Path,
    vectors: MakeVectors = StoredEmbedder,
) -> CellResources:
    """Retrieves for all samples of a cell. `vectors` makes the source of vectors for a store and an encoder.

    A sample on which the retriever fails is in `failed`, with the reason.
    """
    store = vector_store(out)
    uncompared: dict[str, str] = {}
    failed: dict[str, BenchError] = {}
    ranking = vectors(store, create_encoder(config.profile.retrieval_encoder))
    return CellResources(
        corpus=corpus,
        service=service,
        retrieved=retrieve(config, samples, ranking, failed, uncompared),
        uncompared=uncompared,
        vectors=vectors(store, create_encoder(config.profile.embedder)),
        sampling=config.profile.sampling,
        input_budget=config.profile.input_budget,
        stage_budget=config.profile.stage_budget,
        seed=config.seed,
        keep_reasoning=config.profile.reasoning == "keep",
        sees_truth=getattr(registry.load("method", config.method), "sees_truth", False),
        failed=failed,
    )


def retrieve(
    config: RunConfig,
    samples: Sequence[Sample],
    vectors: TextVectors,
    failed: dict[str, BenchError],
    uncompared: dict[str, str],
) -> dict[str, tuple[Review, ...]]:
    """sample id -> retrieved reviews, best first.

    Adds to `failed` the samples on which the retriever fails, and to `uncompared` those for which it has nothing to
    compare, each with the reason.
    """
    if config.retriever is None or config.k == 0:
        return {}
    retriever = registry.create("retriever", config.retriever, config.retriever_options)
    ctx = RetrieverContext(config.seed, vectors)
    if texts := list(dict.fromkeys(_texts(config.retriever, retriever, samples, failed))):
        ctx.embed(texts)
    found = {}
    for sample in samples:
        if sample.sample_id not in failed:
            with _recorded(failed, "retriever", config.retriever, sample):
                found[sample.sample_id] = _ranked(retriever.rank(sample, config.k, ctx), sample, config)
                if why := comparing.why_not(retriever, sample):
                    uncompared[sample.sample_id] = why
    return found


@contextmanager
def _recorded(failed: dict[str, BenchError], kind: registry.Kind, name: str, sample: Sample) -> Iterator[None]:
    """Runs a component for one sample: an error becomes this sample's failure, unless it ends the whole run."""
    try:
        yield
    except (EngineError, UserError):
        raise
    except SampleFailure as failure:
        failed[sample.sample_id] = failure
    except (Exception, SystemExit) as error:
        failed[sample.sample_id] = plugins.failed(kind, name, f"on sample {sample.sample_id}", error)


def _texts(name: str, retriever: Retriever, samples: Sequence[Sample], failed: dict[str, BenchError]) -> Sequence[str]:
    """The texts that the retriever will compare; asked sample by sample where it fails on all at once."""
    try:
        return _checked_texts(retriever.texts(samples))
    except (EngineError, UserError):
        raise
    except (Exception, SystemExit):
        found: list[str] = []
        for sample in samples:
            with _recorded(failed, "retriever", name, sample):
                found += _checked_texts(retriever.texts([sample]))
        return found


def _checked_texts(texts: Iterable[str]) -> list[str]:
    found = list(texts)
    for text in found:
        if not isinstance(text, str):
            raise TypeError(f"texts() gave {type(text).__name__}, not a text")
    return found


def _ranked(found: Any, sample: Sample, config: RunConfig) -> tuple[Review, ...]:
    """The retriever's answer, checked. Raises TypeError, ValueError or SampleFailure where it breaks the contract."""
    if not isinstance(found, tuple | list):
        raise TypeError(f"rank() gave {type(found).__name__}, not a tuple of reviews")
    own = {review.review_id for review in sample.history}
    for review in found:
        if not isinstance(review, Review):
            raise TypeError(f"rank() gave {type(review).__name__} for a review")
        if review.review_id not in own:
            raise ValueError(f"rank() gave {review.review_id}, which is not in the sample's history")
    if len(found) > config.k:
        raise SampleFailure(f"retriever '{config.retriever}' gave {len(found)} reviews where K = {config.k}")
    return tuple(found)


def histories(config: RunConfig, corpus: Corpus, *, out: Path, vectors: MakeVectors = StoredEmbedder) -> dict[str, str]:
    """Sample id -> the user whose history the run shows, where vectors decide that. One embedding of all users."""
    source = vectors(vector_store(out), create_encoder(config.profile.embedder))
    return swap.by_vectors(swap.own(config, corpus), corpus, config.history, source)


def embed(
    method: Method,
    config: RunConfig,
    samples: Sequence[Sample],
    resources: CellResources,
    *,
    out: Path,
    progress: Progress | None = None,
) -> None:
    """Stores the vectors of every text that the method will compare, for all samples.

    It uses an encoder of its own, so that the one in `resources` stays unloaded and only reads the store.
    """
    if texts := compared(method, config, samples, resources):
        vector_store(out).ensure(create_encoder(config.profile.embedder), texts, progress=progress)


def compared(method: Method, config: RunConfig, samples: Sequence[Sample], resources: CellResources) -> list[str]:
    """The texts whose vectors the method will compare. A sample whose texts it cannot name fails."""
    if not method.uses_embeddings:
        return []
    comparing = cast("EmbeddingMethod", method)
    texts: list[str] = []
    for sample in samples:
        if sample.sample_id not in resources.failed:
            with _recorded(resources.failed, "method", config.method, sample):
                texts += _checked_texts(comparing.texts(sample, SampleContext(sample, resources)))
    return texts
