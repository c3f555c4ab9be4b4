"""Another user's history: whose, how long, of what, and what a run makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.data.corpus import Corpus, load
from bench.data.swap import swapped
from bench.data.synthetic import world
from bench.errors import UserError
from bench.record import runs
from tests.fakes import bench


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
    assert bench("run", *words, "--history", "swapped", *out) == 0
    found = {folder.path.name: folder for folder in runs.find(tmp_path / "runs")}
    assert len(found) == 4
    rags = {name: folder for name, folder in found.items() if "-rag-" in name}
    users = {}
    for name, run in rags.items():
        rows = list(run.rows(runs.SAMPLES))
        users["swapped" if "swapped" in name else "own"] = [
            {review_id.split("/")[1] for review_id in row["retrieved"]} == {row["sample_id"].split("/")[1]}
            for row in rows
        ]
    assert all(users["own"])
    assert not any(users["swapped"])
    assert {run.summary()["variant"] for run in rags.values()} == {"", "history=swapped"}
    for run in found.values():
        assert bench("verify", run.path) == 0


def test_an_unknown_history_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("run", "--history", "others", "--generator", "echo", "--out", tmp_path) == 2
    assert "no history 'others'" in capfd.readouterr().err
