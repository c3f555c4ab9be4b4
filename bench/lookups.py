"""What a cell looks up before the engine starts: retrieved reviews, and the vectors that its method will ask for.

Vectors come from the store or are computed now, in one go; the encoder is gone again before the engine
takes the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bench import registry
from bench.config import RunConfig
from bench.context import CellResources, SampleContext
from bench.data.corpus import Corpus
from bench.embed.encoders import create as create_encoder
from bench.embed.store import Progress, StoredEmbedder, VectorStore
from bench.errors import SampleFailure
from bench.generate.service import Completer
from bench.protocols import Embedder, TextVectors
from bench.types import Review, Sample

if TYPE_CHECKING:
    from bench.protocols import EmbeddingMethod, Method, Vectors

MakeVectors = Callable[[VectorStore, Embedder], TextVectors]


@dataclass(frozen=True)
class RetrieverContext:
    """`bench.protocols.RetrievalContext`."""

    seed: int
    vectors: TextVectors

    def embed(self, texts: Sequence[str]) -> Vectors:
        return self.vectors.embed(texts)


def vector_store(out: Path) -> VectorStore:
    """The vectors of an output folder."""
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
    """What the samples of a cell share; retrieves for all of them. `vectors` says where vectors come from."""
    store = vector_store(out)
    return CellResources(
        corpus=corpus,
        service=service,
        retrieved=retrieve(config, samples, vectors(store, create_encoder(config.profile.retrieval_encoder))),
        vectors=vectors(store, create_encoder(config.profile.embedder)),
        sampling=config.profile.sampling,
        input_budget=config.profile.input_budget,
        seed=config.seed,
        asked=(config.retriever or "", config.k),
    )


def retrieve(config: RunConfig, samples: Sequence[Sample], vectors: TextVectors) -> dict[str, tuple[Review, ...]]:
    """sample id -> retrieved reviews, best first."""
    if config.retriever is None or config.k == 0:
        return {}
    retriever = registry.create("retriever", config.retriever, config.retriever_options)
    ctx = RetrieverContext(config.seed, vectors)
    if texts := list(dict.fromkeys(retriever.texts(samples))):
        ctx.embed(texts)
    return {sample.sample_id: retriever.rank(sample, config.k, ctx) for sample in samples}


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

    By an encoder of its own: that of the resources stays unloaded and reads what is stored here.
    """
    if not method.uses_embeddings:
        return
    comparing = cast("EmbeddingMethod", method)
    texts: list[str] = []
    for sample in samples:
        with suppress(SampleFailure):  # its row will say so
            texts += comparing.texts(sample, SampleContext(sample, resources))
    vector_store(out).ensure(create_encoder(config.profile.embedder), texts, progress=progress)
