from __future__ import annotations

import asyncio

from bench.generate.engine.echo import EchoGenerator
from bench.types import Completion, Prompt, Request, Sampling


def answer(prompt: Prompt, *, seed: int = 0, n: int = 10) -> Completion:
    engine = EchoGenerator(None)  # type: ignore[arg-type]
    ids = engine.encoder.encode(prompt)
    return asyncio.run(engine.generate(Request(ids, Sampling(max_new_tokens=n), seed)))


def test_answers_are_words_of_the_prompt_by_the_seed_alone() -> None:
    prompt = Prompt("one two", "three \ud800 vier")
    first = answer(prompt)
    assert first == answer(prompt)
    assert set(first.text.split()) <= {"one", "two", "three", "\ud800", "vier"}
    assert (first.n_new, first.n_prompt) == (10, 5)
    assert answer(prompt, seed=1).text != first.text
    assert answer(prompt, n=3).n_new == 3


def test_an_empty_prompt_has_an_empty_answer() -> None:
    assert answer(Prompt("", "")).text == ""
