"""Reasoning before an answer is cut off, counted and kept; whoever never leaves it has failed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bench.context.context import CellResources, SampleContext
from bench.errors import SampleFailure
from bench.generate.reasoning import MARKS, opened_by, parted
from bench.types import Completion, Item, Prompt, Sample, Sampling

REVIEW = "It shines.\n\nI love it."


@pytest.mark.parametrize(("opening", "closing"), MARKS)
def test_reasoning_in_the_marks_of_every_family_is_parted(opening: str, closing: str) -> None:
    assert parted(f"{opening}\nWho is it?\n{closing}\n\n{REVIEW}") == (REVIEW, ["Who is it?"])
    assert parted(f" \n{opening}{closing}{REVIEW}")[0] == REVIEW
    with pytest.raises(SampleFailure, match=r"never leaves its reasoning .*raise --set max_new_tokens"):
        parted(f"{opening}Who is it? It may be")


@pytest.mark.parametrize(
    ("text", "answer", "thoughts"),
    [
        (REVIEW, REVIEW, []),
        ("", "", []),
        ("<think>a</think><think>b</think>c", "c", ["a", "b"]),
        ("<think></think>", "", []),
        ("a, or b?</think>\nc", "c", ["a, or b?"]),  # the template opened it
        ("The manual says <think> and </think>.", "The manual says <think> and </think>.", []),
        ("I <think> so", "I <think> so", []),
        ("<thinker> is a fine lamp", "<thinker> is a fine lamp", []),
        ("<think>a <think> b</think>c", "c", ["a <think> b"]),
        ("<think>a</think>c <think>d</think>", "c <think>d</think>", ["a"]),
        ("<THINK>a</THINK>c", "<THINK>a</THINK>c", []),
    ],
)
def test_only_what_opens_an_answer_is_reasoning(text: str, answer: str, thoughts: list[str]) -> None:
    assert parted(text) == (answer, thoughts)


def test_a_prompt_that_opens_the_reasoning_needs_an_answer_that_closes_it() -> None:
    assert opened_by("<|im_start|>assistant\n<think>\n") == "<think>"
    assert opened_by("<think> at <|im_start|>assistant\n") == ""
    assert parted("a</think>b", opened="<think>") == ("b", ["a"])
    with pytest.raises(SampleFailure):
        parted("a, or b?", opened="<think>")


def context(completion: Completion, *, keep: bool = False) -> SampleContext:
    """The context of a sample whose every request is answered like this."""

    async def complete(prompt: Any, request: Any) -> Any:
        return completion, False, "key"

    encoder = SimpleNamespace(encode=lambda prompt: (1, 2))
    service: Any = SimpleNamespace(generator=SimpleNamespace(encoder=encoder), complete=complete)
    nothing: Any = None
    cell = CellResources(
        nothing, service, {}, nothing, Sampling(), input_budget=9, stage_budget=9, seed=0, keep_reasoning=keep
    )
    return SampleContext(Sample("s", "test", "u", Item("c", "i", "t"), 5.0, "T"), cell)


def answer(ctx: SampleContext) -> str:
    return asyncio.run(ctx.generate(Prompt("s", "u"), stage="review"))


def completion(text: str, **more: Any) -> Completion:
    return Completion(text, (7,), "stop", n_prompt=2, **more)


def test_a_text_is_written_without_its_reasoning_which_the_row_keeps() -> None:
    ctx = context(completion(f"<think>Who?</think>\n{REVIEW}", reasoning="a field of its own"))
    assert answer(ctx) == REVIEW
    assert ctx.trace.reasoning == [("review", "a field of its own"), ("review", "Who?")]
    assert ctx.trace.stages["review"].reasoned == 1
    ctx = context(completion(REVIEW))
    assert (answer(ctx), ctx.trace.reasoning, ctx.trace.stages["review"].reasoned) == (REVIEW, [], 0)


def test_it_may_be_kept() -> None:
    whole = f"<think>Who?</think>\n{REVIEW}"
    ctx = context(completion(whole), keep=True)
    assert (answer(ctx), ctx.trace.reasoning) == (whole, [])


def test_an_answer_that_never_leaves_its_reasoning_fails_and_is_counted() -> None:
    ctx = context(completion("<think>Who? Or"))
    with pytest.raises(SampleFailure, match="never leaves its reasoning"):
        answer(ctx)
    assert ctx.trace.reasoning == [("review", "<think>Who? Or")]
    assert (ctx.trace.stages["review"].requests, ctx.trace.stages["review"].reasoned) == (1, 1)
