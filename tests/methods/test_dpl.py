"""DPL's full prompts, the comparisons, the shared requests, and that no stage waits for another sample."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bench.errors import SampleFailure, UserError
from bench.registry import create
from bench.types import Dropped, Item, Prompt, Review
from methods.dpl import summary_prompt
from tests.methods.context import Asked, Context, past, peer, sample, written

ONE, TWO = past(1, "So dry."), past(2, "Much too long.", rating=2.5)
SAMPLE = sample(ONE, TWO)
# Three corners and the user's place: every peer is a cluster of its own.
ANN, BOB, CID = peer(1, "ann", "I love it!", rating=5.0), peer(1, "bob", "Hm."), peer(1, "cid", "It is what it is.")
DAN = peer(2, "dan", "Just right.")
PEERS = {"i1": (ANN, BOB, CID), "i2": (DAN,)}
VECTORS = {
    "So dry.": (0, 0), "I love it!": (9, 0), "Hm.": (0, 9), "It is what it is.": (9, 9),
    "Much too long.": (0, 0), "Just right.": (9, 0),
}  # fmt: skip

DIFFERENCE = Prompt(
    system=(
        "Given the title and description of an item, along with the user's review and 3 other users' reviews of the "
        "same item (each with review rating, review title, review text), describe how the user's review differs from "
        "them in each of the following aspects:\n"
        "[Writing Style]: choice of words and structure of sentences.\n"
        "[Emotional Style]: tone, be it positive, negative or neutral.\n"
        "[Semantic Style]: density of information and coherence with the context."
    ),
    user="""\
