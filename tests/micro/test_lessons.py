"""Lessons of the micro model: the suite's own prompts, true answers, and nothing of a shipped world."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from itertools import islice

import pytest

from bench.data.synthetic import world
from bench.data.synthetic.bundled import PHRASES
from bench.micro import lessons
from bench.micro.lessons import Lesson, Taught
from bench.types import Slot
from methods import dpl, nonperso, oracle, pag, rag
from metrics import detectors
from tests.methods.context import past, sample

REVIEW = past(1, "A text.")
SAMPLE = sample(REVIEW)


@pytest.fixture(scope="module")
def some() -> list[Lesson]:
    return list(islice(lessons.endless(3), 800))


@pytest.fixture(scope="module")
def taught() -> Taught:
    return Taught.made(replace(lessons.knobs(1, 3), fashion=0.6))


def test_one_seed_gives_one_stream(some: list[Lesson]) -> None:
    assert some[:50] == list(islice(lessons.endless(3), 50))
    assert some[:50] != list(islice(lessons.endless(4), 50))


def test_every_stage_is_taught_in_its_share(some: list[Lesson]) -> None:
    for kind, share in lessons.SHARES.items():
        found = sum(one.kind == kind for one in some) / len(some)
        assert found == pytest.approx(share / sum(lessons.SHARES.values()), abs=0.05)
        assert found
    assert 0.4 < sum(one.rows for one in some) / len(some) < 0.6


def test_prompts_are_the_suite_s_own(some: list[Lesson]) -> None:
    plain, known = nonperso.prompt(SAMPLE).system, rag.Rag().prompt(SAMPLE, (REVIEW,)).system
    systems = {
        "nonperso": plain, "soft": plain, "rag": known, "rag_soft": known,
        "oracle": oracle.prompt(SAMPLE, {"length": "long"}).system,
        "profile": pag.profile_prompt(SAMPLE, (REVIEW,)).system,
        "profiled": pag.review_prompt(SAMPLE, (REVIEW, REVIEW)).system,
        "summary": dpl.summary_prompt((REVIEW,), (REVIEW,)).system,
    }  # fmt: skip
    for one in some:
        if one.kind in systems:
            assert one.prompt.system == systems[one.kind]
    with_slots = {one.kind for one in some if any(isinstance(part, Slot) for part in one.prompt.parts)}
    assert with_slots == {"soft", "rag_soft", "dep"}


def test_answers_have_the_form_that_their_prompt_asks_for(some: list[Lesson]) -> None:
    for one in some:
        if one.kind in ("profile", "summary"):
            assert one.answer.startswith("[Summary]: Length: ")
        if one.kind == "profiled":
            assert one.answer.startswith("[Review]: ")
        if one.kind == "difference" and "[User's Review]" in one.prompt.text:
            assert re.match(r"\[Writing Style\]: .*\n\[Emotional Style\]: .*\n\[Semantic Style\]: ", one.answer)


def test_no_lesson_has_an_item_of_a_shipped_world(some: list[Lesson]) -> None:
    titles = {row["title"] for knobs in world.named().values() for row in world.make(knobs)[0]["items"]}
    for one in some[:200]:
        told = re.findall(r"\[Item Title\]: (.+)", one.prompt.text)
        assert not titles & set(told)


def test_a_difference_names_what_is_the_user_s_own(taught: Taught) -> None:
    for reviews in list(taught.written.values())[:20]:
        for review in reviews:
            text = lessons.difference(taught, review)
            for habit, value in taught.own(review).items():
                assert f"{oracle.LABELS[habit]}: {oracle.in_words({habit: value}).partition(': ')[2]}" in text
            fashion = set(taught.shown[review.review_id].items()) - set(taught.has[review.review_id].items())
            assert not any(f'"{value}"' in text for habit, value in fashion if habit in ("opening", "signoff"))


def test_a_summary_is_of_what_shows_most_often(taught: Taught) -> None:
    reviews = next(iter(taught.written.values()))[:3]
    told = lessons.seen(taught, reviews)
    openings = [own for review in reviews if (own := taught.own(review)["opening"])]
    expected = max(openings, key=openings.count) if openings else None
    assert f"Opening: {'none' if expected is None else repr(expected)[1:-1].join(chr(34) * 2)}." in told


def test_answers_show_no_fashion(taught: Taught) -> None:
    """By the text alone: an opening or a sign-off in it is the user's own."""
    pools = world.vocabulary(tomllib.loads(PHRASES.read_text()))
    answers = others = 0
    for review in (one for reviews in taught.written.values() for one in reviews):
        has = taught.has[review.review_id]
        said = {
            (habit, phrase)
            for habit in ("opening", "signoff")
            for phrase in pools[habit]
            if detectors.says(habit, phrase, review.text) and has[habit] != phrase
        }
        if taught.is_answer(review):
            answers += 1
            assert not said
        else:
            others += bool(said)
    assert answers > 100
    assert others > 100
