"""Copied 5-grams by hand and by brute force, what is no source, and the note's words where there is none."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from bench.data.corpus import Corpus
from bench.score.targets import Targets
from bench.types import Author, Item, Review, Sample, UserTarget
from metrics.copying import Copying, grams
from tests import fakes

ITEM = Item("Books", "i", "The long way home again", "A story of seven friends who travel far.")


def review(text: str, user: str = "u", title: str = "") -> Review:
    return Review(f"{user}/{text[:5]}", user, ITEM, 4.0, title, text)


def target(history: tuple[Review, ...] = (), peers: tuple[Review, ...] = ()) -> UserTarget:
    sample = Sample("s", "test", "u", ITEM, 4.0, "Not what I thought it was", history=history)
    return UserTarget(
        sample=sample,
        reference="what was really written by the user",
        author=Author("Books", "u", history),
        peers=peers,
        others=(),
        users=(),
    )


def values(text: str, one: UserTarget) -> dict[str, float | None]:
    (row,) = Copying().score([text], [one])
    return {key: row[key] for key in ("copied_history", "copied_item", "copied_peers")}


def test_by_hand() -> None:
    # Eight words, four 5-grams: "i loved the way the", "loved the way the story", ..., "the story ends".
    text = "I loved the way the story, ends well"
    assert len(grams(text)) == 4
    shown = review("... I LOVED the way the story went")  # two of the four
    peer = review("the way the story ends well", user="v")  # the last two
    assert values(text, target((shown,), (peer,))) == {
        "copied_history": 0.5,
        "copied_item": 0.0,
        "copied_peers": 0.5,
    }


def test_what_the_prompt_says_of_the_target_counts_and_fields_do_not_join() -> None:
    assert values("a story of seven friends", target())["copied_item"] == 1
    assert values("not what I thought it was", target())["copied_item"] == 1
    assert values("way home again a story", target())["copied_item"] == 0  # over the border of title and description


def test_the_reference_is_no_source() -> None:
    one = target((review("some other words of one user"),), (review("and others of a peer here", "v"),))
    assert set(values(one.reference, one).values()) == {0.0}


def test_none_where_there_is_nothing_to_share_and_it_is_said() -> None:
    metric = Copying()
    short, alone, shown = (
        metric.score([text], [one])[0]
        for text, one in (
            ("only four words here", target((review("x"),), (review("y", "v"),))),
            ("five words or even more", target()),
            ("five words or even more", target((review("x"),), (review("y", "v"),))),
        )
    )
    assert [short[column.key] for column in metric.columns] == [None] * 3
    assert metric.unread(short).keys() == {"prediction"}
    assert len(metric.unread(alone)["reference"]) == 2
    assert metric.unread(shown) == {}
    assert metric.aggregate([short, alone, shown]) == {"copied_history": 0, "copied_item": 0, "copied_peers": 0}
    assert metric.aggregate([short]) == {}


def test_brute_force_on_random_texts() -> None:
    rng = random.Random(3)

    def words(n: int) -> str:
        return " ".join(rng.choices("ab", k=n))

    for _ in range(30):
        text, own = words(20), [words(12) for _ in range(3)]
        there = sum(any(" ".join(text.split()[i : i + 5]) in one for one in own) for i in range(16))
        assert values(text, target(tuple(map(review, own))))["copied_history"] == pytest.approx(there / 16)


def test_held_out_peers_are_no_source(tmp_path: pytest.TempPathFactory) -> None:
    corpus: Corpus = fakes.corpus(tmp_path)  # type: ignore[arg-type]
    samples = corpus.samples("test")
    found = Targets(samples, corpus).of(Copying(), [])  # type: ignore[arg-type]
    held = {one.text for one in corpus.held_out()}
    assert any(one.user_id != samples[0].user_id for one in corpus.held_out())
    assert not held & {peer.text for one in found for peer in one.peers}


def test_under_a_swap_what_was_shown_counts() -> None:
    mine, other = review("these are my own five words"), review("and these are of somebody else", "v")
    one = target((mine,))
    swapped = replace(one, sample=replace(one.sample, history=(other,)))
    assert values(other.text, swapped)["copied_history"] == 1
    assert values(mine.text, swapped)["copied_history"] == 0
