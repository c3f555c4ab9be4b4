"""Unique and Non-Unique users (spec, Uniqueness; the paper's figure 3, after DPL).

A user's vector is the mean embedding of the history, by the profile's embedder. Of each category's users in the
split, those farther than the median from the mean over all of them are Unique; ties go to Non-Unique. All users of
the split count, whatever a run's limit is: a limit changes nobody's group.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench.config import RunConfig
from bench.data.corpus import Corpus, load
from bench.errors import UserError
from bench.score.written import read_config
from results.tables.finished import Finished

if TYPE_CHECKING:
    from bench.protocols import TextVectors
    from bench.types import Sample
    from results.statistics.resampling import Mask

UNIQUE, OTHERS = "Unique", "Non-Unique"
User = tuple[str, str]  # (category, user id)


def cut(run: Finished, within: Mask) -> dict[str, Mask]:
    """The masks of both groups. Embeds what is not stored yet, into the run's output folder."""
    import numpy as np

    config = read_config(run.folder)
    corpus, unique = _of_data(config.data, config.split, _key(config), run.folder.path.parent)
    if corpus.fingerprint != config.data_fingerprint:
        raise UserError(f"data '{config.data}' has changed since {run.folder.path.name} was written; run it again")
    samples = corpus.samples(config.split, limit=config.limit, limit_seed=config.limit_seed)
    mask = np.array([(sample.category, sample.user_id) in unique for sample in samples])
    return {OTHERS: within & ~mask, UNIQUE: within & mask}


def _key(config: RunConfig) -> str:
    return config.profile.model_dump_json()


@lru_cache(maxsize=4)
def _of_data(data: str, split: str, profile: str, out: Path) -> tuple[Corpus, frozenset[User]]:
    from bench.config import Profile
    from bench.context import prefetch
    from bench.embed.encoders import create
    from bench.embed.store import StoredEmbedder

    corpus = load(data)
    encoder = create(Profile.model_validate_json(profile).embedder)
    vectors = StoredEmbedder(prefetch.vector_store(out), encoder)
    return corpus, unique_users(corpus.samples(split), vectors)  # type: ignore[arg-type]


def unique_users(samples: Sequence[Sample], vectors: TextVectors) -> frozenset[User]:
    """Those of the upper half, in every category. A user without history has no vector and is Non-Unique."""
    import numpy as np

    histories = {(s.category, s.user_id): [review.text for review in s.history] for s in samples if s.history}
    vectors.embed(list(dict.fromkeys(text for texts in histories.values() for text in texts)))  # in one go
    found: set[User] = set()
    for category in dict.fromkeys(category for category, _ in histories):
        users = [user for user in histories if user[0] == category]
        means = np.stack([vectors.embed(histories[user]).astype(np.float64).mean(axis=0) for user in users])
        distances = np.linalg.norm(means - means.mean(axis=0), axis=1)
        far = distances > np.median(distances)
        found.update(_chosen(users, far))
    return frozenset(found)


def _chosen(users: Iterable[User], far: Iterable[bool]) -> list[User]:
    return [user for user, is_far in zip(users, far, strict=True) if is_far]
