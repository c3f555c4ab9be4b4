"""Another user's history: whose, how long, of what, and what a run makes of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import registry
from bench.data import swap
from bench.data.corpus import Corpus, load
from bench.data.swap import swapped
from bench.data.synthetic import world
from bench.errors import UserError
from bench.record import runs
from bench.record.runs import RunFolder
from bench.types import BY_VECTORS, History, Review, Sample
from tests.embed.fakes import FakeEmbedder, vector
from tests.fakes import CANARY, FAKE, FakeGenerator, Plan, World, bench


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("world")
    world.write(path, world.Knobs(users=12, items=30, categories=2, drift=0.4), name="w")
    return path


@pytest.fixture(scope="module")
def corpus(folder: Path) -> Corpus:
    return load(str(folder))


def test_it_is_another_user_of_the_category_as_long_and_without_the_target_item(corpus: Corpus) -> None:
    for split in ("train", "val", "test"):
        samples = corpus.samples(split)
        for own, other in zip(samples, swapped(samples, corpus, seed=0), strict=True):
            assert replace(other, history=own.history) == own
            assert {review.user_id for review in other.history} - {own.user_id}
            assert len({review.user_id for review in other.history}) == 1
            assert {review.category for review in other.history} == {own.category}
            assert own.item.item_id not in {review.item.item_id for review in other.history}
            times = [review.timestamp or 0 for review in other.history]
            assert times == sorted(times, reverse=True)
            assert len(other.history) in range(len(own.history) - 2, len(own.history) + 1)


def test_held_out_targets_are_in_no_swapped_history(corpus: Corpus) -> None:
    held_out = {corpus.target(one.sample_id).review_id for one in corpus.samples("test")}
    shown = {review.review_id for one in swapped(corpus.samples("test"), corpus, seed=1) for review in one.history}
    assert not shown & held_out


def test_the_seed_decides_and_a_sample_alone_gets_the_same(corpus: Corpus) -> None:
    samples = corpus.samples("test")
    first = swapped(samples, corpus, seed=0)
    assert first == swapped(samples, corpus, seed=0)
    assert first != swapped(samples, corpus, seed=1)
    assert swapped(samples[5:6], corpus, seed=0) == first[5:6]


def test_a_user_alone_is_one_line(tmp_path: Path) -> None:
    world.write(tmp_path, world.Knobs(users=1, items=30, categories=1), name="w")
    alone = load(str(tmp_path))
    with pytest.raises(UserError, match=r"category Board_Games has one user, whose history cannot be swapped"):
        swapped(alone.samples("test"), alone, seed=0)


def test_a_run_shows_others_reviews_and_says_so(folder: Path, corpus: Corpus, tmp_path: Path) -> None:
    words = ["--method", "nonperso,rag", "--data", folder, "--metric", "bleu", "--generator", "echo"]
    out = ["--out", tmp_path / "runs"]
    assert bench("run", *words, *out) == 0
    assert bench("run", *words, "--history", "random", *out) == 0
    found = {folder.path.name: folder for folder in runs.find(tmp_path / "runs")}
    assert len(found) == 4
    rags = {name: folder for name, folder in found.items() if "-rag-" in name}
    users = {}
    for name, run in rags.items():
        rows = list(run.rows(runs.SAMPLES))
        users["random" if "-random-" in name else "own"] = [
            {review_id.split("/")[1] for review_id in row["retrieved"]} == {row["sample_id"].split("/")[1]}
            for row in rows
        ]
    assert all(users["own"])
    assert not any(users["random"])
    assert {run.summary()["variant"] for run in rags.values()} == {"", "history=random"}
    for run in found.values():
        assert bench("verify", run.path) == 0


@pytest.mark.parametrize(
    ("history", "says"),
    [("others", "no history 'others'"), ("swapped", "--history swapped is called random: give --history random")],
)
def test_an_unknown_history_is_one_line(
    history: str, says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert bench("run", "--history", history, "--generator", "echo", "--out", tmp_path) == 2
    assert says in capfd.readouterr().err


# ---------------------------------------------------------------- similar and dissimilar


def mean(history: Sequence[Review]) -> list[float]:
    """The mean vector in plain Python."""
    vectors = [vector(review.text).tolist() for review in history]
    return [sum(each) / len(vectors) for each in zip(*vectors, strict=True)]


def cosine(one: list[float], other: list[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))


def enough(sample: Sample, samples: Sequence[Sample]) -> dict[str, Sample]:
    """Other users of the category with as many reviews of other items, or else with most; by hand."""
    others: dict[str, Sample] = {}
    for one in samples:
        if one.category == sample.category and one.user_id != sample.user_id:
            others.setdefault(one.user_id, one)
    left = {user: sum(old.item != sample.item for old in one.history) for user, one in others.items()}
    wanted = min(len(sample.history), max(left.values()))
    return {user: one for user, one in others.items() if left[user] >= wanted}


@pytest.mark.parametrize("kind", BY_VECTORS)
def test_the_user_with_the_highest_or_lowest_cosine_is_chosen(kind: History, corpus: Corpus) -> None:
    """Every sample's choice by hand: one loop over all users, no matrix."""
    samples = corpus.samples("test")
    chosen = swap.by_vectors(samples, corpus, kind, Vectors())
    for sample in samples:
        own = mean(sample.history)
        cosines = {user: cosine(own, mean(one.history)) for user, one in enough(sample, samples).items()}
        best = max(cosines.values()) if kind == "similar" else min(cosines.values())
        assert cosines[chosen[sample.sample_id]] == pytest.approx(best, abs=1e-9)
    assert chosen == swap.by_vectors(samples, corpus, kind, Vectors())
    alone = swap.by_vectors(samples[5:6], corpus, kind, Vectors())
    assert alone == {samples[5].sample_id: chosen[samples[5].sample_id]}


