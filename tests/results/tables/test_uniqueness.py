"""Unique and Non-Unique users: the median split of distances worked out by hand, and `bench table --by uniqueness`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bench import registry
from bench.context import prefetch
from bench.types import Item, Review, Sample
from results.tables import uniqueness
from results.tables.uniqueness import unique_users
from tests import fakes
from tests.embed.fakes import FakeEmbedder
from tests.fakes import World, bench

if TYPE_CHECKING:
    from bench.protocols import Vectors


class Plane:
    """Texts "x,y" are points."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        return np.array([[float(number) for number in text.split(",")] for text in texts], np.float32)


def sample(user: str, *points: str, category: str = "Books") -> Sample:
    item = Item(category, "i", "t")
    history = tuple(Review(f"{user}{n}", user, item, 5.0, "", text) for n, text in enumerate(points))
    return Sample(f"{category}/{user}", "test", user, item, 5.0, "", history=history)


def test_the_upper_half_by_distance_is_unique() -> None:
    # Means: a (0,0), b (1,0), c (2,0), d (9,0); the mean of users (3,0): distances 3, 2, 1, 6; median 2.5.
    users = [sample("a", "0,0"), sample("b", "0,0", "2,0"), sample("c", "2,0"), sample("d", "9,-3", "9,3")]
    assert unique_users(users, Plane()) == {("Books", "a"), ("Books", "d")}


def test_ties_are_non_unique_and_categories_are_separate() -> None:
    same = [sample(user, "1,1") for user in "abc"]
    assert unique_users(same, Plane()) == frozenset()
    # Of three users the middle one has the median distance, and is Non-Unique.
    films = [
        sample("a", "0,0", category="Films"),
        sample("b", "1,0", category="Films"),
        sample("c", "5,0", category="Films"),
    ]
    assert unique_users([*same, *films], Plane()) == {("Films", "c")}


def test_a_user_without_history_is_not_unique() -> None:
    users = [sample("a"), sample("b", "0,0"), sample("c", "4,0"), sample("d", "0,1")]
    assert unique_users(users, Plane()) == {("Books", "c")}


def test_table_by_uniqueness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    embedder = FakeEmbedder()
    monkeypatch.setattr("bench.embed.encoders.create", lambda config: embedder)
    world = World(tmp_path)
    assert world.run(method="nonperso,rag") == 0
    capfd.readouterr()
    assert bench("table", world.out, "--by", "uniqueness", "--format", "csv") == 0
    out = capfd.readouterr().out
    assert "Non-Unique/rouge1" in out and ",Unique/rouge1" in out
    assert "toy · fake · Books" in out or "· Books," in out
    # Of 3 users in a category one is Unique and two are not. Every history text has its vector now.
    texts = {r["text"] for r in fakes.tables()["reviews"] if r["review_id"].rpartition("r")[2] in "012"}
    kept = prefetch.vector_store(world.out).vectors(embedder.identity(), texts)
    assert kept.keys() == texts
    assert bench("table", world.out, "--by", "uniqueness") == 0
    assert "Non-Unique 2, Unique 1" in capfd.readouterr().out


def test_runs_whose_groups_would_differ_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The embedder cuts the users and is no part of RAG's own numbers: both runs share a table."""
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    monkeypatch.setattr("bench.embed.encoders.create", lambda config: FakeEmbedder())
    world = World(tmp_path)
    assert world.run(method="rag") == 0
    assert world.run("--set", "embedder.model=other", method="nonperso") == 0
    assert bench("table", world.out) == 0
    capfd.readouterr()
    assert bench("table", world.out, "--by", "uniqueness") == 2
    said = capfd.readouterr().err
    assert "these runs have other embedders: " in said and "other (data-nonperso-" in said
    assert len(said.splitlines()) == 1


def test_a_report_embeds_nothing_and_names_the_command_that_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The first report was silent for minutes, because it embedded every past review for one figure."""
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    embedder = FakeEmbedder()
    monkeypatch.setattr("bench.embed.encoders.create", lambda config: embedder)
    world = World(tmp_path)
    assert world.run(method="nonperso,rag") == 0
    uniqueness._source.cache_clear()
    store, page = prefetch.vector_store(world.out).path, tmp_path / "r.html"
    assert not store.exists()
    capfd.readouterr()
    assert bench("report", world.out, "--to", page) == 0
    again = f"`bench plot uniqueness {world.out}` makes them"
    (line,) = capfd.readouterr().err.splitlines()
    assert line == (
        f"figure 'Unique and Non-Unique users' is left out: 12 of 12 vectors of past reviews are not stored; {again}"
    )
    assert not store.exists() and not embedder.calls
    assert again in page.read_text() and "Unique and Non-Unique users: SYNTHETIC DATA" not in page.read_text()
    assert bench("plot", "uniqueness", world.out, "--to", tmp_path / "u.svg") == 0
    assert embedder.calls
    assert bench("report", world.out, "--to", page) == 0
    assert capfd.readouterr().err == ""
    assert "Unique and Non-Unique users: SYNTHETIC DATA · ROUGE-1 · toy · none" in page.read_text()


def test_embedding_for_a_slice_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    monkeypatch.setattr("bench.embed.encoders.create", lambda config: FakeEmbedder())
    monkeypatch.setattr("bench.console.terminal.PLAIN_SECONDS", 0.0)
    world = World(tmp_path)
    assert world.run(method="rag") == 0
    uniqueness._source.cache_clear()
    capfd.readouterr()
    assert bench("table", world.out, "--by", "uniqueness") == 0
    assert "Unique users: embedding 12 past reviews 100%" in capfd.readouterr().err
