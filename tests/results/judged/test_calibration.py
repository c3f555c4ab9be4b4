"""The calibration of a judge finds a bias that is known."""

from __future__ import annotations

import math

import pytest

from bench.data.corpus import Corpus
from bench.record.judged import About, Judgement, Pair
from metrics.pairwise import PairwiseJudge
from results.judged.judging import calibrated
from results.judged.known import NEAR, known
from results.statistics import judged as measures
from results.statistics.judged import Calibration
from results.tables import calibrated as told
from tests.results.judged import stubs
from tests.results.judged.stubs import Answer, Stub


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return stubs.planted(tmp_path_factory.mktemp("world"))


def judgement(pairs: list[Pair], found: list[Pair]) -> Judgement:
    about = About(a="A", b="B", runs={}, data="toy", judge="a stub", version="1", options={})
    return Judgement(about, tuple(pairs), tuple(found))


def found_by(corpus: Corpus, answers: Answer, n: int = 100) -> Calibration:
    judge = PairwiseJudge()
    judge.respondent = Stub(answers)
    found = measures.calibration(judgement([], calibrated(judge, known(corpus, "test", n=n))))
    assert found is not None and found.n == n
    return found


def test_a_perfect_judge(corpus: Corpus) -> None:
    found = found_by(corpus, stubs.perfect(corpus))
    assert found.accuracy is not None and found.length is not None
    assert (found.accuracy.value, found.kappa, found.flips, found.first, found.unread) == (1.0, 1.0, 0.0, 0.5, 0)
    assert 0.9 < found.accuracy.low < 1  # not the bootstrap's, which has no width here
    assert abs(found.length.value) < 0.5
    assert found.good


def test_one_that_always_takes_the_first(corpus: Corpus) -> None:
    found = found_by(corpus, stubs.first)
    assert found.accuracy is not None and found.length is not None
    assert (found.accuracy.value, found.flips, found.first) == (0.5, 1.0, 1.0)
    assert found.kappa == -1.0
    assert found.length.value == pytest.approx(0, abs=1e-9)
    assert not found.good


def test_one_that_takes_the_longer(corpus: Corpus) -> None:
    found = found_by(corpus, stubs.longer)
    assert found.accuracy is not None and found.length is not None
    assert found.length.low > 1 and found.flips == 0 and found.kappa == 1.0
    assert found.first == 0.5
    assert abs(found.accuracy.value - 0.5) < 0.2 and not found.good


def test_one_that_tosses_a_coin(corpus: Corpus) -> None:
    found = found_by(corpus, stubs.random)
    assert found.accuracy is not None and found.length is not None
    assert found.accuracy.low < 0.5 < found.accuracy.high and found.accuracy.p > 0.05
    assert found.length.low < 0 < found.length.high
    assert 0.35 < found.flips < 0.65 and abs(found.kappa) < 0.25
    assert not found.good


def test_one_that_answers_rubbish(corpus: Corpus) -> None:
    found = found_by(corpus, stubs.rubbish)
    assert found.accuracy is None and found.length is None
    assert found.unread == found.n == 100
    assert math.isnan(found.kappa) and math.isnan(found.flips) and math.isnan(found.first)
    assert not found.good


def test_a_judge_that_is_right_but_seldom_readable_is_not_good(corpus: Corpus) -> None:
    knows = stubs.perfect(corpus)
    found = found_by(corpus, lambda user: knows(user) if stubs.random(user) == "A" else "hm")
    assert found.accuracy is not None and found.accuracy.value == 1.0 and found.accuracy.low > measures.LEAST
    assert found.unread > 50 and not found.good
    line = list(told.said("a stub", found))[-1]
    assert f"{found.unread} of 100 pairs with known answers are unread, more than 10 %" in line


def test_known_pairs_are_a_user_against_a_peer_of_the_item_with_a_near_rating(corpus: Corpus) -> None:
    found = known(corpus, "test", n=100)
    assert len({(one.target.sample.category, one.target.sample.user_id) for one in found}) == len(found) == 100
    assert {one.target.sample.category for one in found[:2]} == set(corpus.categories)  # in turn
    for one in found:
        sample = one.target.sample
        assert one.peer.item == sample.item and one.peer.user_id != sample.user_id
        assert one.peer.text.strip() != one.target.reference.strip()
        others = [abs(peer.rating - sample.rating) for peer in one.target.peers]
        assert one.near == (abs(one.peer.rating - sample.rating) <= NEAR)
        assert one.near or min(others) > NEAR
    assert any(one.peer in corpus.held_out() for one in found)
    assert known(corpus, "test", n=30) == found[:30] == known(corpus, "test", n=30)


def test_without_peers_nothing_is_known_and_the_judge_is_marked(corpus: Corpus) -> None:
    assert measures.calibration(judgement([], [])) is None
    (line,) = told.said("a stub", None)
    assert line.startswith(
        f"{told.MARK} a stub is not shown to tell this user's text from a peer's: it was calibrated on"
    )