def test_equal_cosines_give_the_first_user_by_id(corpus: Corpus) -> None:
    samples = corpus.samples("test")
    wanted = {sample.sample_id: min(enough(sample, samples)) for sample in samples}
    for kind in BY_VECTORS:
        same = Vectors(lambda text: np.ones(3, np.float32))
        assert swap.by_vectors(samples, corpus, kind, same) == wanted


def test_vectors_choose_without_held_out_targets(corpus: Corpus) -> None:
    samples = corpus.samples("test")
    held_out = {corpus.target(one.sample_id).text for one in samples}
    asked = Vectors()
    chosen = swap.by_vectors(samples, corpus, "similar", asked)
    assert asked.texts and not asked.texts & held_out
    shown = swap.with_histories(samples, corpus, chosen)
    assert not {review.text for one in shown for review in one.history} & held_out
    for own, other in zip(samples, shown, strict=True):
        assert own.item.item_id not in {review.item.item_id for review in other.history}
        assert len(other.history) <= len(own.history)


@pytest.mark.parametrize("user", ["", "nobody", None])
def test_a_choice_that_is_no_other_user_is_refused(user: str | None, corpus: Corpus) -> None:
    sample = corpus.samples("test")[0]
    with pytest.raises(ValueError, match=r"has the history of (no user|'\w+', who is not another user of)"):
        swap.with_histories([sample], corpus, {sample.sample_id: sample.user_id if user is None else user})


@dataclass
class Vectors:
    """`bench.protocols.TextVectors` that remembers its texts."""

    of: Callable[[str], Any] = vector
    texts: set[str] = field(default_factory=set)

    def embed(self, texts: Sequence[str]) -> Any:
        self.texts |= set(texts)
        return np.stack([self.of(text) for text in texts]) if texts else np.empty((0, 0), np.float32)


# ---------------------------------------------------------------- a run of them


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> FakeEmbedder:
    found = FakeEmbedder()
    for module in ("context.prefetch", "run.cells"):
        monkeypatch.setattr(import_module(f"bench.{module}"), "create_encoder", lambda config: found)
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", FAKE)
    monkeypatch.setattr(FakeGenerator, "plan", Plan())
    return found


def owners(run: RunFolder) -> dict[str, set[str]]:
    """sample id -> the users whose reviews were retrieved"""
    return {row["sample_id"]: {one.split("/")[1] for one in row["retrieved"]} for row in run.rows(runs.SAMPLES)}


