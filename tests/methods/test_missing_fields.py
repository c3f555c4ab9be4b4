"""Prompts of samples that lack a title, a description or a text: no bare label, and no promise of what is not there."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.types import Prompt, Review, Sample
from methods import dpl, nonperso, oracle, pag, rag
from methods.blocks import rating
from methods.dep import Dep
from methods.pplug import query
from methods.soft import instructed
from tests.methods.context import Context, past, sample

REVIEWS = (past(1, "So dry."), past(2, "Too long."))
SAMPLE = sample(*REVIEWS)


def lacking(review: Review, *fields: str) -> Review:
    """The review without these fields: title, text, item title, item description."""
    item = {name.removeprefix("item "): "" for name in fields if name.startswith("item ")}
    own = {name: " " for name in fields if not name.startswith("item ")}
    return replace(review, item=replace(review.item, **item), **own)  # type: ignore[arg-type]


def prompts(target: Sample, reviews: tuple[Review, ...]) -> Iterator[Prompt]:
    """Every prompt of every method."""
    profile = replace(reviews[0], text="A dry writer.")
    yield nonperso.prompt(target)
    yield instructed(nonperso.prompt(target))
    yield rag.Rag().prompt(target, reviews)
    yield pag.profile_prompt(target, reviews)
    yield pag.review_prompt(target, (profile, *reviews))
    yield pag.review_prompt(target, (replace(profile, text=""), *reviews))
    yield dpl.difference_prompt(target, reviews)
    yield dpl.summary_prompt((profile,), reviews)
    yield dpl.summary_prompt((replace(profile, text=""),), reviews)
    yield oracle.prompt(target, {"length": "long"})
    yield oracle.prompt(target, {})
    vectors = {review.text: (1.0, 0.0) for review in reviews}
    for text in (True, False):
        yield Dep(text=text).prompt(target, Context(reviews, vectors=vectors))


CASES = [
    fields
    for n in range(5)
    for fields in itertools.combinations(("title", "text", "item title", "item description"), n)
]


@pytest.mark.parametrize("fields", CASES)
def test_a_prompt_has_no_bare_label_and_its_system_prompt_names_what_it_shows(fields: tuple[str, ...]) -> None:
    reviews = tuple(lacking(review, *fields) for review in REVIEWS)
    bare = lacking(REVIEWS[0], *fields)
    target = replace(SAMPLE, item=bare.item, title=bare.title, history=reviews)
    for prompt in prompts(target, reviews):
        lines = prompt.text.splitlines()
        heads = ("Review ", "Item ", "User's Review", "Other User", "User's Past Reviews", "Differences")
        for line in lines:
            if (found := re.fullmatch(r"[ -]*\[(.+)\]:\s*", line)) is not None:  # the head of a block, with lines below
                assert found[1].startswith(heads) and not re.search(r"Title|Description|Text|Rating", found[1]), line
                assert lines[lines.index(line) + 1 :], line
        shown = {label.lower() for label in re.findall(r"\[([^\]]+)\]: *\S", prompt.text)}
        promised = re.search(r"\((?:including|each with) (.*?)\)", prompt.system)
        for label in promised[1].split(", ") if promised else ():
            assert label in shown, (label, prompt)
        of_item = re.search(r"the ([a-z ]+) of an item", prompt.system)
        top = {
            label.lower() for label in re.findall(r"^(?:<instruction>)?\[([^\]]+)\]: *\S", prompt.text, re.MULTILINE)
        }
        named = {f"item {name}" for name in of_item[1].split(" and ")} if of_item else set()
        assert named == top & {"item title", "item description"}
        assert ("and review title," in prompt.system) == ("output review title" in top)
        assert ("a summary that profiles the user, and" in prompt.system) == ("user's profile summary" in top)
        assert ("writing habits" in prompt.system) == ("user's writing habits" in top)


def test_system_prompts_read_well_without_what_is_missing() -> None:
    alone = replace(SAMPLE, item=replace(SAMPLE.item, description=""), title="")
    assert nonperso.prompt(alone).system == (
        "Given the title of an item, and the output review rating, generate an item review for the user."
    )
    assert nonperso.prompt(alone).text == "[Item Title]: Desk Lamp\n[Output Review Rating]: 5.0"
    unknown = replace(alone, item=replace(alone.item, title=""))
    assert rag.Rag().prompt(unknown, (lacking(REVIEWS[0], "title", "item description"),)).system == (
        "Given the user's past reviews (including item title, review rating, review text), and the output review "
        "rating, generate a personalized item review for the user."
    )
    assert nonperso.prompt(unknown).system == ("Given the output review rating, generate an item review for the user.")


def test_a_field_that_one_review_has_is_named() -> None:
    reviews = (lacking(REVIEWS[0], "title"), REVIEWS[1])
    assert "review title, review text)" in rag.Rag().prompt(SAMPLE, reviews).system
    assert "review title, review text)" in dpl.difference_prompt(SAMPLE, reviews).system


@pytest.mark.parametrize(
    ("value", "shown"), [(5, "5.0"), (5.0, "5.0"), (4.5, "4.5"), (4.25, "4.25"), (3.05, "3.05"), (0.0, "0.0")]
)
def test_ratings_are_shown_as_they_are(value: float, shown: str) -> None:
    assert rating(value) == shown
    target = replace(SAMPLE, rating=value)
    assert f"[Output Review Rating]: {shown}\n" in nonperso.prompt(target).text
    assert f"[Review Rating]: {shown}\n" in rag.Rag().prompt(target, (replace(REVIEWS[0], rating=value),)).text


def test_pplug_s_query_has_no_empty_line() -> None:
    assert query(replace(SAMPLE, title="")) == "Desk Lamp\nA lamp for desks.\n5.0"
    assert query(replace(SAMPLE, item=replace(SAMPLE.item, description=""))) == "Desk Lamp\n5.0\nBright!"
