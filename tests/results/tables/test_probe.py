"""The linear probe: features by hand, what can and cannot be told, refusals, and the command."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.corpus import Corpus, load
from bench.data.synthetic import world
from bench.errors import UserError
from results.tables import probe
from tests.fakes import bench


class Letters:
    """Vectors that hold the marks of a text: shares of '!', '.', ';', capitals, and its length. None of the words."""

    def embed(self, texts: Sequence[str]) -> Any:
        marks = "!.;"
        return np.array(
            [[*(t.count(m) / 9 for m in marks), sum(map(str.isupper, t)) / 20, len(t) / 500] for t in texts], np.float32
        )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("world")
    world.write(folder, world.Knobs(users=90, items=60, categories=1), name="w")
    return load(str(folder))


def test_features_by_hand(corpus: Corpus) -> None:
    sample = corpus.samples("test")[0]
    two = sample.history[:2]
    found = probe.features(corpus, two, Letters())
    own = Letters().embed([review.text for review in two])
    peers = [Letters().embed([peer.text for peer in corpus.peers(review)]) for review in two]
    differences = [own[i] - peers[i].sum(0) / len(peers[i]) for i in range(2)]
    assert found["his"] == pytest.approx((own[0] + own[1]) / 2, abs=1e-6)
    assert found["diff"] == pytest.approx((differences[0] + differences[1]) / 2, abs=1e-6)
    assert found["both"].tolist() == [*found["his"], *found["diff"]]


def test_what_vectors_hold_is_told_and_what_they_do_not_hold_is_not(corpus: Corpus) -> None:
    samples = probe.users(corpus, ks=[4], what="habits", n=None, seed=0)
    rows = probe.measure(corpus, samples, Letters(), ks=[4], what="habits", seed=0)
    by = {(row.what, row.feature): row for row in rows}
    assert set(by) == {(habit, feature) for habit in probe.HABITS for feature in probe.FEATURES}
    for feature in ("his", "both"):
        for habit in ("length", "punctuation"):
            assert by[habit, feature].accuracy > by[habit, feature].chance + 0.2
            assert by[habit, feature].low > by[habit, feature].chance
        for habit in ("opening", "signoff", "catchphrase"):
            assert by[habit, feature].accuracy < by[habit, feature].chance + 0.12
    assert {row.users for row in rows} == {90}
    assert all(row.low <= row.accuracy <= row.high for row in rows)


def test_identity_is_told_from_reviews_that_were_not_trained_on(corpus: Corpus) -> None:
    samples = probe.users(corpus, ks=[2, 4], what="identity", n=12, seed=3)
    assert len(samples) == 12
    assert samples == probe.users(corpus, ks=[2, 4], what="identity", n=12, seed=3)
    rows = probe.measure(corpus, samples, Letters(), ks=[2, 4], what="identity", seed=0)
    assert {(row.what, row.users) for row in rows} == {("Board_Games, 1 of 12", 12)}
    assert rows[0].chance == pytest.approx(1 / 12)
    assert max(row.accuracy for row in rows) > 0.25

    class Nothing:
        def embed(self, texts: Sequence[str]) -> Any:
            return np.ones((len(texts), 3), np.float32)

    none = probe.measure(corpus, samples, Nothing(), ks=[4], what="identity", seed=0)
    assert [row.accuracy for row in none] == [pytest.approx(1 / 12)] * 3


def test_the_table_has_a_line_for_each_feature(corpus: Corpus) -> None:
    rows = [probe.Told("length", feature, k, 0.5, 0.4, 0.6, 0.3, 9) for k in (1, 2) for feature in probe.FEATURES]
    assert probe.heads(rows) == ["told", "from", "K = 1", "K = 2", "chance", "n"]
    assert probe.table(rows) == [
        ["length", "his", "0.50 ±0.10", "0.50 ±0.10", "0.30", "9"],
        ["", "diff", "0.50 ±0.10", "0.50 ±0.10", "", ""],
        ["", "both", "0.50 ±0.10", "0.50 ±0.10", "", ""],
    ]


def test_refusals(corpus: Corpus) -> None:
    bundled = load("bundled")
    with pytest.raises(UserError, match=r"data 'bundled' has no planted habits; probe --target identity"):
        probe.users(bundled, ks=[1], what="habits", n=None, seed=0)
    with pytest.raises(UserError, match=r"no target of a probe 'habit'; did you mean 'habits'"):
        probe.users(corpus, ks=[1], what="habit", n=None, seed=0)
    with pytest.raises(UserError, match=r"0 users have the 100 past reviews that K = 50 needs; lower -k"):
        probe.users(corpus, ks=[1, 50], what="identity", n=None, seed=0)


@pytest.mark.parametrize("k", ["0", "0,2", "x", ""])
def test_a_k_without_a_review_is_one_line(k: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("probe", "-k", k, "--out", tmp_path) == 2
    assert capfd.readouterr().err.splitlines()[-1].startswith("bench: -k ")


@pytest.mark.models
def test_the_command_prints_a_table_json_and_a_figure(
    tmp_path: Path, require_assets: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    require_assets("all-minilm-l6-v2")
    world.write(tmp_path / "w", world.Knobs(users=12, items=30, categories=1), name="w")
    words = ["probe", "--data", tmp_path / "w", "-k", "1,2", "--out", tmp_path / "runs"]
    assert bench(*words, "--to", tmp_path / "p.svg") == 0
    out = capfd.readouterr().out
    assert "punctuation" in out
    assert "<svg" in (tmp_path / "p.svg").read_text()
    assert bench(*words, "--json", "--target", "identity", "--users", "6") == 0
    rows = json.loads(capfd.readouterr().out)["rows"]
    assert {row["what"] for row in rows} == {"Board_Games, 1 of 6"}
    assert len(rows) == 6