[Item Title]: Thing 1
[Item Description]: About thing 1.
[User's Review]:
- [Review Rating]: 4.0
- [Review Title]: Title 1
- [Review Text]: So dry.
[Other User 1's Review]:
- [Review Rating]: 5.0
- [Review Title]: ann's title
- [Review Text]: I love it!
[Other User 2's Review]:
- [Review Rating]: 3.0
- [Review Title]: bob's title
- [Review Text]: Hm.
[Other User 3's Review]:
- [Review Rating]: 3.0
- [Review Title]: cid's title
- [Review Text]: It is what it is.""",
)
SUMMARY_SYSTEM = (
    "Given the differences in writing style, emotional style and semantic style between the user's reviews and other "
    "users' reviews of the same items, along with the user's past reviews (including item title, item description, "
    "review rating, review title, review text), write a summary that profiles the user.\n"
    "The summary should be formatted as follows:\n"
    "[Summary]: <summary>"
)
DIFFERENCES = """\
[Differences from Other Users]:
- [Item 1]:
  - [Item Title]: Thing 1
  - [Item Description]: About thing 1.
  - [Difference]: Drier than most.
- [Item 2]:
  - [Item Title]: Thing 2
  - [Item Description]: About thing 2.
  - [Difference]: Drier than most."""
REVIEWS = """\
[User's Past Reviews]:
- [Review 1]:
  - [Item Title]: Thing 1
  - [Item Description]: About thing 1.
  - [Review Rating]: 4.0
  - [Review Title]: Title 1
  - [Review Text]: So dry.
- [Review 2]:
  - [Item Title]: Thing 2
  - [Item Description]: About thing 2.
  - [Review Rating]: 2.5
  - [Review Title]: Title 2
  - [Review Text]: Much too long."""
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
[User's Profile Summary]: A dry writer.
[Output Review Rating]: 5.0
[Output Review Title]: Bright!""",
)
ANSWERS = {"difference": "Drier than most.", "summary": "[Summary]: A dry writer.", "review": "[Review]: Meh."}


def dpl(**options: Any) -> Any:
    return create("method", "dpl", options)


def context(*reviews: Review, **more: Any) -> Context:
    return Context(reviews, PEERS, VECTORS, ANSWERS, **more)


def differences(ctx: Context) -> list[str]:
    """The ids in the keys of the comparisons: the user's review, then the peers' reviews."""
    return [" ".join(json.loads(asked.key)) for asked in ctx.of("difference")]


def test_three_stages_their_prompts_and_their_text() -> None:
    ctx = context(ONE, TWO)
    assert written(dpl(), ctx, SAMPLE) == "Meh."
    assert ctx.stages == ["difference", "difference", "summary", "review"]
    assert ctx.asked[0] == Asked("difference", '["r1", "ann/r1", "bob/r1", "cid/r1"]', DIFFERENCE, None)
    key = '["Home", "u", "r1", "r2"]'
    assert ctx.asked[2] == Asked("summary", key, Prompt(SUMMARY_SYSTEM, f"{DIFFERENCES}\n{REVIEWS}"), None)
    assert ctx.asked[3] == Asked("review", "", REVIEW, None)


def test_the_prompt_for_a_single_peer_is_in_the_singular() -> None:
    ctx = context(TWO)
    written(dpl(), ctx, SAMPLE)
    ((system, user),) = [(asked.prompt.system, asked.prompt.user) for asked in ctx.of("difference")]
    assert "along with the user's review and another user's review of the same item" in system
    assert "differs from it in each" in system
    assert "[Other User 1's Review]" in user
    assert "[Other User 2's Review]" not in user


def test_the_prompt_counts_the_peers_that_the_budget_leaves() -> None:
    """The released code always says 4."""
    text = f"{DIFFERENCE.system}\n{DIFFERENCE.user}"
    ctx = context(ONE, budget=len(text) - 1)
    written(dpl(), ctx, SAMPLE)
    (asked,) = ctx.of("difference")
    assert "the user's review and 2 other users' reviews of" in asked.prompt.system
    assert "bob's title" in asked.prompt.user
    assert "cid's title" not in asked.prompt.user
    assert json.loads(asked.key) == ["r1", "ann/r1", "bob/r1", "cid/r1"]


def test_the_user_s_review_and_one_peer_s_are_shortened_not_dropped() -> None:
    own, other = replace(ONE, text="so " * 3000), replace(ANN, text="very " * 3000)
    ctx = Context((own,), {"i1": (other,)}, {own.text: (0, 0), other.text: (9, 0)}, ANSWERS, budget=1500)
    assert written(dpl(), ctx, SAMPLE) == "Meh."
    (asked,) = ctx.of("difference")
    assert "so so so" in asked.prompt.user
    assert "very very very" in asked.prompt.user


def test_a_peer_in_the_user_s_cluster_is_not_shown() -> None:
    near = peer(1, "eve", "So dry!")
    vectors = {**VECTORS, "So dry!": (0, 1), "x": (40, 0), "y": (0, 40)}
    known = {"i1": (near, replace(ANN, text="x"), replace(BOB, text="y"))}
    for clusters, compared in ((3, "r1 ann/r1 bob/r1"), (5, "r1 eve/r1 ann/r1 bob/r1")):
        ctx = Context((ONE,), known, vectors, ANSWERS)
        written(dpl(clusters=clusters), ctx, SAMPLE)
        assert differences(ctx) == [compared]


def test_items_without_peers_or_with_peers_like_the_user_are_left_out() -> None:
    three, four = past(3, "Alone."), past(4, "Same.")
    known = {**PEERS, "i4": (peer(4, "ann", "Same."), peer(4, "bob", "Same."))}
    ctx = Context((three, ONE, four), known, {**VECTORS, "Same.": (1, 1)}, ANSWERS)
    written(dpl(), ctx, SAMPLE)
    assert differences(ctx) == ["r1 ann/r1 bob/r1 cid/r1"]
    (asked,) = ctx.of("summary")
    assert asked.prompt.text.startswith(DIFFERENCES.partition("\n- [Item 2]")[0] + "\n[User's Past Reviews]:")
    assert all(text in asked.prompt.user for text in ("Alone.", "So dry.", "Same."))


def test_reviews_without_text_are_never_compared() -> None:
    blank = replace(TWO, text=" \n")
    silent = replace(ANN, text=""), replace(BOB, text="\t")
    ctx = Context((blank, ONE), {**PEERS, "i1": (*silent, CID)}, VECTORS)
    written(dpl(), ctx, SAMPLE)
    assert differences(ctx) == ["r1 cid/r1"]
    assert ctx.embedded == ["So dry.", "It is what it is."]


@pytest.mark.parametrize(
    ("options", "compared"),
    [
        ({}, ["r1", "r2"]),
        ({"min_peers": 2}, ["r1"]),
        ({"min_peers": 4}, []),
        ({"released": True}, []),
        ({"released": True, "min_peers": 1}, []),
    ],
)
def test_the_least_number_of_peers(options: Mapping[str, Any], compared: list[str]) -> None:
    ctx = context(ONE, TWO)
    written(dpl(**options), ctx, SAMPLE)
    assert [key.split()[0] for key in differences(ctx)] == compared


def test_the_released_setting_needs_four_peers_and_bm25() -> None:
    known = {**PEERS, "i1": (ANN, BOB, CID, peer(1, "dan", "Fourth."))}
    ctx = Context((ONE, TWO), known, {**VECTORS, "Fourth.": (30, 30)}, ANSWERS)
    written(dpl(released=True), ctx, SAMPLE)
    assert differences(ctx) == ["r1 ann/r1 bob/r1 cid/r1 dan/r1"]
    assert dpl(released=True).retriever == "bm25"
    assert dpl().retriever is None


def test_by_default_time_does_not_matter_and_by_option_only_older_peers_count() -> None:
    newer, timeless = replace(ANN, timestamp=2000), replace(BOB, timestamp=None)
    known = {"i1": (newer, timeless, CID)}
    for options, target, compared in (
        ({}, SAMPLE, ["r1 ann/r1 bob/r1 cid/r1"]),
        ({"peers_before_target": True}, SAMPLE, ["r1 cid/r1"]),
        ({"peers_before_target": True}, replace(SAMPLE, timestamp=None), []),  # none is known to be older
        ({}, replace(SAMPLE, timestamp=None), ["r1 ann/r1 bob/r1 cid/r1"]),
    ):
        ctx = Context((ONE,), known, VECTORS, ANSWERS)
        written(dpl(**options), ctx, target)
        assert differences(ctx) == compared


@pytest.mark.parametrize("options", [{"clusters": 1}, {"min_peers": 0}])
def test_options_that_compare_nothing_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(UserError, match=f"dpl.{next(iter(options))}="):
        dpl(**options)


def eight() -> tuple[tuple[Review, ...], dict[str, tuple[Review, ...]], dict[str, tuple[int, int]]]:
    """Eight reviews, with 0 to 6 peers in turn."""
    reviews = tuple(past(n, f"own {n}") for n in range(8))
    known = {f"i{n}": tuple(peer(n, f"p{j}", f"{j} on {n}") for j in range(n % 7)) for n in range(8)}
    vectors = {f"own {n}": (0, 0) for n in range(8)}
    vectors |= {f"{j} on {n}": (100 * j + 50, 7 * j * j) for n in range(8) for j in range(7)}
    return reviews, known, vectors


@pytest.mark.parametrize("budget", [100_000, 900])
@pytest.mark.parametrize("k", range(1, 8))
def test_the_differences_of_eight_reviews_serve_every_smaller_k(k: int, budget: int) -> None:
    reviews, known, vectors = eight()
    asked = {}
    for n in (8, k):
        ctx = Context(reviews[:n], known, vectors, ANSWERS, budget=budget)
        written(dpl(), ctx, sample(*reviews))
        asked[n] = ctx.of("difference")
    assert asked[k] == [one for one in asked[8] if json.loads(one.key)[0] in {r.review_id for r in reviews[:k]}]
    assert len(asked[k]) == sum(n % 7 > 0 for n in range(k))


def test_differences_and_summary_are_independent_of_the_target_and_shared_by_this_history() -> None:
    other = replace(SAMPLE, sample_id="t", item=Item("Home", "x", "Secret", "hidden " * 40), rating=1.0, title="Dark!")
    asked = []
    for target in (SAMPLE, other):
        ctx = context(ONE, TWO)
        written(dpl(), ctx, target)
        asked.append(ctx.of("difference") + ctx.of("summary"))
    assert asked[0] == asked[1]
    shown = "".join(f"{one.prompt.system} {one.prompt.user}" for one in asked[1])
    assert not any(word in shown for word in ("Secret", "hidden", "Dark!", "1.0", "Desk", "Lamp", "Bright!"))


def test_the_summary_s_budget_drops_the_lowest_ranked_of_differences_and_reviews_in_turn() -> None:
    """So that neither displaces the other. At the end one of each is left, and shortened."""
    long = " ".join(["drier"] * 200)
    both = DIFFERENCES.replace("Drier than most.", long)
    one = both.partition("\n- [Item 2]")[0]
    first = REVIEWS.partition("\n- [Review 2]")[0]
    for expected, budget in (
        (f"{both}\n{REVIEWS}", len(both + REVIEWS) + 1),
        (f"{both}\n{first}", len(both + REVIEWS)),
        (f"{one}\n{first}", len(both + first)),
    ):
        ctx = Context((ONE, TWO), PEERS, VECTORS, {**ANSWERS, "difference": long})
        ctx.stage_budget = budget + len(SUMMARY_SYSTEM) + 1
        written(dpl(), ctx, SAMPLE)
        assert ctx.of("summary")[0].prompt == Prompt(SUMMARY_SYSTEM, expected)
    ctx = Context((ONE, TWO), PEERS, VECTORS, {**ANSWERS, "difference": long}, stage_budget=1200)
    written(dpl(), ctx, SAMPLE)
    shown = ctx.of("summary")[0].prompt.text
    assert "[Difference]: drier drier" in shown
    assert "[Review Text]: So dry." in shown
    assert "Item 2" not in shown


def test_the_summary_sees_all_differences_and_all_reviews_where_the_last_prompt_keeps_few() -> None:
    reviews, known, vectors = eight()
    ctx = Context(reviews, known, vectors, ANSWERS, budget=1500, stage_budget=8000)
    written(dpl(), ctx, sample(*reviews))
    (summary,), (review,) = ctx.of("summary"), ctx.of("review")
    assert all(f"own {n}" in summary.prompt.text for n in range(8))
    assert summary.prompt.text.count("[Difference]") == len(ctx.of("difference")) == 6
    assert 0 < review.prompt.text.count("[Review Text]") < 8


def test_a_summary_without_past_reviews_does_not_promise_them() -> None:
    system = summary_prompt([replace(ONE, text="Drier.")], ()).system
    assert "past reviews" not in system
    assert "of the same items, write a summary" in system


def test_what_shortens_is_an_option() -> None:
    ctx = context(ONE, TWO)
    written(dpl(brief=True, difference_tokens=256, summary_tokens=512, descriptions=False), ctx, SAMPLE)
    assert [asked.max_new_tokens for asked in ctx.asked] == [256, 256, 512, None]
    aspects = "in each of the following aspects"
    brief = DIFFERENCE.system.replace(aspects, f"{aspects}, in one or two sentences an aspect")
    assert ctx.asked[0].prompt == replace(DIFFERENCE, system=brief)
    bare = DIFFERENCES.replace("  - [Item Description]: About thing 1.\n", "")
    bare = bare.replace("  - [Item Description]: About thing 2.\n", "")
    assert ctx.asked[2].prompt == Prompt(SUMMARY_SYSTEM, f"{bare}\n{REVIEWS}")


def test_a_limit_of_the_summary_holds_for_pag_s_where_nothing_is_compared() -> None:
    ctx = Context((ONE, TWO), answers=ANSWERS)
    written(dpl(summary_tokens=512), ctx, SAMPLE)
    assert [(asked.stage, asked.max_new_tokens) for asked in ctx.asked] == [("profile", 512), ("review", None)]


@pytest.mark.parametrize("options", [{"released": True}, {"compare": "recent", "min_peers": 4}])
def test_items_without_enough_peers_are_replaced_by_the_most_recent_that_have_enough(options: dict[str, Any]) -> None:
    reviews, known, vectors = eight()  # 0 to 6 peers, and none again: items 4, 5 and 6 have enough
    ctx = Context(reviews[:2], known, vectors, ANSWERS)
    method, target = dpl(**options), sample(*reviews)
    assert set(method.texts(target, ctx)) >= {"own 4", "own 5", "0 on 4", "4 on 5"}
    written(method, ctx, target)
    assert [key.split()[0] for key in differences(ctx)] == ["r4", "r5"]
    shown = ctx.of("summary")[0].prompt.text
    assert shown.index("Thing 4") < shown.index("Thing 5") < shown.index("own 0") < shown.index("own 1")


def test_what_a_sample_does_not_have_leaves_no_empty_label() -> None:
    def bare(review: Review) -> Review:
        return replace(review, title=" ", item=replace(review.item, title="", description="\n"))

    ctx = Context((bare(ONE), bare(TWO)), {"i1": (bare(ANN),), "i2": (bare(DAN),)}, VECTORS, ANSWERS)
    target = replace(SAMPLE, title="", item=replace(SAMPLE.item, title="", description=""))
    written(dpl(), ctx, target)
    for asked in ctx.asked:
        lines = asked.prompt.text.split("\n")
        assert all(line.strip() for line in lines)
        assert not [line for line in lines if line.strip().startswith(("- [Item T", "[Item", "- [Review Title"))]
    assert ctx.asked[0].prompt.text.startswith("[User's Review]:\n- [Review Rating]: 4.0\n- [Review Text]: So dry.")
    assert ctx.asked[-1].prompt.text.endswith("[User's Profile Summary]: A dry writer.\n[Output Review Rating]: 5.0")


def test_dropped_parts_are_counted_in_their_own_prompt() -> None:
    """Counted once for the user's item, not again for its peers or for the target, whose description is not shown."""
    wordy = replace(ONE, item=replace(ONE.item, description="abc" * 50))
    same = tuple(replace(one, item=wordy.item) for one in (ANN, BOB, CID))
    target = replace(SAMPLE, item=replace(SAMPLE.item, description="xyz" * 200))
    alone = Prompt(DIFFERENCE.system.replace("3 other users' reviews", "another user's review"), DIFFERENCE.user)
    shown = alone.user.partition("\n[Other User 2")[0].replace("About thing 1.", "abc" * 50)
    whole = len(alone.system.replace("from them", "from it")) + 1 + len(shown)
    ctx = Context((wordy,), {"i1": same}, VECTORS, ANSWERS, budget=whole - 30)
    written(dpl(), ctx, target)
    assert ctx.dropped[0] == Dropped(reviews=2, description_chars=30)


def requests_of(name: str, ctx: Context) -> list[Asked]:
    written(create("method", name), ctx, SAMPLE)
    return ctx.asked


def test_with_nothing_to_compare_every_request_is_pags() -> None:
    alone = Context((ONE, TWO), answers=ANSWERS)
    assert requests_of("dpl", alone) == requests_of("pag", Context((ONE, TWO), answers=ANSWERS)) != []
    assert alone.stages == ["profile", "review"]


def test_without_history_the_request_is_non_persos() -> None:
    assert requests_of("dpl", Context()) == requests_of("nonperso", Context()) != []


def test_an_empty_summary_gives_rags_request() -> None:
    ctx = Context((ONE, TWO), PEERS, VECTORS, {**ANSWERS, "summary": "[Summary]:"})
    assert requests_of("dpl", ctx)[3:] == requests_of("rag", Context((ONE, TWO))) != []


def test_an_empty_difference_is_left_out() -> None:
    ctx = Context((ONE, TWO), PEERS, VECTORS, {**ANSWERS, "difference": " "})
    assert requests_of("dpl", ctx)[2:] == requests_of("pag", Context((ONE, TWO), answers=ANSWERS))


def test_all_differences_of_a_sample_run_at_once_and_wait_for_no_other_sample() -> None:
    async def both() -> None:
        gate = asyncio.Event()
        slow = context(ONE, TWO, gate={"difference": gate})
        held = asyncio.create_task(dpl().write(SAMPLE, slow))
        assert await dpl().write(SAMPLE, context(TWO)) == "Meh."  # all three stages, past the one that is held
        assert not held.done()
        assert slow.stages == ["difference", "difference"]  # both are out, none answered
        gate.set()
        assert await held == "Meh."

    asyncio.run(both())


@pytest.mark.parametrize("options", [{}, {"released": True}, {"min_peers": 2}, {"peers_before_target": True}])
def test_texts_names_what_write_embeds_and_nothing_else(options: dict[str, Any]) -> None:
    reviews, known, vectors = eight()
    known["i3"] = (replace(known["i3"][0], text=" "), replace(known["i3"][1], timestamp=None), known["i3"][2])
    ctx = Context(reviews, known, vectors)
    named = list(dpl(**options).texts(sample(*reviews), ctx))
    assert (ctx.embedded, ctx.asked) == ([], [])
    written(dpl(**options), ctx, sample(*reviews))
    assert named == ctx.embedded != []


@pytest.mark.parametrize("text", ["Ok", "word " * 4000, "很好用的台灯。" * 2000, "x" * 20_000, "[Review]: \x00\ud800"])
def test_reviews_of_any_length_and_script_stay_inside_the_budget(text: str) -> None:
    own, other = past(1, text), peer(1, "ann", f"{text}!")
    ctx = Context((own,), {"i1": (other,)}, {text: (0, 0), f"{text}!": (9, 0)}, ANSWERS, budget=1200)
    assert written(dpl(), ctx, sample(own)) == "Meh."
    assert ctx.stages == ["difference", "summary", "review"]


def test_a_history_longer_than_the_budget_is_cut_and_a_hopeless_budget_is_a_sample_failure() -> None:
    reviews = tuple(past(n, f"own {n} " * 100) for n in range(8))
    known = {f"i{n}": (peer(n, "ann", f"ann {n} " * 100),) for n in range(8)}
    vectors = {r.text: (0, 0) for r in reviews} | {p.text: (9, 0) for (p,) in known.values()}
    ctx = Context(reviews, known, vectors, ANSWERS, budget=2500)
    assert written(dpl(), ctx, sample(*reviews)) == "Meh."
    assert len(ctx.of("difference")) == 8
    with pytest.raises(SampleFailure):
        written(dpl(), Context(reviews, known, vectors, ANSWERS, budget=300), sample(*reviews))


def test_the_contract() -> None:
    assert (dpl().label, dpl().uses_retriever, dpl().uses_embeddings) == ("DPL", True, True)
