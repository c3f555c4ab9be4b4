"""What a reader of numbers on a dataset must know: of its targets, its times, and the model that wrote for it.

Said when a run starts, kept in its summary, and said again below tables. Nothing is computed that a build has counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from bench.config import RunConfig
from bench.data.corpus import Corpus
from bench.defaults import WORLDS_MODEL

NO_WORLD = (
    f"the model {WORLDS_MODEL} knows planted worlds alone, and this data is none: the numbers mean nothing here "
    "(--profile tiny, or a profile of a larger model)"
)
COPYABLE = (
    "{category}: the dataset was built with --no-drop-leaked and holds {n} whose text stands in their own history or "
    "in a peer's review; a method can copy these"
)
UNTIMED = (
    "{category}: {n} of {of} reviews have no time, so newest first is {order}: the choice of the targets and `recency` "
    "rest on it"
)


def of(config: RunConfig, corpus: Corpus) -> dict[str, Any]:
    """As a summary keeps them; empty where there is nothing to say."""
    here = config.imported is None and config.generator != "openai"  # else another model writes than the profile's
    found = {
        "no_world": here and config.profile.llm == WORLDS_MODEL and not corpus.is_world,
        "copyable": copyable(corpus),
        "untimed": untimed(corpus),
    }
    return {key: value for key, value in found.items() if value}


def copyable(corpus: Corpus) -> dict[str, dict[str, int] | None]:
    """category -> split -> targets that a method could copy, of those built with leaks kept. None: not counted."""
    rules, counts = corpus.built("thresholds"), corpus.built("copyable")
    kept = [name for name, given in rules.items() if isinstance(given, dict) and given.get("drop_leaked") is False]
    return {name: counts.get(name) for name in kept if counts.get(name) != {}}


def untimed(corpus: Corpus) -> dict[str, dict[str, Any]]:
    """category -> how many of its reviews have no time, and what orders them instead."""
    every = Counter(review.category for review in corpus.reviews())
    without = Counter(review.category for review in corpus.reviews() if review.timestamp is None)
    return {name: {"n": n, "of": every[name], "order": order(corpus, name)} for name, n in without.items()}


def order(corpus: Corpus, category: str) -> str:
    """What orders reviews without a time."""
    by_field = corpus.built("order").get(category) == "source_order"
    return "by the field `source_order` of the files" if by_field else "the order of the file"


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each caveat."""
    if found.get("no_world"):
        yield NO_WORLD
    for category, by_split in found.get("copyable", {}).items():
        yield COPYABLE.format(category=category, n=_targets(by_split))
    for category, one in found.get("untimed", {}).items():
        yield UNTIMED.format(category=category, **one)


def _targets(by_split: Mapping[str, int] | None) -> str:
    """'23 targets (test 9, train 14)'"""
    if by_split is None:
        return "an unknown number of targets (`bench data validate` counts them)"
    return f"{sum(by_split.values())} targets ({', '.join(f'{split} {n}' for split, n in by_split.items())})"
