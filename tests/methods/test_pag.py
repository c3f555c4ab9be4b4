"""PAG's full prompts, the requests that its stages share, and the markers that models put before an answer."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest

from bench.errors import SampleFailure, UserError
from bench.registry import create
from bench.types import Item, Prompt, Review
from methods.answers import strip_marker
from methods.pag import without_target
from tests.methods.context import LAMP, Asked, Context, past, sample, written

NEWEST, OLDER = past(1, "The newest."), past(2, "The older.", rating=2.5)
SAMPLE = sample(NEWEST, OLDER)
PAG = create("method", "pag")

REVIEWS = """\
[User's Past Reviews]:
- [Review 1]:
  - [Item Title]: Thing 1
  - [Item Description]: About thing 1.
  - [Review Rating]: 4.0
  - [Review Title]: Title 1
  - [Review Text]: The newest.
- [Review 2]:
  - [Item Title]: Thing 2
  - [Item Description]: About thing 2.
  - [Review Rating]: 2.5
  - [Review Title]: Title 2
  - [Review Text]: The older."""
PROFILE = Prompt(
    system=(
        "Given the user's past reviews (including item title, item description, review rating, review title, review "
        "text), write a summary that profiles the user.\n"
        "The summary should be formatted as follows:\n"
        "[Summary]: <summary>"
    ),
    user=REVIEWS,
)
REVIEW = Prompt(
    system=(
        "Given the title and description of an item, along with the user's past reviews (including item title, item "
        "description, review rating, review title, review text), a summary that profiles the user, and the output "
        "review rating and review title, generate a personalized item review for the user.\n"
        "The review should be formatted as follows:\n"
        "[Review]: <review>"
    ),
    user=f"""\
[Item Title]: Desk Lamp
[Item Description]: A lamp for desks.
{REVIEWS}
[User's Profile Summary]: Likes lamps.
[Output Review Rating]: 5.0
[Output Review Title]: Bright!""",
)


def requests_of(name: str, ctx: Context) -> list[Asked]:
    written(create("method", name), ctx, sample())
    return ctx.asked


def test_two_stages_their_prompts_and_their_text() -> None:
    ctx = Context((NEWEST, OLDER), answers={"profile": "[Summary]: Likes lamps.", "review": "**[Review]:** It shines."})
    assert written(PAG, ctx, SAMPLE) == "It shines."
    key = '["Home", "u", "r1", "r2"]'
    assert ctx.asked == [Asked("profile", key, PROFILE, None), Asked("review", "", REVIEW, None)]


ONE_REVIEW = REVIEWS.partition("\n- [Review 2]")[0]
WHOLE = len(f"{PROFILE.system}\n{REVIEWS}")
ONE = len(f"{PROFILE.system}\n{ONE_REVIEW}")


@pytest.mark.parametrize(
    ("budget", "shown"),
    [(WHOLE, REVIEWS), (WHOLE - 1, ONE_REVIEW), (ONE - 1, ONE_REVIEW.replace("About thing 1.", "About thing"))],
)
def test_the_profile_is_independent_of_the_target_and_shared_by_this_history(budget: int, shown: str) -> None:
    """Also if the other target's description is long: the budget shortens only what the prompt shows."""
    other = replace(SAMPLE, sample_id="t", item=Item("Home", "x", "Secret", "hidden " * 40), rating=1.0, title="Dark!")
    asked, dropped = [], []
    for target in (SAMPLE, other):
        ctx = Context((NEWEST, OLDER), budget=budget)
        with contextlib.suppress(SampleFailure):  # of the last stage, whose prompt holds more
            written(PAG, ctx, target)
        asked += ctx.of("profile")
        dropped.append(ctx.dropped[0])
    assert asked[0] == asked[1]
    assert dropped[0] == dropped[1]
    assert asked[0].prompt == Prompt(PROFILE.system, shown)


def test_a_prompt_built_without_the_target_cannot_show_it() -> None:
    bare = without_target(SAMPLE)
    assert bare == replace(SAMPLE, item=Item("Home", "", ""), rating=0.0, title="", timestamp=None)


def test_another_order_user_or_category_has_another_seed() -> None:
    keys = set()
    for reviews, target in (
        ((NEWEST, OLDER), SAMPLE),
        ((OLDER, NEWEST), SAMPLE),
        ((NEWEST,), SAMPLE),
        ((NEWEST, OLDER), replace(SAMPLE, user_id="v")),
        ((NEWEST, OLDER), replace(SAMPLE, item=replace(LAMP, category="Garden"))),
    ):
        ctx = Context(reviews)
        written(PAG, ctx, target)
        keys.add(ctx.of("profile")[0].key)
    assert len(keys) == 5


def test_the_key_separates_ids_that_joined_would_be_equal() -> None:
    keys = set()
    for ids in (("a", "b"), ('a", "b',), ("a,b",)):
        ctx = Context(tuple(replace(NEWEST, review_id=review_id) for review_id in ids))
        written(PAG, ctx, SAMPLE)
        keys.add(ctx.of("profile")[0].key)
        assert json.loads(ctx.of("profile")[0].key) == ["Home", "u", *ids]
    assert len(keys) == 3


def test_the_budget_of_the_last_stage_drops_reviews_and_keeps_the_profile() -> None:
    profile = "Likes lamps. " * 20
    ctx = Context((NEWEST, OLDER), answers={"profile": profile}, budget=len(REVIEW.system) + len(REVIEW.user) + 100)
    written(PAG, ctx, SAMPLE)
    (asked,) = ctx.of("review")
    assert f"[User's Profile Summary]: {profile.strip()}\n[Output Review Rating]" in asked.prompt.user
    assert "The newest." in asked.prompt.user
    assert "The older." not in asked.prompt.user


def test_a_profile_longer_than_the_budget_is_shortened_beside_the_first_review() -> None:
    """It was a failed sample's reason: an answer may have as many tokens as the whole prompt."""
    profile, text = "Likes lamps. " * 200, "So bright. " * 200
    ctx = Context((replace(NEWEST, text=text), OLDER), answers={"profile": profile}, budget=1500, stage_budget=100_000)
    written(PAG, ctx, SAMPLE)
    (asked,) = ctx.of("review")
    shown = asked.prompt.user
    review, summary = shown.index("[Review Text]: So bright. So"), shown.index("Summary]: Likes lamps. Likes")
    assert review < summary < shown.index("[Output Review Rating]")
    assert abs(shown.count("So bright.") * 11 - shown.count("Likes lamps.") * 13) < 26  # one limit for both
    assert ctx.dropped[1].reviews == 1
    assert ctx.dropped[1].text_chars > 3000


def test_the_profile_sees_all_reviews_where_the_review_s_prompt_does_not() -> None:
    budget = len(REVIEW.system) + len(REVIEW.user) - 10
    ctx = Context((NEWEST, OLDER), answers={"profile": "Likes lamps."}, budget=budget, stage_budget=10_000)
    written(PAG, ctx, SAMPLE)
    assert ctx.asked[0].prompt == PROFILE
    assert "The older." not in ctx.asked[1].prompt.user


def test_a_limit_of_the_profile_is_an_option() -> None:
    ctx = Context((NEWEST,))
    written(create("method", "pag", {"profile_tokens": 77}), ctx, SAMPLE)
    assert [asked.max_new_tokens for asked in ctx.asked] == [77, None]
    with pytest.raises(UserError, match=r"pag\.profile_tokens=0: at least 1"):
        create("method", "pag", {"profile_tokens": 0})


def test_without_history_there_is_no_profile_and_the_request_is_non_persos() -> None:
    assert requests_of("pag", Context()) == requests_of("nonperso", Context()) != []


@pytest.mark.parametrize("empty", ["", "[Summary]:", "**Summary:** \n"])
def test_an_empty_profile_gives_rags_request(empty: str) -> None:
    ctx = Context((NEWEST, OLDER), answers={"profile": empty})
    assert requests_of("pag", ctx)[1:] == requests_of("rag", Context((NEWEST, OLDER))) != []
    assert ctx.stages == ["profile", "review"]


@pytest.mark.parametrize(
    "answer",
    [
        "[Summary]: Terse.", "[summary]:Terse.", "[ Summary ] : Terse.", "[Summary] Terse.", "[Summary]\n\nTerse.",
        "Summary: Terse.", "SUMMARY : Terse.", "**[Summary]**: Terse.", "**[Summary]:** Terse.", "**Summary:** Terse.",
        "**Summary**: Terse.", "__Summary__: Terse.", "*Summary:* Terse.", "# Summary: Terse.", "## [Summary]\nTerse.",
        "  \n[Summary]: Terse.\n", "- [Summary]: Terse.", "[Summary]：Terse.", "Terse.", "  Terse. ",
    ],
)  # fmt: skip
def test_a_leading_marker_is_removed_in_any_spelling(answer: str) -> None:
    assert strip_marker(answer, "Summary") == "Terse."


@pytest.mark.parametrize(
    "answer",
    [
        "Summary of a terse user.", "Summaries: none.", "A Summary: terse.", "The [Summary]: terse.", "Summary",
        "[Review]: not this marker.", "[Summary 1]: one of several.", "**Bold** start.", "# Heading", "- a list",
        "In summary: [Summary]: inside.", "(Summary): other brackets", "[Summaryish]: x",
    ],
)  # fmt: skip
def test_everything_else_is_content(answer: str) -> None:
    assert strip_marker(answer, "Summary") == answer


def test_only_the_marker_is_removed_and_only_once() -> None:
    assert (
        strip_marker("[Review]: **Wow**, what a lamp. Review: more", "Review") == "**Wow**, what a lamp. Review: more"
    )
    assert strip_marker("[Review]: [Review]: twice", "Review") == "[Review]: twice"
    assert strip_marker("[Review]: [Sic] a bracket", "Review") == "[Sic] a bracket"
    assert strip_marker("Review: - a list\n- of two", "Review") == "- a list\n- of two"
    assert strip_marker("[Review]:", "Review") == ""
    assert strip_marker("[Summary]: 这个用户写得很短。", "Summary") == "这个用户写得很短。"


@pytest.mark.parametrize("text", ["Ok", "word " * 4000, "很好用的台灯。" * 2000, "", "x" * 20_000])
def test_reviews_of_any_length_and_script_stay_inside_the_budget(text: str) -> None:
    history: tuple[Review, ...] = (past(1, text), past(2, text))
    ctx = Context(history, answers={"review": "Fine."}, budget=1200)
    assert written(PAG, ctx, sample(*history)) == "Fine."
    assert ctx.stages == ["profile", "review"]


def test_a_budget_that_cannot_hold_the_instruction_is_a_sample_failure() -> None:
    with pytest.raises(SampleFailure):
        written(PAG, Context((NEWEST,), budget=50), SAMPLE)
