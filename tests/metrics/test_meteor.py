"""METEOR against worked examples. m matches in c chunks, of p predicted and r reference words:

precision P = m/p, recall R = m/r, F = P R / (.9 P + .1 R), score = F (1 - .5 (c/m)**3).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.models import assets
from metrics.meteor import Meteor

pytestmark = pytest.mark.models


@pytest.fixture(autouse=True)
def _data(require_assets: Callable[..., None]) -> None:
    require_assets("wordnet", "punkt")


def meteor(prediction: str, reference: str) -> float:
    value = Meteor().score([prediction], [reference])[0]["meteor"]
    assert isinstance(value, float)
    return value


def test_the_same_text_is_one_chunk() -> None:
    # m = 6, c = 1
    assert meteor("the cat sat on the mat", "The cat sat on the mat") == pytest.approx(1 - 0.5 / 6**3, abs=1e-12)


def test_a_synonym_of_wordnet_matches() -> None:
    # car and auto share the synset car.n.01, and are their own stems: m = 4, c = 1
    assert meteor("the car was fast", "the auto was fast") == pytest.approx(1 - 0.5 / 4**3, abs=1e-12)
    # No synset holds both car and song: m = 3, p = r = 4, in 2 chunks (the | was fast)
    assert meteor("the car was fast", "the song was fast") == pytest.approx(0.75 * (1 - 0.5 * (2 / 3) ** 3), abs=1e-12)


def test_a_synonym_that_is_not_its_own_stem_is_missed() -> None:
    # movie and film share movie.n.01, but nltk looks up the stem "movi": as the song above.
    assert meteor("the movie was fast", "the film was fast") == pytest.approx(
        0.75 * (1 - 0.5 * (2 / 3) ** 3), abs=1e-12
    )


def test_a_stem_matches() -> None:
    # loved and loves have the stem love; songs and song, song: m = 3, c = 1
    assert meteor("he loved songs", "he loves song") == pytest.approx(1 - 0.5 / 3**3, abs=1e-12)


def test_recall_weighs_nine_times_and_disorder_costs_half() -> None:
    # m = 2, p = 2, r = 5, c = 2: P = 1, R = .4, F = .4 / .94, penalty .5
    assert meteor("great album", "this album sounds great today") == pytest.approx(0.4 / 0.94 * 0.5, abs=1e-12)


def test_a_repeated_word_is_matched_from_the_end() -> None:
    # nltk pairs the last "the" with the last, not so as to cross least: 6 chunks, not the 3 of the paper.
    assert meteor("on the mat sat the cat", "the cat sat on the mat") == pytest.approx(0.5, abs=1e-12)


def test_words_are_those_of_word_tokenize() -> None:
    # it is great . / it is great !: m = 3, p = r = 4, c = 1
    assert meteor("It is great.", "It is great!") == pytest.approx(0.75 * (1 - 0.5 / 27), abs=1e-12)
    # ca n't stop: n't is a word of its own, and the same in do n't: m = 2, p = r = 3, c = 1
    assert meteor("can't stop", "don't stop") == pytest.approx(2 / 3 * (1 - 0.5 / 8), abs=1e-12)


@pytest.mark.parametrize(
    ("text", "n_words"), [("word", 1), ("Это хороший альбом", 3), ("素晴らしい映画", 1), ("good word " * 2500, 5000)]
)
def test_any_text_against_itself(text: str, n_words: int) -> None:
    assert meteor(text, text) == pytest.approx(1 - 0.5 / n_words**3, abs=1e-12)


def test_a_part_of_a_text_in_another_script() -> None:
    # Это хороший альбом / Это плохой альбом: m = 2 of 3 and 3, in 2 chunks: 2/3 (1 - .5)
    assert meteor("Это хороший альбом", "Это плохой альбом") == pytest.approx(2 / 3 * 0.5, abs=1e-12)
    # Split at spaces alone, the first of two words matches: m = 1 of 2 and 2, in 1 chunk
    assert meteor("素晴らしい映画 です", "素晴らしい映画 でした") == pytest.approx(0.5 * 0.5, abs=1e-12)


def test_nothing_shared_scores_zero() -> None:
    assert meteor("this is a cat", "non matching hypothesis") == 0.0


@pytest.mark.parametrize("empty", ["", " \n\t "])
def test_an_empty_text_scores_zero_and_stays_in_the_mean(empty: str) -> None:
    metric = Meteor()
    rows = metric.score([empty, "same", "great album"], ["words", empty, "great album"])
    assert [row["meteor"] for row in rows] == [0.0, 0.0, pytest.approx(1 - 0.5 / 8)]
    assert metric.aggregate(rows) == {"meteor": pytest.approx((1 - 0.5 / 8) / 3)}
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_lists_of_different_length_and_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        Meteor().score(["one"], ["one", "two"])
    with pytest.raises(ValueError, match="no rows"):
        Meteor().aggregate([])


def test_versions_name_wordnet() -> None:
    # The sha256 of WordNet 3.0's files with Unix line ends, as the package index has them.
    assert Meteor().versions()["wordnet"] == "3.0 76f67411a497"


def test_without_wordnet_the_error_says_what_to_run(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEP_BENCH_HOME", str(tmp_path_factory.mktemp("empty")))
    with pytest.raises(UserError, match="model 'wordnet' is not on this machine; run `bench models pull`"):
        Meteor().score(["a"], ["a"])


NAMES = {
    "wordnet": [f"corpora/wordnet/{name}" for name in ("data.noun", "index.noun", "lexnames")],
    "punkt": [f"tokenizers/punkt_tab/english/{name}" for name in ("collocations.tab", "abbrev_types.txt")],
}


@pytest.mark.parametrize("asset", NAMES)
def test_damaged_data_is_named_before_it_is_used(asset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "home" / "nltk_data"
    shutil.copytree(assets.nltk_path(), data)
    monkeypatch.setenv("DEP_BENCH_HOME", str(tmp_path / "home"))
    Meteor().versions()
    for file in (data / name for name in NAMES[asset]):
        whole = file.read_bytes()
        for damaged in (whole[: len(whole) // 2], b"", b"\xff\0" * 500):
            file.write_bytes(damaged)
            for ask in (Meteor().versions, lambda: Meteor().score(["a"], ["a"])):
                with pytest.raises(UserError, match=rf"^model '{asset}': .*; run `bench models pull {asset}`$"):
                    ask()
        file.write_bytes(whole)
    Meteor().versions()
