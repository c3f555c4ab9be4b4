"""Cosines with the mean vector of an author's reviews, by hand; the choice of scorers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bench.errors import UserError
from metrics.authorship import choice
from metrics.authorship.choice import Chosen
from metrics.authorship.encoder import Cosine
from metrics.authorship.scorer import Candidate, Case

VECTORS = {"x": [2, 0], "y": [0, 3], "z": [1, 1], "nothing": [0, 0]}


class Fake:
    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def identity(self) -> str:
        return "fake"

    def embed(self, texts: Sequence[str]) -> Any:
        self.calls.append(list(texts))
        return np.array([VECTORS[text] for text in texts], np.float32)


def test_cosine_with_the_mean_of_unit_vectors_in_one_call() -> None:
    fake = Fake()
    cases = [
        Case(("x", "z"), (Candidate("a", ("x", "y")), Candidate("b", ("y",)))),
        Case(("y",), (Candidate("c", ("z",)),)),
    ]
    first, second = Cosine(fake).scores(cases, ())
    half = np.sqrt(0.5)
    assert first == pytest.approx(np.array([[half, 0], [1, half]]))
    assert second == pytest.approx(np.array([[half]]))
    assert [sorted(call) for call in fake.calls] == [["x", "y", "z"]]
    assert Cosine(fake).scores([Case(("nothing",), (Candidate("a", ("x",)),))], ())[0].tolist() == [[0]]


def test_distances() -> None:
    assert Cosine(Fake()).distances([("x", "x"), ("x", "y"), ("x", "z")], ()) == pytest.approx([0, 1, 1 - np.sqrt(0.5)])


def test_scorers_by_name() -> None:
    assert choice.named("lambdag, delta", "") == ("delta", "lambdag")
    assert choice.named("", "some/encoder") == ("model",)
    assert choice.named("embedder", "some/encoder") == ("embedder", "model")
    for scorers, said in (
        ("detla", r"no scorer 'detla'; did you mean 'delta'\?"),
        ("model", r"scorer 'model' needs the option model=NAME"),
        (" ,", r"no scorer is named; known: delta, lambdag, embedder, model"),
    ):
        with pytest.raises(UserError, match=said):
            choice.named(scorers, "")


def test_a_scorer_without_its_encoder_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="scorer 'embedder' needs an encoder"):
        Chosen(("embedder",)).versions()
    assert Chosen(("embedder",), {"embedder": Fake()}).versions() == {"scorer embedder": "cosine of fake"}
