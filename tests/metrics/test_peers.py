"""Peer discrimination: which reviews count, values by hand, and chance for a peer's real text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.data.corpus import load
from bench.data.synthetic import world
from bench.score import score_arrays
from bench.score.targets import Targets
from metrics.peers import Peers
from tests.metrics.authorship.authors import author, review, target
from tests.metrics.test_identify import Spy

OWN = author("me", "mine")
PEERS = [
    review("a", 0, "far", item="i", rating=1),
    review("b", 0, "five", item="i", rating=5),
    review("c", 0, "four", item="i", rating=4),
    review("d", 0, "three", item="i", rating=3),
    review("e", 0, "  ", item="i", rating=4),
]


def with_spy(score: Any = lambda text, one: 0) -> tuple[Peers, Spy]:
    metric, spy = Peers(), Spy(score)
    metric.chosen._kept["delta"] = spy
    return metric, spy


def test_peers_within_1_of_the_rating_by_hand() -> None:
    likes = {"text": {"me": 2, "b": 3, "c": 2, "d": 1}, "four": {"me": 5, "c": 9, "b": 5, "d": 6}}
    metric, spy = with_spy(lambda text, one: likes[text][one.user_id])
    (row,) = metric.score(["text"], [target(OWN, "real", peers=PEERS)])
    (case,) = spy.cases
    assert case.texts == ("text", "four")
    first, second, *equally_near = (one.texts for one in case.candidates)
    assert (first, second, set(equally_near)) == (("real",), ("four",), {("five",), ("three",)})
    assert row["peers"] == 3
    assert row["peers_delta_auc"] == pytest.approx((0 + 1 / 2 + 1) / 3)
    assert row["peers_delta_auc_floor"] == pytest.approx((1 / 2 + 0) / 2)  # without the peer's own review
    values = metric.aggregate([row])
    assert values["peers_delta_share"] == pytest.approx((0.5 - 0.25) / (1 - 0.25))


def test_one_peer_leaves_no_floor_and_none_no_value() -> None:
    metric, _ = with_spy()
    one, none, empty = metric.score(
        ["text", "text", " "],
        [target(OWN, "real", peers=PEERS[1:2]), target(OWN, "real", peers=PEERS[:1]), target(OWN, "real", peers=PEERS)],
    )
    assert (one["peers_delta_auc"], one["peers_delta_auc_floor"]) == (0.5, None)
    assert (none["peers"], none["peers_delta_auc"]) == (0, None)
    assert metric.unread(none) == {"reference": ["have no peer's review with a rating within 1, and are in no mean"]}
    assert (empty["peers_delta_auc"], empty["peers_delta_auc_floor"]) == (0, 0.5)
    assert metric.aggregate([one, none]) == {"peers_delta_auc": 0.5}


def test_the_real_text_has_1_and_a_peers_has_a_half_in_a_world(tmp_path: Path) -> None:
    world.write(tmp_path, world.Knobs(users=60, items=20, categories=2), name="w")
    corpus = load(str(tmp_path))
    metric = Peers()
    targets = Targets(corpus.samples("test"), corpus).of(metric, [])  # type: ignore[arg-type]
    rows = metric.score([one.reference for one in targets], targets)
    known = [row for row in rows if row["peers"]]
    assert len(known) > 60
    assert {row["peers_delta_auc"] for row in known} == {1.0}
    floor = np.array([row["peers_delta_auc_floor"] for row in known if row["peers_delta_auc_floor"] is not None])
    low, high = stats.t.interval(0.99, len(floor) - 1, floor.mean(), stats.sem(floor))
    assert low < 0.5 < high


def test_a_share_of_no_room_is_no_number_anywhere() -> None:
    """A floor of 1 leaves nothing between floor and ceiling; an infinite share once broke the report."""
    row = {"peers": 2, "peers_delta_auc": 0.5, "peers_delta_auc_floor": 1.0}
    sums = np.array([Peers().statistics(row)])
    assert np.isinf(Peers().values(sums)["peers_delta_share"]).all()
    assert np.isnan(score_arrays.values("peers", sums, ())["peers_delta_share"]).all()
    assert "peers_delta_share" not in Peers().aggregate([row])
