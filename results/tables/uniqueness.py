"""Unique and Non-Unique users (the paper's figure 3, after DPL).

A user's vector is the mean embedding of the history, made by the profile's embedder. In each category, a user is Unique
if the vector's distance from the mean over all users is above the median distance. Ties are Non-Unique. All users of
the split count, whatever a run's limit is, so that a limit changes nobody's group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.corpus import Corpus, load
from bench.data.swap import samples_of
from bench.errors import UserError
from bench.score.written import read_config
from results.tables.finished_runs import FinishedRun

if TYPE_CHECKING:
    from bench.config import EncoderConfig
    from bench.console.meter import Meter
    from bench.embed.store import StoredEmbedder
    from bench.protocols import TextVectors
    from bench.types import Sample
    from results.statistics.resampling import Mask

UNIQUE, OTHERS = "Unique", "Non-Unique"
User = tuple[str, str]  # (category, user id)


@dataclass(frozen=True)
class Source:
    """The users of one dataset and split, and where their vectors are kept."""

    corpus: Corpus
    samples: Sequence[Sample]
    vectors: StoredEmbedder

    def texts(self) -> list[str]:
        """Every past review once."""
        return list(dict.fromkeys(review.text for sample in self.samples for review in sample.history))


def embed(found: Sequence[FinishedRun], meter: Meter) -> None:
    """Computes and stores the vectors that are missing, so that `cut` only reads."""
    for source in _sources(found):
        texts = source.texts()
        meter.start(f"Unique users of {source.corpus.name}: looking up the vectors of {len(texts):,} past reviews")
        before = 0

        def embedded(done: int, total: int) -> None:
            nonlocal before
            if not before:
                meter.start(f"Unique users: embedding {total:,} past reviews", total)
            meter.advance(done - before)
            before = done

        source.vectors.store.ensure(source.vectors.embedder, texts, progress=embedded)


def missing(found: Sequence[FinishedRun]) -> tuple[int, int]:
    """(vectors that are not stored, vectors that the groups need). Computes none, and makes no file."""
    needed = kept = 0
    for source in _sources(found):
        texts, store = source.texts(), source.vectors.store
        needed += len(texts)
        kept += len(store.vectors(source.vectors.embedder.identity(), texts)) if store.path.is_file() else 0
    return needed - kept, needed


def _sources(found: Sequence[FinishedRun]) -> list[Source]:
    ours = [run for run in found if not run.imported] or found
    return list({id(one): one for one in map(_source_of, ours)}.values())


def _source_of(run: FinishedRun) -> Source:
    config = read_config(run.folder)
    source = _source(config.data, config.split, config.profile.embedder, run.folder.path.parent)
    if source.corpus.fingerprint != config.data_fingerprint:
        raise UserError(f"data '{config.data}' has changed since {run.folder.path.name} was written; run it again")
    return source


@lru_cache(maxsize=4)
def _source(data: str, split: str, embedder: EncoderConfig, out: Path) -> Source:
    from bench.context import prefetch
    from bench.embed import encoders
    from bench.embed.store import StoredEmbedder

    corpus = load(data)
    encoder = encoders.create(embedder)
    return Source(corpus, corpus.samples(split), StoredEmbedder(prefetch.vector_store(out), encoder))  # type: ignore[arg-type]


def cut(run: FinishedRun, within: Mask) -> dict[str, Mask]:
    """The masks of both groups. `embed` comes before: a vector that is missing would be computed without a word."""
    import numpy as np

    source = _source_of(run)
    unique = unique_users(source.samples, source.vectors)
    samples = samples_of(read_config(run.folder), source.corpus, run.folder)
    mask = np.array([(sample.category, sample.user_id) in unique for sample in samples])
    return {OTHERS: within & ~mask, UNIQUE: within & mask}


def check(found: Sequence[FinishedRun]) -> None:
    """Raises UserError where the profiles of these runs have other embedders: their groups would be others too."""
    ours = [run for run in found if not run.imported] or found  # an import's profile names metrics alone
    by_embedder = {read_config(run.folder).profile.embedder: run.folder.path.name for run in ours}
    if len(by_embedder) > 1:
        listed = ", ".join(f"{embedder.model or 'none'} ({name})" for embedder, name in by_embedder.items())
        raise UserError(f"--by uniqueness: these runs have other embedders: {listed}; name the run folders of one")


def unique_users(samples: Sequence[Sample], vectors: TextVectors) -> frozenset[User]:
    """The Unique users of all categories. A user without history has no vector and is Non-Unique."""
    import numpy as np

    histories = {(s.category, s.user_id): [review.text for review in s.history] for s in samples if s.history}
    # One call for all texts: the encoder gets full batches, and the calls below find every vector in memory.
    vectors.embed(list(dict.fromkeys(text for texts in histories.values() for text in texts)))
    found: set[User] = set()
    for category in dict.fromkeys(category for category, _ in histories):
        users = [user for user in histories if user[0] == category]
        means = np.stack([vectors.embed(histories[user]).astype(np.float64).mean(axis=0) for user in users])
        distances = np.linalg.norm(means - means.mean(axis=0), axis=1)
        found.update(users[place] for place in np.flatnonzero(distances > np.median(distances)))
    return frozenset(found)
