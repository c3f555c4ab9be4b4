"""Prompts of data that lacks fields: no label without a value, and no system prompt that promises one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.types import Item, Prompt, Review, Sample
from methods import blocks, dpl, nonperso, pag, rag
from methods.dep import Dep

ITEM = Item("c", "i", "Lamp", "Bright.")
SAMPLE = Sample("s", "c", "u", ITEM, 4.25, "Good", 9, ())
REVIEW = Review("r", "u", ITEM, 3.0, "Fine", "It glows.", 1)
NOTHING = Item("c", "i", "", " ")


@pytest.mark.parametrize(
    ("value", "shown"), [(5.0, "5.0"), (4.5, "4.5"), (4.25, "4.25"), (3.05, "3.05"), (0.0, "0.0"), (87.0, "87.0")]
)
def test_a_rating_is_shown_as_it_is(value: float, shown: str) -> None:
    assert blocks.rating(value) == shown


@pytest.mark.parametrize(
    ("item", "title", "said"),
    [
        (ITEM, "Good", "the title and description of an item, and the output review rating and review title, "),
        (ITEM, "", "the title and description of an item, and the output review rating, "),
        (
            replace(ITEM, description=""),
            "Good",
            "the title of an item, and the output review rating and review title, ",
        ),
        (replace(ITEM, title=""), "", "the description of an item, and the output review rating, "),
        (NOTHING, " ", "the output review rating, "),
    ],
)
def test_the_system_prompt_names_what_the_target_has(item: Item, title: str, said: str) -> None:
    sample = replace(SAMPLE, item=item, title=title)
    found = nonperso.prompt(sample)
    assert found.system == f"Given {said}{nonperso.TASK}"
    assert isinstance(found.user, str)
    assert all(line.partition("]: ")[2].strip() for line in found.user.splitlines())


def prompts(sample: Sample, review: Review) -> dict[str, Prompt]:
    return {
        "rag": rag.Rag().prompt(sample, (review,)),
        "profile": pag.profile_prompt(sample, (review,)),
        "pag": pag.review_prompt(sample, (replace(review, text="Terse."), review)),
        "difference": dpl.difference_prompt(sample, (review, review)),
        "summary": dpl.summary_prompt((review,), (review,)),
        "dep": Prompt(Dep()._system(sample, (review,)), ""),
    }


@pytest.mark.parametrize("name", prompts(SAMPLE, REVIEW))
def test_the_system_prompt_names_what_the_past_reviews_have(name: str) -> None:
    bare = replace(REVIEW, item=NOTHING, title="")
    whole, lacking = prompts(SAMPLE, REVIEW)[name], prompts(replace(SAMPLE, item=NOTHING, title=""), bare)[name]
    for word in ("title", "description"):
        assert word in whole.system
        assert word not in lacking.system
        assert word not in str(lacking.user).lower()
    if name != "summary":
        assert "review rating" in lacking.system


def test_a_field_that_one_of_the_reviews_has_is_named() -> None:
    bare = replace(REVIEW, item=NOTHING, title="")
    assert blocks.past_reviews_words((bare, REVIEW)) == blocks.past_reviews_words((REVIEW,))
