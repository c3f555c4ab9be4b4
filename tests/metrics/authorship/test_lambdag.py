"""LambdaG: masks by hand, scores against the package's own method, and whose sentences are references."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from metrics.authorship import lambdag
from metrics.authorship.scorer import Candidate, Case
from tests.metrics.authorship.authors import author

RNG = random.Random(0)
WORDS = ("the", "a", "is", "it", "of", "and", "but", "I", "Radio", "radios", "never", "good", "cheap", "was", ".")


def text(words: int = 40) -> str:
    return " ".join(RNG.choice(WORDS) for _ in range(words)) + "."


USERS = tuple(author(name, *(text() for _ in range(4))) for name in "abcdef")


def test_content_is_masked_and_grammar_stays() -> None:
    assert lambdag.sentences("The DVD isn’t bad; 3 of them... I'm HAPPY!\nok") == (
        ("the", "WORD", "isn't", "word", ";", "0", "of", "them", "..."),
        ("i'm", "WORD", "!"),
        ("word",),
    )
    assert lambdag.sentences(" \n ") == ()


def test_scores_are_those_of_the_package_on_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    from lambdag import LambdaGMethod

    candidates = tuple(Candidate(one.user_id, tuple(r.text for r in one.reviews[:2])) for one in USERS[:3])
    texts = (text(), text())
    drawn: list[Any] = []
    draw = lambdag._drawn
    monkeypatch.setattr(lambdag, "_drawn", lambda *given: drawn.extend(draw(*given)) or list(drawn))
    (found,) = lambdag.LambdaG().scores([Case(texts, candidates)], USERS)
    assert found.shape == (2, 3)
    assert len(drawn) == lambdag.REFERENCES

    package: Any = LambdaGMethod("tokens", lambdag.ORDER, "kneser_ney", True, True, num_references=1)
    package.random_gen = type("First", (), {"choice": lambda self, n, size, replace: np.arange(size)})()
    for candidate, column in zip(candidates, found.T, strict=True):
        known = [one for each in candidate.texts for one in lambdag.sentences(each)]
        for each, score in zip(texts, column, strict=True):
            asked = list(lambdag.sentences(each))
            theirs = [package._lambdag_score(known, asked, list(reference)) for reference in drawn]
            assert score == pytest.approx(np.mean(theirs))


def test_references_are_of_users_who_are_no_candidates_and_the_same_every_time() -> None:
    pool = {user: [(user, str(number)) for number in range(30)] for user in "abcd"}
    candidates = [Candidate("a", ()), Candidate("b", ())]
    drawn = lambdag._drawn(candidates, 50, pool)
    assert {sentence[0] for one in drawn for sentence in one} == {"c", "d"}
    assert [len(set(one)) for one in drawn] == [50] * lambdag.REFERENCES
    assert drawn == lambdag._drawn(candidates[::-1], 50, pool)
    assert drawn[0] != drawn[1]
    everybody = lambdag._drawn([Candidate(user, ()) for user in pool], 500, pool)
    assert len(everybody[0]) == 120  # nobody else is left


def test_a_candidate_without_a_sentence_tells_nothing() -> None:
    case = Case((text(), ""), (Candidate("a", (" ",)), Candidate("b", (text(),))))
    (found,) = lambdag.LambdaG().scores([case], USERS)
    assert found[:, 0].tolist() == [0, 0]
    assert found[1].tolist() == [0, 0]  # an empty text
    assert np.isfinite(found).all()


def test_no_more_than_the_first_sentences_are_read() -> None:
    long = " ".join("it was good." for _ in range(lambdag.SENTENCES + 5))
    assert len(lambdag._known(Candidate("a", (long, "And this.")))) == lambdag.SENTENCES
