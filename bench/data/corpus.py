"""A loaded dataset: samples, references, peers. Methods never see the texts that they have to write.

The texts of the targets stay here. A `Sample` has no text. `Corpus.peers` and `Corpus.reviews_of` never return the
target of a validation or test sample (docs/concepts.md).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from bench import plugins, registry
from bench.data.folder.manifest import read_manifest
from bench.data.folder.reader import read
from bench.data.link import SPLITS, Linked, link
from bench.data.synthetic import world
from bench.errors import UserError, full, unknown
from bench.types import Review, Sample, Split, Truth

SHIPPED = {"bundled": Path(__file__).parent / "bundled"}

ItemKey = tuple[str, str]
UserKey = tuple[str, str]

NO_PEERS = (
    "no item of {} is shared by two users: methods that compare users (dpl, dep) have nothing to compare "
    "and write as they do without peers"
)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Samples, their references and their peers. Users and items are identified by (category, id)."""

    name: str
    title: str
    synthetic: bool
    fingerprint: str
    categories: tuple[str, ...]
    _samples: tuple[Sample, ...] = field(repr=False)
    _targets: Mapping[str, Review] = field(repr=False)
    _reviews: tuple[Review, ...] = field(repr=False)
    _pool: Mapping[ItemKey, tuple[Review, ...]] = field(repr=False)
    _written: Mapping[UserKey, tuple[Review, ...]] = field(repr=False)
    _users: Mapping[str, tuple[str, ...]] = field(repr=False)
    _held_out: tuple[Review, ...] = field(repr=False)
    _world: Path | None = field(default=None, repr=False)  # its folder, where its habits are planted
    _manifest: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def samples(self, split: Split, *, limit: int | None = None, limit_seed: int = 0) -> list[Sample]:
        """The samples of a split in corpus order; with `limit`, min(limit, n) of them.

        A limit draws whole users, evenly over the categories. With the same seed, the samples of a smaller limit are
        also in a larger one. Raises UserError for an unknown split and for a limit below 1.
        """
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        found = [sample for sample in self._samples if sample.split == split]
        if limit is None:
            return found
        if limit < 1:
            raise UserError(f"limit={limit} leaves no sample; give a limit of at least 1, or none for all")
        drawn = {sample.sample_id for sample in islice(_drawn(found, limit_seed), limit)}
        return [sample for sample in found if sample.sample_id in drawn]

    def training_samples(self, *, limit: int | None = None) -> list[Sample]:
        """Per category and user the most recent train sample, in corpus order; at most `limit` of them.

        A limit draws as in `samples`. Between samples with equal or missing times, the longer history is more recent.
        """
        latest: dict[tuple[str, str], Sample] = {}
        for sample in self.samples("train"):
            user = (sample.category, sample.user_id)
            if user not in latest or _age(sample) > _age(latest[user]):
                latest[user] = sample
        drawn = {sample.sample_id for sample in islice(_drawn(latest.values(), 0), limit)}
        return [sample for sample in latest.values() if sample.sample_id in drawn]

    def reference(self, sample_id: str) -> str:
        """The text that the user really wrote for this sample."""
        return self._targets[sample_id].text

    def peers(self, review: Review | Sample, *, before: int | None = None) -> tuple[Review, ...]:
        """Other users' reviews of the same item, ordered by user id; never a validation or test target.

        With `before` (ms since 1970), only earlier reviews; a review without a time is left out.
        """
        return tuple(
            peer
            for peer in self._pool.get((review.category, review.item.item_id), ())
            if peer.user_id != review.user_id and (before is None or _is_older(peer, before))
        )

    def users(self, category: str) -> tuple[str, ...]:
        """Ids of the category's users who have a review that is not held out, sorted."""
        return self._users.get(category, ())

    def reviews_of(self, category: str, user_id: str, *, before: int | None = None) -> tuple[Review, ...]:
        """The user's reviews in the category, in corpus order; never a validation or test target.

        `before` as in `peers`.
        Train targets are among them. For the user of a training sample, take the sample's history instead.
        """
        written = self._written.get((category, user_id), ())
        return tuple(review for review in written if before is None or _is_older(review, before))

    @property
    def is_world(self) -> bool:
        """Whether its habits are planted, and known."""
        return self._world is not None

    @property
    def truth_digest(self) -> str:
        """sha256 of the key of a world; "" for other data. Its fingerprint, of the tables alone, does not cover it."""
        return "" if self._world is None else hashlib.sha256((self._world / world.KEY).read_bytes()).hexdigest()

    def truth(self, sample: Sample) -> Truth | None:
        """What is planted, for metrics and ceilings alone; None for other data.

        Raises UserError where the key of a world is missing or damaged.
        """
        if self._world is None:
            return None
        known = world.truths(self._world)
        target = self._targets[sample.sample_id].review_id
        if target not in known:
            raise UserError(f"{self._world / world.KEY} says nothing of {target}; make the world again")
        return known[target]

    def built(self, key: str) -> Mapping[str, Any]:
        """category -> what its build recorded in dataset.json under this key; empty for other data."""
        found = self._manifest.get(key)
        return found if isinstance(found, dict) else {}

    def target(self, sample_id: str) -> Review:
        """The sample's target review with its text: to look at a dataset, never to write."""
        return self._targets[sample_id]

    def reviews(self) -> tuple[Review, ...]:
        """Every review of the dataset, held-out targets included."""
        return self._reviews

    def held_out(self) -> tuple[Review, ...]:
        """Validation and test targets, and reviews that the dataset marks: for metrics that may read them."""
        return self._held_out

    def without_peers(self) -> list[str]:
        """The categories in which no two users share an item, so that nobody has a peer."""
        sharing = {category for (category, _), pool in self._pool.items() if len({one.user_id for one in pool}) > 1}
        return [category for category in self.categories if category not in sharing]


