"""What metrics that see users are given: whose reviews, in which order, and nothing that is held out unasked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bench import plugins, registry
from bench.data.corpus import Corpus, load
from bench.data.swap import swapped
from bench.data.synthetic import world
from bench.errors import UserError
from bench.score.targets import OTHERS, Targets
from bench.types import Column, Review, UserTarget


@dataclass(frozen=True)
class Seeing:
    sees_users = True
    held_out: Any = ()
    columns = (Column("seeing", "Seeing"),)

    def score(self, predictions: Any, targets: Any) -> list[dict[str, Any]]:
        return [{"seeing": 0.0} for _ in predictions]

    def aggregate(self, rows: Any) -> dict[str, float]:
        return {"seeing": 0.0}

    def versions(self) -> dict[str, str]:
        return {}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    path = tmp_path_factory.mktemp("world")
    world.write(path, world.Knobs(users=60, items=20, categories=2), name="w")
    return load(str(path))


def seen(corpus: Corpus, *held_out: str, **more: Any) -> list[UserTarget]:
    samples = more.get("samples", corpus.samples("test"))
    return list(Targets(samples, corpus).of(Seeing(held_out), []))  # type: ignore[arg-type]


def held_out_ids(corpus: Corpus) -> set[str]:
    return {corpus.target(one.sample_id).review_id for split in ("val", "test") for one in corpus.samples(split)}


def ids(reviews: tuple[Review, ...]) -> set[str]:
    return {review.review_id for review in reviews}


def test_nothing_held_out_is_among_them_unasked(corpus: Corpus) -> None:
    hidden = held_out_ids(corpus)
    for target in seen(corpus):
        everybody = (*target.others, *target.users)
        assert not hidden & ids(target.peers)
        assert not hidden & {one for author in everybody for one in ids(author.reviews)}
        assert not any(author.held_out for author in (target.author, *everybody))
        assert ids(target.author.reviews) == ids(target.sample.history)  # the user's own may hold an older val target


def test_peers_are_others_reviews_of_the_item(corpus: Corpus) -> None:
    for target, more in zip(seen(corpus), seen(corpus, "peers"), strict=True):
        assert {review.item for review in more.peers} <= {target.sample.item}
        assert target.sample.user_id not in {review.user_id for review in more.peers}
        real = {one.review_id for one in corpus.reviews() if one.item == target.sample.item}
        own = {one.review_id for one in corpus.reviews() if one.user_id == target.sample.user_id}
        assert ids(more.peers) == real - own
        assert ids(target.peers) == real - own - held_out_ids(corpus)


def test_others_are_users_of_the_category_with_enough_reviews_first(corpus: Corpus) -> None:
    for target in seen(corpus):
        users = [other.user_id for other in target.others]
        assert len(users) == len(set(users)) == min(OTHERS, 59)
        assert target.sample.user_id not in users
        assert set(users) <= {one.user_id for one in corpus.samples("test") if one.category == target.sample.category}
        enough = [len(other.reviews) >= len(target.sample.history) for other in target.others]
        assert enough == sorted(enough, reverse=True)
        assert not any(one.item == target.sample.item for other in target.others for one in other.reviews)


def test_others_held_out_reviews_are_theirs_and_never_of_the_item(corpus: Corpus) -> None:
    targets = seen(corpus, "others")
    assert any(other.held_out for target in targets for other in target.others)
    for target in targets:
        for other in target.others:
            assert ids(other.held_out) <= held_out_ids(corpus)
            assert {one.user_id for one in other.held_out} <= {other.user_id}
            assert not any(one.item == target.sample.item for one in other.held_out)
        assert not any(author.held_out for author in (target.author, *target.users))
    assert [one.others for one in seen(corpus)] != [one.others for one in targets]


def test_the_sample_alone_decides_the_order(corpus: Corpus) -> None:
    samples = corpus.samples("test")
    assert seen(corpus)[7].others == seen(corpus, samples=samples[7:8])[0].others
    orders = {tuple(other.user_id for other in target.others) for target in seen(corpus)}
    assert len(orders) == len(samples)


def test_the_author_is_the_real_user_whatever_the_method_was_shown(corpus: Corpus) -> None:
    samples = corpus.samples("test")
    shown = swapped(samples, corpus, seed=0)
    for target, own, other in zip(seen(corpus, samples=shown), samples, shown, strict=True):
        assert target.sample == other
        assert target.author.reviews == own.history
        assert target.author.user_id == own.user_id
        assert target.reference not in {review.text for review in target.author.reviews}
    assert [replace(one, sample=own) for one, own in zip(seen(corpus, samples=shown), samples, strict=True)] == seen(
        corpus
    )


def test_methods_may_list_users_but_not_through_what_is_held_out(corpus: Corpus) -> None:
    category = corpus.categories[0]
    users = corpus.users(category)
    assert list(users) == sorted({one.user_id for one in corpus.samples("test") if one.category == category})
    assert all(corpus.reviews_of(category, user) for user in users)
    assert corpus.users("none") == ()


@pytest.mark.parametrize(
    ("name", "held_out"), [("nosy", "'peers'"), ("nosier", "('everything',)"), ("nosiest", "None")]
)
def test_what_a_metric_may_read_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, held_out: str
) -> None:
    monkeypatch.setattr(registry, "_from_files", {})
    monkeypatch.setattr("bench.plugins._loaded", [])
    file = tmp_path / f"{name}.py"
    file.write_text(
        "from dataclasses import dataclass\nfrom bench.types import Column\n@dataclass\n"
        f"class {name.title()}:\n"
        f"    sees_users = True\n    held_out = {held_out}\n    columns = (Column('nosy', 'Nosy'),)\n"
        "    def score(self, predictions, targets): return []\n"
        "    def aggregate(self, rows): return {}\n    def versions(self): return {}\n"
    )
    plugins.load([str(file)])
    with pytest.raises(UserError, match=r"held_out is .*, but a tuple of peers and others, as sees_users is true, is"):
        registry.create("metric", name)
