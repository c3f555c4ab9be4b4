"""Unique and Non-Unique users (the paper's figure 3, after DPL).

A user's vector is the mean embedding of the history, made by the profile's embedder. In each category, a user is Unique
if the vector's distance from the mean over all users is above the median distance. Ties are Non-Unique. All users of
the split count, whatever a run's limit is, so that a limit changes nobody's group.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.corpus import Corpus, load
from bench.data.swap import samples_of
from bench.errors import UserError
from bench.score.written import read_config
from results.tables.finished_runs import FinishedRun

if TYPE_CHECKING:
    from bench.protocols import TextVectors
    from bench.types import Sample
    from results.statistics.resampling import Mask

UNIQUE, OTHERS = "Unique", "Non-Unique"
User = tuple[str, str]  # (category, user id)


def cut(run: FinishedRun, within: Mask) -> dict[str, Mask]:
    """The masks of both groups. Vectors that are missing are computed and stored in the run's output folder."""
    import numpy as np

    config = read_config(run.folder)
    profile = config.profile.model_dump_json()  # text, so that it can be a key of the cache
    corpus, unique = _unique_users_of(config.data, config.split, profile, run.folder.path.parent)
    if corpus.fingerprint != config.data_fingerprint:
        raise UserError(f"data '{config.data}' has changed since {run.folder.path.name} was written; run it again")
    samples = samples_of(config, corpus)
    mask = np.array([(sample.category, sample.user_id) in unique for sample in samples])
    return {OTHERS: within & ~mask, UNIQUE: within & mask}


def check(found: Sequence[FinishedRun]) -> None:
    """Raises UserError where the profiles of these runs have other embedders: their groups would be others too."""
    by_embedder = {read_config(run.folder).profile.embedder: run.folder.path.name for run in found}
    if len(by_embedder) > 1:
        listed = ", ".join(f"{embedder.model or 'none'} ({name})" for embedder, name in by_embedder.items())
        raise UserError(f"--by uniqueness: these runs have other embedders: {listed}; name the run folders of one")


@lru_cache(maxsize=4)
def _unique_users_of(data: str, split: str, profile: str, out: Path) -> tuple[Corpus, frozenset[User]]:
    from bench.config import Profile
    from bench.context import prefetch
    from bench.embed.encoders import create
    from bench.embed.store import StoredEmbedder

    corpus = load(data)
    encoder = create(Profile.model_validate_json(profile).embedder)
    vectors = StoredEmbedder(prefetch.vector_store(out), encoder)
    return corpus, unique_users(corpus.samples(split), vectors)  # type: ignore[arg-type]


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
