"""What each metric says that it cannot read: counted by hand here, script by script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from metrics import reading
from metrics.bertscore import BertScore
from metrics.bleu import Bleu
from metrics.judge import Judge
from metrics.meteor import Meteor
from metrics.rouge import Rouge
from tests.metrics.test_bertscore import MINILM

PLAIN = "Great sound, 10 out of 10!"
NEPALI = "पूर्व प्रधानमन्त्री शिंजो आबेको हत्याले जापान स्तब्ध छ"
CHINESE = "这张专辑很好听。"
JAPANESE = "これは良い品です"
THAI = "เพลงนี้เพราะมาก"
RUSSIAN = "Хороший альбом, советую"
ARABIC = "هذا كتاب جيد"
KOREAN = "정말 좋은 앨범"
TEXTS = (PLAIN, NEPALI, CHINESE, JAPANESE, THAI, RUSSIAN, ARABIC, KOREAN, "😀😀", "?!...", "\u200b")


def codes(metric: Any, text: str, side: str = "reference") -> list[str]:
    """The codes of a text when it is the reference, or the prediction, beside a plain one."""
    pair = ([PLAIN], [text]) if side == "reference" else ([text], [PLAIN])
    (row,) = metric.score(*pair)
    found = row.get("unread", {})
    assert set(found) <= {side}
    said = metric.unread(row)
    assert {key: len(value) for key, value in said.items()} == {key: len(value) for key, value in found.items()}
    return list(found.get(side, []))


@pytest.mark.parametrize("side", ["reference", "prediction"])
@pytest.mark.parametrize("text", TEXTS[1:])
def test_rouge_reads_nothing_without_a_to_z_and_digits(text: str, side: str) -> None:
    assert codes(Rouge(), text, side) == [reading.NONE]
    assert Rouge().score([text], [text])[0]["rouge1"] == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PLAIN, []),
        (f"{NEPALI} cd 1", [reading.MOST]),
        (f"{CHINESE} cd 1 of ten", []),  # 7 characters dropped, 8 kept
        (f"{CHINESE} cd 1", [reading.MOST]),
        ("Café très agréable, déjà vu", []),
        ("a 😀😀😀😀😀", []),  # pictures are no letters
        ("ｆｕｌｌ ｗｉｄｔｈ a", [reading.MOST]),
        ("\u212a", []),  # the Kelvin sign becomes k in lower case
        ("", []),
        (" \n", []),
    ],
)
def test_rouge_drops_most_of_a_mixed_text(text: str, expected: list[str]) -> None:
    assert codes(Rouge(), text) == expected


@pytest.mark.models
def test_meteor_and_bleu_tell_no_words_apart_without_spaces(require_assets: Callable[..., None]) -> None:
    require_assets("wordnet", "punkt")
    for metric in (Meteor(), Bleu()):
        for text in TEXTS:
            assert codes(metric, text) == ([reading.RUNS] if text in (CHINESE, JAPANESE, THAI) else []), text
            assert codes(metric, text, "prediction") == codes(metric, text)
        assert codes(metric, f"{JAPANESE}, said the label, and so did I") == []


def test_bleu_drops_its_own_mark() -> None:
    assert codes(Bleu(), "<skipped>") == [reading.NONE]
    assert codes(Bleu(), "<skipped> a word") == []


def test_a_judge_reads_the_start() -> None:
    class Answers:
        name = "a judge"

        def answer(self, prompts: Any, *, max_new_tokens: int) -> list[str | None]:
            return ["Score: 3" for _ in prompts]

    judge = Judge(max_chars=40)
    judge.respondent = Answers()
    assert codes(judge, "x" * 40) == []
    assert codes(judge, "x" * 41) == [reading.CUT]
    (row,) = judge.score([PLAIN], ["x" * 41])
    assert judge.unread(row) == {"reference": ["are read to their first 40 characters only"]}


@pytest.mark.models
def test_bertscore_counts_unknown_and_cut_texts(require_assets: Callable[..., None]) -> None:
    require_assets(MINILM)
    metric = BertScore(model=MINILM)
    assert codes(metric, PLAIN) == []
    assert codes(metric, "😀 😀 😀") == [reading.UNKNOWN]
    assert codes(metric, "😀 word") == []  # half, not more
    assert codes(metric, "\u200b") == [reading.NONE]
    assert codes(metric, "word " * 510) == []  # 510 and two special tokens fill 512 positions
    assert codes(metric, "word " * 511, "prediction") == [reading.CUT]
    assert codes(metric, "😀 " * 600) == [reading.UNKNOWN, reading.CUT]


def test_blank_texts_are_counted_elsewhere() -> None:
    for metric in (Rouge(), Bleu()):
        (row,) = metric.score([""], [" \n"])
        assert "unread" not in row
        (row,) = metric.score([""], [NEPALI])  # a failed sample, whose reference is unreadable all the same
        assert set(row.get("unread", {})) <= {"reference"}
    assert Rouge().score([""], [NEPALI])[0]["unread"] == {"reference": [reading.NONE]}


def test_letters_are_those_of_any_script() -> None:
    assert reading.letters("aé1 ?😀") == 3
    assert reading.letters("क्ष") == 3  # two consonants and the mark that joins them
