"""Another user's history in place of one's own: the floor of a method, and the test of whether its gain is the person.

A gain that stays under a swapped history is learned register, not the user. Whose history a sample shows:

    random       another user of its category, drawn by (seed, sample)
    similar      the user whose mean vector has the highest cosine with that of the sample's own history
    dissimilar   the one with the lowest

A user's vector is the mean over the texts of the history, by the profile's embedder. Scoring and reports have no
encoder, so a run keeps what vectors decided in histories.json, and everybody reads it there.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.config import RunConfig
from bench.data.corpus import Corpus
from bench.errors import UserError
from bench.protocols import TextVectors
from bench.record import runs
from bench.record.runs import RunFolder
from bench.seeds import derive
from bench.types import History, Review, Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Reviews = tuple[Review, ...]
Chosen = Mapping[str, str]  # sample id -> the user whose history it shows
DIGITS = 9  # of a cosine that count: sums in another order are no other user


def samples_of(config: RunConfig, corpus: Corpus, folder: RunFolder) -> list[Sample]:
    """The samples of a run, with the histories that it shows. `folder` has what vectors decided.

    Raises UserError as `Corpus.samples`, `swapped` and `recorded` do.
    """
    found = own(config, corpus)
    if config.history == "own":
        return found
    if config.chooses_by_vectors:
        return _recorded(found, corpus, folder)
    return swapped(found, corpus, seed=config.seed)


def own(config: RunConfig, corpus: Corpus) -> list[Sample]:
    """The samples of a run with their own histories. Raises UserError as `Corpus.samples` does."""
    return corpus.samples(config.split, limit=config.limit, limit_seed=config.limit_seed)


def is_open(config: RunConfig, folder: RunFolder) -> bool:
    """Whether vectors have yet to decide whose histories the run shows."""
    return config.chooses_by_vectors and not (folder.path / runs.HISTORIES).is_file()


def planned(config: RunConfig, corpus: Corpus, folder: RunFolder) -> list[Sample]:
    """`samples_of`; as long as the choice is open, samples without any history, so that nobody's is shown."""
    if is_open(config, folder):
        return [replace(sample, history=()) for sample in own(config, corpus)]
    return samples_of(config, corpus, folder)


def swapped(samples: Sequence[Sample], corpus: Corpus, *, seed: int) -> list[Sample]:
    """The samples, each with the history of another user of its category, drawn by (seed, sample).

    It is cut to the own history's length, newest first, and holds no review of the target's item. Users with enough
    reviews are drawn from, else those with most. The given samples are of one split, and so are the histories.
    Raises UserError for a category with one user.
    """
    users = _users(samples, corpus)
    chosen = {}
    for sample in samples:
        of = users[sample.category]
        place = random.Random(derive(seed, "swap", sample.sample_id)).choice(of.enough(sample))
        chosen[sample.sample_id] = of.names[place]
    return with_histories(samples, corpus, chosen)


def with_histories(samples: Sequence[Sample], corpus: Corpus, chosen: Chosen) -> list[Sample]:
    """The samples, each with the history of its chosen user, cut to the own one's length, without the target's item.

    Raises ValueError for a sample whose chosen user is missing, its own, or not of its category.
    """
    users = _users(samples, corpus)
    return [replace(one, history=users[one.category].shown(one, chosen.get(one.sample_id, ""))) for one in samples]


# ---------------------------------------------------------------- similar and dissimilar


def texts(samples: Sequence[Sample], corpus: Corpus) -> list[str]:
    """The texts whose vectors `by_vectors` compares: all histories of the samples' categories, each text once."""
    histories = [history for of in _users(samples, corpus).values() for history in of.histories]
    histories += [sample.history for sample in samples]
    return list(dict.fromkeys(review.text for history in histories for review in history))


def by_vectors(samples: Sequence[Sample], corpus: Corpus, kind: History, vectors: TextVectors) -> dict[str, str]:
    """Sample id -> the most `similar` or `dissimilar` user. Users with enough reviews come first, as in `swapped`.

    Vectors are of whole histories. Of users with the same cosine, and for a sample without history, the first by id is
    taken. Raises UserError for a category with one user.
    """
    vectors.embed(texts(samples, corpus))  # at once, so that the encoder gets full batches
    sign = 1 if kind == "similar" else -1
    found: dict[str, str] = {}
    for category, of in _users(samples, corpus).items():
        mine = [sample for sample in samples if sample.category == category]
        for sample, cosines in zip(mine, _cosines([one.history for one in mine], of.histories, vectors), strict=True):
            far = {place: -sign * float(cosines[place]) for place in of.enough(sample)}
            found[sample.sample_id] = of.names[min(far, key=lambda place: (far[place], of.names[place]))]
    return found


