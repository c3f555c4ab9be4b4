"""Another user's history in place of one's own: the floor of a method, and the test of whether its gain is the person.

A gain that stays under a swapped history is learned register, not the user.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from bench.config import RunConfig
from bench.data.corpus import Corpus
from bench.errors import UserError
from bench.seeds import derive
from bench.types import Sample


def samples_of(config: RunConfig, corpus: Corpus) -> list[Sample]:
    """The samples of a run, with the histories that it shows. Raises UserError as `Corpus.samples` and `swapped` do."""
    found = corpus.samples(config.split, limit=config.limit, limit_seed=config.limit_seed)
    return swapped(found, corpus, seed=config.seed) if config.history == "swapped" else found


def swapped(samples: Sequence[Sample], corpus: Corpus, *, seed: int) -> list[Sample]:
    """The samples, each with the history of another user of its category, drawn by (seed, sample).

    It is cut to the own history's length, newest first, and holds no review of the target's item. Users with enough
    reviews are drawn from, else those with most. The given samples are of one split, and so are the histories.
    Raises UserError for a category with one user.
    """
    split = samples[0].split if samples else "test"
    users: defaultdict[str, dict[str, Sample]] = defaultdict(dict)
    for one in corpus.samples(split):
        users[one.category].setdefault(one.user_id, one)
    return [_with_other(sample, users[sample.category], seed) for sample in samples]


def _with_other(sample: Sample, users: dict[str, Sample], seed: int) -> Sample:
    histories = {
        user: tuple(review for review in one.history if review.item.item_id != sample.item.item_id)
        for user, one in users.items()
        if user != sample.user_id
    }
    if not histories:
        raise UserError(f"category {sample.category} has one user, whose history cannot be swapped; leave it out")
    wanted = len(sample.history)
    most = min(wanted, max(map(len, histories.values())))
    enough = [user for user, history in histories.items() if len(history) >= most]
    chosen = random.Random(derive(seed, "swap", sample.sample_id)).choice(enough)
    return replace(sample, history=histories[chosen][:wanted])