def load(name_or_dir: str) -> Corpus:
    """The shipped dataset of this name, or a plug-in's dataset, or else the dataset in this folder.

    Raises UserError naming the file and line of the first thing that is wrong.
    """
    name_or_dir = _meant(name_or_dir)
    plugin = name_or_dir in registry.names("data")
    folder = _plugin_folder(name_or_dir) if plugin else _folder(name_or_dir)
    if plugin and not folder.is_dir():
        raise UserError(f"data '{name_or_dir}' of a plug-in: its folder() gave {folder}, which is not there")
    if not folder.is_dir():
        error = unknown("data", name_or_dir, _names())
        raise UserError(f"{error}, or a folder written by `bench data build`")
    stored = read(folder)
    linked = link(stored)
    if not linked.samples:
        raise UserError(f"{folder} holds no samples; run `bench data build` with looser thresholds")
    written = _written(shown := _shown(linked))
    return Corpus(
        name=stored.manifest["name"],
        title=stored.manifest["title"],
        synthetic=stored.manifest["synthetic"],
        fingerprint=stored.fingerprint,
        categories=tuple(stored.manifest["categories"]),
        _samples=linked.samples,
        _targets=linked.targets,
        _reviews=linked.reviews,
        _pool=_pool(shown),
        _written=written,
        _users=_users(written),
        _held_out=tuple(review for review in linked.reviews if review.review_id in linked.held_out),
        _world=folder if stored.manifest.get("world") else None,
        _manifest=stored.manifest,
    )


def holds_world(name_or_dir: str) -> bool:
    """Whether a dataset is a planted world, without reading its tables. False for one that is not here."""
    name = _meant(name_or_dir)
    if name in world.named():
        return True
    try:
        return bool(read_manifest(Path(name)).get("world"))
    except UserError:
        return False


def _folder(name_or_dir: str) -> Path:
    """A folder, that of a shipped dataset, or that of a named world, which is made when it is first asked for."""
    return world.kept(name_or_dir) if name_or_dir in world.named() else Path(SHIPPED.get(name_or_dir, name_or_dir))


def _plugin_folder(name: str) -> Path:
    """The folder of a plug-in's dataset."""
    source = registry.create("data", name)
    with plugins.working("data", name, "at folder()"):
        folder = source.folder()
        if not isinstance(folder, str | os.PathLike):
            raise TypeError(f"it gave {type(folder).__name__}, not a path")
        return Path(folder)


def resolve(name_or_dir: str) -> str:
    """The dataset as a configuration names it: a known name in full, a folder by its absolute path."""
    name = _meant(name_or_dir)
    return name if name in _names() else str(Path(name).resolve())


def _names() -> list[str]:
    return [*SHIPPED, *world.named(), *registry.names("data")]


def _meant(name_or_dir: str) -> str:
    """A known name in full, if it is given in another case or by its start and is no folder. Raises UserError for the
    start of several.
    """
    if Path(name_or_dir).is_dir() and name_or_dir not in _names():
        return name_or_dir
    return full("data", name_or_dir, _names())


def available() -> dict[str, str]:
    """Name and title of each shipped dataset and of each named world."""
    shipped = {name: read_manifest(folder)["title"] for name, folder in SHIPPED.items()}
    return {**shipped, **{name: world.title(name, found) for name, found in world.named().items()}}


def _shown(linked: Linked) -> list[Review]:
    """All reviews but validation and test targets: those that other samples may use."""
    return [review for review in linked.reviews if review.review_id not in linked.held_out]


def _pool(shown: Iterable[Review]) -> dict[ItemKey, tuple[Review, ...]]:
    pool: defaultdict[ItemKey, list[Review]] = defaultdict(list)
    for review in shown:
        pool[review.category, review.item.item_id].append(review)
    return {key: tuple(sorted(reviews, key=lambda review: review.user_id)) for key, reviews in pool.items()}


def _written(shown: Iterable[Review]) -> dict[UserKey, tuple[Review, ...]]:
    written: defaultdict[UserKey, list[Review]] = defaultdict(list)
    for review in shown:
        written[review.category, review.user_id].append(review)
    return {key: tuple(reviews) for key, reviews in written.items()}


def _users(written: Iterable[UserKey]) -> dict[str, tuple[str, ...]]:
    users: defaultdict[str, list[str]] = defaultdict(list)
    for category, user_id in written:
        users[category].append(user_id)
    return {category: tuple(sorted(found)) for category, found in users.items()}


def _is_older(review: Review, time: int) -> bool:
    return review.timestamp is not None and review.timestamp < time


def _age(sample: Sample) -> tuple[int, int]:
    return (sample.timestamp or 0, len(sample.history))


def _drawn(samples: Iterable[Sample], seed: int) -> Iterator[Sample]:
    """All samples in one order. Every limit takes its beginning, so that limits are nested.

    The categories take turns and give one sample each. Within a category only the seed decides the order of the
    users; one user's samples stay together.
    """
    by_category: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_category[sample.category].append(sample)
    queues = [iter(sorted(by_category[name], key=lambda sample: _rank(sample, seed))) for name in sorted(by_category)]
    while queues:
        turn = [(queue, next(queue, None)) for queue in queues]
        yield from (sample for _, sample in turn if sample is not None)
        queues = [queue for queue, sample in turn if sample is not None]


def _rank(sample: Sample, seed: int) -> str:
    return hashlib.sha256(json.dumps([seed, sample.category, sample.user_id]).encode()).hexdigest()
