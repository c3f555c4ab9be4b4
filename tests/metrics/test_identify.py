"""Identification: who the candidates are, what a row holds, and what chance, floor and ceiling have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.data.corpus import load
from bench.data.synthetic import world
from bench.errors import UserError
from bench.score import score_arrays
from bench.score.targets import Targets
from bench.types import UserTarget
from metrics.authorship import choice, ranks
from metrics.authorship.scorer import Case
from metrics.identify import COLUMNS, Identify
from tests.metrics.authorship.authors import author, review, target

OWN = author("me", "mine 0", "mine 1", "mine 2")
OTHERS = [author(f"u{number}", *(f"of {number} {place}" for place in range(5))) for number in range(12)]


class Spy:
    """A scorer that scores by a function of (text, candidate's texts)."""

    def __init__(self, score: Any) -> None:
        self.score, self.cases = score, list[Case]()

    def scores(self, cases: list[Case], users: Any) -> Any:
        self.cases += cases
        return [
            np.array([[float(self.score(text, one)) for one in case.candidates] for text in case.texts])
            for case in cases
        ]

    def version(self) -> str:
        return "spy"


def with_spy(score: Any = lambda text, one: 0, **options: Any) -> tuple[Identify, Spy]:
    metric, spy = Identify("delta", **options), Spy(score)
    metric.chosen._kept["delta"] = spy
    return metric, spy


def test_a_review_that_is_the_text_is_not_what_its_author_is_known_by() -> None:
    """An old review of the user's, copied whole, once was more like the user than the real text."""
    metric, spy = with_spy()
    metric.score(["mine 1", " of 3 0\n"], [target(OWN, "real", others=OTHERS)] * 2)
    own, others = spy.cases
    assert own.candidates[0].texts == ("mine 0", "mine 2")
    assert {len(one.texts) for one in own.candidates} == {2}
    assert others.candidates[4].texts == ("of 3 1", "of 3 2", "of 3 3")
    metric.score(["only"], [target(author("me", "only"), "real", others=OTHERS)])
    assert spy.cases[-1].candidates[0].texts == ("only",)


def test_candidates_are_the_user_and_nine_others_by_as_many_newest_reviews() -> None:
    metric, spy = with_spy()
    (row,) = metric.score(["text"], [target(OWN, "real", others=OTHERS)])
    (case,) = spy.cases
    assert [one.user_id for one in case.candidates] == ["me", *(f"u{number}" for number in range(9))]
    assert [len(one.texts) for one in case.candidates] == [3] * 10
    assert case.candidates[1].texts == ("of 0 0", "of 0 1", "of 0 2")
    assert case.texts == ("text", "real", "of 9 0")  # the floor is of nobody among them
    assert row["candidates"] == 10
    assert "unread" not in row
    metric, spy = with_spy(reviews=2, candidates=4)
    metric.score(["text"], [target(OWN, "real", others=OTHERS)])
    assert [len(one.texts) for one in spy.cases[0].candidates] == [2] * 4


def test_no_review_of_the_item_is_among_them() -> None:
    own = replace(OWN, reviews=(*OWN.reviews, review("me", 9, "again", item="i")))
    metric, spy = with_spy()
    metric.score(["text"], [target(own, "real", others=OTHERS)])
    assert spy.cases[0].candidates[0].texts == ("mine 0", "mine 1", "mine 2")


def test_the_floor_is_the_peer_of_the_nearest_rating_who_is_no_candidate() -> None:
    peers = [
        review("u3", 9, "a candidate's", item="i"),
        review("v", 9, "far", item="i", rating=1),
        review("w", 9, "near", item="i", rating=5),
    ]
    metric, spy = with_spy()
    metric.score(["text"], [target(OWN, "real", others=OTHERS, peers=peers)])
    assert spy.cases[0].texts[2] == "near"


def test_rows_by_hand() -> None:
    likes = {"text": {"me": 2, "u0": 3}, "real": {"me": 9}, "of 9 0": {"u1": 1, "u2": 1}}
    metric, _ = with_spy(lambda text, one: likes[text].get(one.user_id, 0))
    (row,) = metric.score(["text"], [target(OWN, "real", others=OTHERS)])
    own = {"auc": 8 / 9, "top1": 0, "mrr": 1 / 2}
    floor = {"auc": 7 / 9 / 2, "top1": 0, "mrr": np.mean([1 / rank for rank in range(3, 11)])}
    for kind, wanted in (("", own), ("_ceiling", dict.fromkeys(ranks.MEASURES, 1)), ("_floor", floor)):
        assert {one: row[f"identify_delta_{one}{kind}"] for one in wanted} == pytest.approx(wanted)
    values = metric.aggregate([row])
    assert values["identify_delta_share"] == pytest.approx((8 / 9 - 7 / 18) / (1 - 7 / 18))


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_text_scores_0_and_leaves_ceiling_and_floor(text: str) -> None:
    metric, _ = with_spy()
    (row,) = metric.score([text], [target(OWN, "real", others=OTHERS)])
    assert [row[f"identify_delta_{one}"] for one in ranks.MEASURES] == [0, 0, 0]
    assert row["identify_delta_auc_ceiling"] == row["identify_delta_auc_floor"] == 0.5


def test_fewer_candidates_and_none_are_said_and_counted() -> None:
    metric, _ = with_spy()
    few, alone, new = metric.score(
        ["text"] * 3,
        [target(OWN, "real", others=OTHERS[:2]), target(OWN, "real"), target(author("me"), "real", others=OTHERS)],
    )
    assert few["candidates"] == 3
    assert few["identify_delta_top1"] == pytest.approx(1 / 3)
    assert few["identify_delta_auc_floor"] is None  # nobody is left to write it
    assert metric.unread(few) == {"reference": ["have fewer than 10 candidates, so that a guess is right more often"]}
    for row in (alone, new):
        assert row["candidates"] == 0
        assert row["identify_delta_auc"] is None
        assert metric.unread(row) == {"reference": ["have no candidates or no past review, and are in no mean"]}
    assert metric.aggregate([few, alone])["identify_delta_top1"] == pytest.approx(1 / 3)
    assert metric.aggregate([alone]) == {}


def test_options_are_checked() -> None:
    with pytest.raises(UserError, match="no scorer 'ngram'"):
        Identify("ngram")
    with pytest.raises(ValueError, match="at least 2 candidates"):
        Identify(candidates=1)


def test_columns_are_those_of_the_scorers_and_arrays_know_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {column.key.split("_")[1] for column in Identify("delta").columns} == {"delta"}
    keys = [column.key for column in Identify(model="x").columns]
    assert len(keys) == len(set(keys)) == 3 * (3 * 3 + 1)
    row = {COLUMNS.key("model", "auc", kind): value for kind, value in (("", 0.7), ("_ceiling", 0.9), ("_floor", 0.5))}
    numbers, means = score_arrays.statistics("identify", [row, dict.fromkeys(row)])
    values = score_arrays.values("identify", numbers.sum(axis=0), means)
    assert values["identify_model_auc"] == pytest.approx(0.7)
    assert values["identify_model_share"] == pytest.approx(0.5)
    assert np.isnan(values["identify_delta_auc"])


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> list[UserTarget]:
    path = tmp_path_factory.mktemp("world")
    world.write(path, world.Knobs(users=60, items=40, categories=2), name="w")
    corpus = load(str(path))
    return list(Targets(corpus.samples("test"), corpus).of(Identify(), []))  # type: ignore[arg-type]


@pytest.mark.parametrize("scorer", ["delta", "lambdag"])
def test_real_texts_are_told_and_others_are_not(targets: list[UserTarget], scorer: str) -> None:
    some = targets if scorer == "delta" else targets[::4]
    rows = Identify(scorer).score([one.reference for one in some], some)
    auc = np.array([row[f"identify_{scorer}_auc"] for row in rows])
    floor = np.array([row[f"identify_{scorer}_auc_floor"] for row in rows])
    assert [row[f"identify_{scorer}_auc_ceiling"] for row in rows] == auc.tolist()
    assert stats.ttest_rel(auc, floor, alternative="greater").pvalue < 1e-6
    low, high = stats.t.interval(0.99, len(floor) - 1, floor.mean(), stats.sem(floor))
    assert low < 0.5 < high


def test_shuffled_users_have_what_a_guess_has_in_100_simulations(targets: list[UserTarget]) -> None:
    """The own author is replaced by a random one of the ten: top-1 is 1 / N and AUC .5, within intervals."""
    metric = Identify("delta")
    cases = [metric._case(one.reference, one) for one in targets]
    scores = np.stack([found[0] for _, _, found in metric.chosen.scores(cases, targets)])
    rng = np.random.default_rng(0)
    inside = {"auc": 0, "top1": 0}
    means = []
    for _ in range(100):
        own = rng.integers(10, size=len(scores))
        made = [ranks.measures(row[place], np.delete(row, place)) for row, place in zip(scores, own, strict=True)]
        for measure, chance in (("auc", 0.5), ("top1", 0.1)):
            values = np.array([one[measure] for one in made])
            low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
            inside[measure] += low < chance < high
        means.append([np.mean([one[measure] for one in made]) for measure in ("auc", "top1")])
    assert min(inside.values()) >= 88  # of 100 at 95 %: fewer happen twice in a thousand times
    assert np.mean(means, axis=0) == pytest.approx([0.5, 0.1], abs=0.01)


def test_the_users_of_a_category_are_their_own_norm(targets: list[UserTarget]) -> None:
    texts = [one.reference for one in targets]
    together = Identify("delta").score(texts, targets)
    half = len(targets) // 2
    assert targets[0].sample.category != targets[half].sample.category
    apart = Identify("delta").score(texts[:half], targets[:half]) + Identify("delta").score(
        texts[half:], targets[half:]
    )
    assert together == apart


def test_labels_are_of_all_scorers() -> None:
    assert set(choice.SPACES) <= set(choice.LABELS)


def test_it_is_scored_in_a_run_and_stands_in_tables(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from tests.fakes import bench

    world.write(tmp_path / "w", world.Knobs(users=30, items=30, categories=1), name="w")
    words = ["--data", tmp_path / "w", "--generator", "echo", "--out", tmp_path / "runs"]
    asked = ["--metric", "identify,peers,responsive", "--set", "identify.scorers=delta"]
    assert bench("run", "--method", "nonperso,oracle", *words, *asked) == 0
    assert bench("table", tmp_path / "runs", "--all", "--format", "csv") == 0
    printed = capfd.readouterr()
    for column in ("identify_delta_auc", "identify_delta_share", "peers_delta_auc", "responsive"):
        assert column in printed.out
    assert bench("run", "--method", "nonperso", *words, "--metric", "identify", "--set", "identify.model=no/such") == 2
    assert "no/such" in capfd.readouterr().err.splitlines()[-1]