def test_a_run_keeps_whose_histories_it_shows(tmp_path: Path, embedder: FakeEmbedder) -> None:
    world = World(tmp_path)
    assert world.run("--history", "similar", method="rag") == 0
    run = world.folder()
    chosen = run.read(runs.HISTORIES)
    assert owners(run) == {sample_id: {user} for sample_id, user in chosen.items()}
    assert all(user != sample_id.split("/")[1] for sample_id, user in chosen.items())
    assert run.summary()["variant"] == "history=similar"
    assert run.summary()["encoders"] == {"embedder": "fake"}
    assert runs.HISTORIES in run.summary()["files"]
    asked = list(embedder.asked)
    assert asked and len(asked) == len(set(asked))
    assert not any(CANARY in text for text in asked)
    assert world.run("--history", "dissimilar", method="rag") == 0
    assert embedder.asked == asked  # the same texts
    for folder in runs.find(world.out):
        assert bench("verify", folder.path) == 0
        assert bench("score", folder.path) == 0
        assert bench("show", folder.path, "--sample", next(iter(chosen))) == 0
        assert bench("verify", folder.path) == 0


def test_a_sample_is_shown_with_whose_history_it_saw(
    tmp_path: Path, embedder: FakeEmbedder, capfd: pytest.CaptureFixture[str]
) -> None:
    world = World(tmp_path)
    assert world.run("--history", "similar", method="rag") == 0
    run = world.folder()
    first, user = next(iter(run.read(runs.HISTORIES).items()))
    assert bench("show", run.path, "--sample", first) == 0
    assert re.search(
        rf"history +3 past reviews of {user}\b|history: 3 past reviews of {user}\b", capfd.readouterr().out
    )
    run.write(runs.HISTORIES, {first: ["no", "text"]})
    assert bench("score", run.path) == 2
    assert f"sample {first} has the history of no user; delete" in capfd.readouterr().err


def test_other_weights_are_another_run_of_these_histories_alone(tmp_path: Path, embedder: FakeEmbedder) -> None:
    world = World(tmp_path)
    for name in ("fake", "other"):
        embedder.name = name
        for history in ("own", "random", "similar"):
            assert world.run("--history", history, method="rag") == 0
    assert len(runs.find(world.out)) == 4


def test_a_dry_run_counts_what_is_not_embedded(
    tmp_path: Path, embedder: FakeEmbedder, capfd: pytest.CaptureFixture[str]
) -> None:
    world = World(tmp_path)
    assert world.run("--history", "similar", "--dry-run", method="rag") == 0
    assert "12 texts are not embedded yet" in capfd.readouterr().out
    assert not embedder.asked and not runs.find(world.out)
    assert world.run("--history", "similar", method="rag") == 0
    assert world.run("--history", "dissimilar", "--dry-run", method="rag") == 0
    assert "not embedded" not in capfd.readouterr().out


def test_a_run_that_was_stopped_goes_on_with_the_same_users(tmp_path: Path, embedder: FakeEmbedder) -> None:
    world = World(tmp_path)
    FakeGenerator.plan.die_after = 2
    assert world.run("--history", "similar", method="rag") == 1
    run = world.folder()
    before = run.read(runs.HISTORIES)
    asked = len(embedder.asked)
    FakeGenerator.plan.die_after = None
    assert world.run("--history", "similar", method="rag") == 0
    assert (run.read(runs.HISTORIES), len(embedder.asked)) == (before, asked)
    assert owners(run) == {sample_id: {user} for sample_id, user in before.items()}
    assert bench("verify", run.path) == 0


def test_verify_finds_another_choice(tmp_path: Path, embedder: FakeEmbedder, capfd: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path)
    assert world.run("--history", "similar", method="rag") == 0
    run = world.folder()
    chosen = run.read(runs.HISTORIES)
    first = next(iter(chosen))
    (other,) = {"u0", "u1", "u2"} - {chosen[first], first.split("/")[1]}
    for user, says in (
        (other, rf"WRONG\s+histories\s+vectors choose other users for {first}"),
        (first.split("/")[1], r"WRONG\s+contents .*who is not another user of Books"),
    ):
        run.write(runs.HISTORIES, {**chosen, first: user})
        assert bench("verify", run.path) == 3
        shown = capfd.readouterr().out
        assert re.search(says, shown) and re.search(r"WRONG\s+files .*histories.json", shown)
    (run.path / runs.HISTORIES).unlink()
    assert bench("verify", run.path) == 3
    assert "has no histories.json" in capfd.readouterr().out
