"""The pairwise judge: what is asked, how answers are read, and what two orders come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from bench.errors import UserError
from bench.types import Item, Prompt, Review
from metrics.pairwise import DESCRIPTION, LEAST, Case, PairwiseJudge, both_orders, parse

ITEM = Item("Books", "i1", "A Book", "d" * (DESCRIPTION + 1))
HISTORY = tuple(
    Review(f"r{n}", "u", Item("Books", f"i{n}", f"Book {n}"), float(n), f"HIDDEN {n}", f"past review {n}")
    for n in (5, 4)
)


def case(one: str = "text one", other: str = "text two", history: tuple[Review, ...] = HISTORY) -> Case:
    return Case(ITEM, history, one, other)


@dataclass
class Answers:
    """Answers in order; reads prompts of at most `room` characters."""

    answers: list[str | None]
    room: int = 10**6
    asked: list[Prompt] = field(default_factory=list)
    limit: int = 0
    name: str = "a model"

    def fits(self, prompt: Prompt) -> bool:
        return len(prompt.text) <= self.room

    def answer(self, prompts: Sequence[Prompt], *, max_new_tokens: int) -> list[str | None]:
        self.asked += prompts
        self.limit = max_new_tokens
        return self.answers[: len(prompts)]


def judge(*answers: str | None, room: int = 10**6, **options: int) -> tuple[PairwiseJudge, Answers]:
    made, respondent = PairwiseJudge(**options), Answers(list(answers), room)  # type: ignore[arg-type]
    made.respondent = respondent
    return made, respondent


@pytest.mark.parametrize("answer", ["A", " A\n", "A.", "**A**", '"A"', "(A)", "`A`"])
def test_one_letter_is_read_with_marks_around_it(answer: str) -> None:
    assert parse(answer) == "A"
    assert parse(answer.replace("A", "B")) == "B"
    assert parse(answer.replace("A", "tie")) == parse(answer.replace("A", "Tie")) == "tie"


@pytest.mark.parametrize(
    "answer",
    ["", " ", "a", "b", "C", "AB", "A B", "A or B", "A, B", "Text A", "A is more like it", "A: B", "tied", "1"],
)
def test_all_else_is_unread(answer: str) -> None:
    assert parse(answer) is None


@pytest.mark.parametrize(
    ("one_first", "other_first", "score", "choices"),
    [
        ("A", "B", 1.0, ("one", "one")),
        ("B", "A", 0.0, ("other", "other")),
        ("A", "A", 0.5, ("one", "other")),
        ("B", "B", 0.5, ("other", "one")),
        ("tie", "tie", 0.5, ("tie", "tie")),
        ("A", "tie", 0.5, ("one", "tie")),
        ("tie", "A", 0.5, ("tie", "other")),
        ("A", "hm", None, ("one", None)),
        (None, "B", None, (None, "one")),
    ],
)
def test_orders_that_disagree_are_a_tie_and_unread_answers_no_verdict(
    one_first: str | None, other_first: str | None, score: float | None, choices: tuple[str | None, ...]
) -> None:
    made, respondent = judge(one_first, other_first)
    (verdict,) = made.decide([case()])
    assert (verdict.score, verdict.choices, verdict.settled) == (score, choices, "asked")
    assert verdict.answers == (one_first, other_first)
    assert len(respondent.asked) == 2 and respondent.limit == 16


def test_empty_texts_lose_and_equal_ones_tie_without_a_request() -> None:
    made, respondent = judge("A", "B")
    cases = [case("", "x"), case("x", " \n"), case("", " "), case("same", " same\n"), case("x", "y")]
    verdicts = made.decide(cases)
    assert [(one.score, one.settled) for one in verdicts] == [
        (0.0, "empty"), (1.0, "empty"), (0.5, "empty"), (0.5, "same"), (1.0, "asked"),
    ]  # fmt: skip
    assert len(respondent.asked) == 2
    assert judge()[0].decide([case("", "")])[0].score == 0.5


def test_the_prompts_differ_in_the_order_alone_and_show_no_title_or_rating_of_the_sample() -> None:
    made, respondent = judge("A", "B", reviews=1)
    made.decide([case("{first} %s", "[Text A]:")])
    one, other = (prompt.text for prompt in respondent.asked)
    assert one.index("{first} %s") < one.rindex("[Text A]:") and other.rindex("{first} %s") > other.index("[Text A]:")
    assert len(one) == len(other)
    for text in (one, other):
        assert "- Book 5, rated 5: past review 5" in text and "past review 4" not in text
        assert "HIDDEN" not in text
        assert "A Book" in text and "d" * DESCRIPTION in text and "d" * (DESCRIPTION + 1) not in text


def test_what_the_model_cannot_read_costs_reviews_first_and_then_the_ends_of_texts() -> None:
    history = tuple(Review(f"r{n}", "u", ITEM, 5.0, "", f"{n}" * 400) for n in range(4))
    long = case("x" * 3000, "y" * 3000, history)
    made, _ = judge("A", "B", reviews=4)
    whole = len(both_orders(long, made._cut(long))[0].text)
    for room, reviews, shortened in ((whole, 4, False), (whole - 1, 3, False), (whole - 1300, 1, True)):
        made, respondent = judge("A", "B", reviews=4, room=room)
        (verdict,) = made.decide([long])
        assert (verdict.reviews, verdict.shortened) == (reviews, shortened)
        assert all(len(prompt.text) <= room for prompt in respondent.asked)
    counts = [prompt.text.count(letter) for prompt in respondent.asked for letter in "xy"]
    assert max(counts) - min(counts) <= 5  # both texts are cut alike (the frame has a few of these letters)
    made, respondent = judge("A", "B", room=10)  # nothing fits: asked with the least, and the server says no
    assert made.decide([long])[0].reviews == 1
    assert respondent.asked[0].text.count("x") < LEAST + 10


def test_a_user_without_history_is_asked_about_all_the_same() -> None:
    made, respondent = judge("tie", "tie")
    assert made.decide([case(history=())])[0].reviews == 0
    assert "[The user's reviews]:\nnone\n" in respondent.asked[0].text


def test_the_version_names_the_prompt_and_what_is_shown() -> None:
    assert PairwiseJudge(reviews=3).version.endswith("16 tokens, 3 past reviews to 1500 chars, texts to 6000")


def test_a_judge_needs_a_model_and_an_address_without_secrets() -> None:
    with pytest.raises(ValueError, match="respondent"):
        PairwiseJudge().decide([case()])
    with pytest.raises(UserError, match="password or a query"):
        PairwiseJudge(base_url="http://me:secret@host/v1")