def _cosines(ones: Sequence[Reviews], others: Sequence[Reviews], vectors: TextVectors) -> Array:
    """(ones, others) cosines of the mean vectors; 0 where a history is empty."""
    import numpy as np

    found: Array = np.round(_means(ones, vectors) @ _means(others, vectors).T, DIGITS)
    return found


def _means(histories: Sequence[Reviews], vectors: TextVectors) -> Array:
    """(histories, d) mean vectors of their texts, of length 1; zeros for a history without texts."""
    import numpy as np

    known = [vectors.embed([review.text for review in history]) for history in histories]
    means = np.zeros((len(known), max((one.shape[1] for one in known), default=0)))
    for place, one in enumerate(known):
        if len(one):
            means[place] = one.astype(np.float64).mean(axis=0)
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    unit: Array = means / np.where(lengths > 0, lengths, 1)
    return unit


def record(folder: RunFolder, chosen: Chosen) -> None:
    folder.write(runs.HISTORIES, chosen)


def _recorded(samples: Sequence[Sample], corpus: Corpus, folder: RunFolder) -> list[Sample]:
    """Raises UserError where the run does not say whose histories it shows, or where these cannot be theirs."""
    file = folder.path / runs.HISTORIES
    if not file.is_file():
        raise UserError(f"{folder.path} has no {runs.HISTORIES}, which says whose histories it shows; run it again")
    try:
        chosen = {one: user for one, user in folder.read(runs.HISTORIES).items() if isinstance(user, str)}
        return with_histories(samples, corpus, chosen)
    except ValueError as error:
        raise UserError(f"{file}: {error}; delete {folder.path} and run the cell again") from error


# ---------------------------------------------------------------- the users of a category


@dataclass(frozen=True)
class _Users:
    """Those of one category with samples of the split, in corpus order, each with the history of the first of these."""

    names: tuple[str, ...]
    histories: tuple[tuple[Review, ...], ...]
    places: Mapping[str, int]
    of_item: Mapping[str, Mapping[int, int]]  # item -> place of a user -> reviews of it in the history

    def enough(self, sample: Sample) -> list[int]:
        """The places of the other users with as many reviews as the sample has, of other items; else those with most.

        Raises UserError where there is no other user.
        """
        less = self.of_item.get(sample.item.item_id, {})
        lengths = {
            place: len(history) - less.get(place, 0)
            for place, history in enumerate(self.histories)
            if self.names[place] != sample.user_id
        }
        if not lengths:
            raise UserError(f"category {sample.category} has one user, whose history cannot be swapped; leave it out")
        most = min(len(sample.history), max(lengths.values()))
        return [place for place, length in lengths.items() if length >= most]

    def shown(self, sample: Sample, user: str) -> tuple[Review, ...]:
        """The user's history as this sample shows it. Raises ValueError for a user who is no other one."""
        if user == sample.user_id or user not in self.places:
            said = f"'{user}', who is not another user of {sample.category}" if user else "no user"
            raise ValueError(f"sample {sample.sample_id} has the history of {said}")
        history = self.histories[self.places[user]]
        return tuple(one for one in history if one.item.item_id != sample.item.item_id)[: len(sample.history)]


def _users(samples: Sequence[Sample], corpus: Corpus) -> dict[str, _Users]:
    """category -> its users, of the categories of these samples."""
    wanted = dict.fromkeys(sample.category for sample in samples)
    first: dict[str, dict[str, Sample]] = {category: {} for category in wanted}
    for one in corpus.samples(samples[0].split) if samples else ():
        if one.category in first:
            first[one.category].setdefault(one.user_id, one)
    return {category: _of(found) for category, found in first.items()}


def _of(first: Mapping[str, Sample]) -> _Users:
    """`first`: user -> the first of the user's samples."""
    of_item: defaultdict[str, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    for place, sample in enumerate(first.values()):
        for review in sample.history:
            of_item[review.item.item_id][place] += 1
    names = tuple(first)
    histories = tuple(sample.history for sample in first.values())
    return _Users(names, histories, {name: place for place, name in enumerate(names)}, of_item)
