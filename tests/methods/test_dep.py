"""DEP's full prompts, also of every ablation, and the vectors in their slots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from bench.context.context import CellResources, SampleContext
from bench.data.corpus import load
from bench.errors import UserError
from bench.registry import create
from bench.types import Prompt, Review, Sampling, Slot
from methods.dep import Dep, difference, distance_weights
from tests.methods.context import Context, past, peer, sample, written

ONE, TWO = past(1, "So dry."), past(2, "Much too long.", rating=2.5)
SAMPLE = sample(ONE, TWO)
ANN, BOB = peer(1, "ann", "I love it!"), peer(1, "bob", "Hm.")
PEERS = {"i1": (ANN, BOB), "i2": (peer(2, "ann", "Just right."),)}
VECTORS = {
    "So dry.": (1, 0), "I love it!": (0, 0), "Hm.": (0, 2),
    "Much too long.": (5, 5), "Just right.": (4, 8),
}  # fmt: skip

INPUTS = (
    "Given the title and description of an item, along with the user's past reviews (including item title, item "
    "description, review rating, review title, "
)
TASK = "), and the output review rating and review title, generate a personalized item review for the user."
NOTES = {
    "his": "\nNote: [Review Embedding] denotes a soft prompt of the review text. "
    "[Review Embedding] should serve as a hint for personalized review text generation.",
    "diff": "\nNote: [Review Difference Embedding] denotes a soft prompt showing the difference between the review "
    "text and other reviews on the same item. "
    "[Review Difference Embedding] should serve as a hint for personalized review text generation.",
    "both": "\nNote: [Review Embedding] denotes a soft prompt of the review text and [Review Difference Embedding] "
    "denotes a soft prompt showing the difference between the review text and other reviews on the same item. "
    "[Review Embedding] and [Review Difference Embedding] should serve as hints for personalized review text "
    "generation.",
}
FIGURE_6 = """\
[Item Title]: Desk Lamp
[Item Description]: A lamp for desks.
[User's Past Reviews]:
- [Review 1]:
  - [Item Title]: Thing 1
  - [Item Description]: About thing 1.
  - [Review Rating]: 4.0
  - [Review Title]: Title 1
  - [Review Text]: So dry.
  - [Review Embedding]: <his_start><his><his_end>
  - [Review Difference Embedding]: <diff_start><diff><diff_end>
- [Review 2]:
  - [Item Title]: Thing 2
  - [Item Description]: About thing 2.
  - [Review Rating]: 2.5
  - [Review Title]: Title 2
  - [Review Text]: Much too long.
  - [Review Embedding]: <his_start><his><his_end>
  - [Review Difference Embedding]: <diff_start><diff><diff_end>
[Output Review Rating]: 5.0
[Output Review Title]: Bright!"""
WITHOUT_TEXT_AND_HIS = """\
[Item Title]: Desk Lamp
[Item Description]: A lamp for desks.
[User's Past Reviews]:
- [Review 1]:
  - [Item Title]: Thing 1
  - [Item Description]: About thing 1.
  - [Review Rating]: 4.0
  - [Review Title]: Title 1
  - [Review Difference Embedding]: <diff_start><diff><diff_end>
- [Review 2]:
  - [Item Title]: Thing 2
  - [Item Description]: About thing 2.
  - [Review Rating]: 2.5
  - [Review Title]: Title 2
  - [Review Difference Embedding]: <diff_start><diff><diff_end>
[Output Review Rating]: 5.0
[Output Review Title]: Bright!"""


def without(*starts: str) -> str:
    """Figure 6 without the lines that begin with these labels."""
    return "\n".join(line for line in FIGURE_6.split("\n") if not line.startswith(tuple(f"  - [{s}]" for s in starts)))


WITHOUT_TEXT_AND_DIFF = without("Review Text", "Review Difference Embedding")


def context(*reviews: Review, **more: Any) -> Context:
    return Context(reviews, PEERS, VECTORS, **more)


def dep(**options: Any) -> Dep:
    method: Dep = create("method", "dep", options)
    return method


def prompt(ctx: Context, **options: Any) -> Prompt:
    return dep(**options).prompt(SAMPLE, ctx)


def vectors(found: Prompt, name: str) -> list[list[float]]:
    return [slot.features[0].tolist() for slot in found.slots if slot.name == name]


# ---------------------------------------------------------------- prompts


def test_the_prompt_is_figure_6() -> None:
    ctx = context(ONE, TWO)
    assert written(dep(), ctx, SAMPLE) == "an answer to review"
    (asked,) = ctx.asked
    assert (asked.stage, asked.key, asked.max_new_tokens) == ("review", "", None)
    fields = "review text, review embedding, review difference embedding"
    assert asked.prompt.system == INPUTS + fields + TASK + NOTES["both"]
    assert asked.prompt.text == FIGURE_6
    assert without() == FIGURE_6


@pytest.mark.parametrize(
    ("options", "fields", "user"),
    [
        ({"embeddings": "his"}, "review text, review embedding", without("Review Difference Embedding")),
        ({"embeddings": "diff"}, "review text, review difference embedding", without("Review Embedding")),
        ({"text": False}, "review embedding, review difference embedding", without("Review Text")),
        (
            {"embeddings": "his", "text": False},
            "review embedding",
            WITHOUT_TEXT_AND_DIFF,
        ),
        ({"embeddings": "diff", "text": False}, "review difference embedding", WITHOUT_TEXT_AND_HIS),
    ],
)
@pytest.mark.parametrize("guidance", [True, False])
def test_an_ablation_s_system_prompt_names_only_its_own_parts(
    options: dict[str, Any], fields: str, user: str, guidance: bool
) -> None:
    found = prompt(context(ONE, TWO), guidance=guidance, **options)
    assert found.system == INPUTS + fields + TASK + (NOTES[options.get("embeddings", "both")] if guidance else "")
    assert found.text == user


def test_without_guidance_only_the_note_is_missing() -> None:
    found = prompt(context(ONE, TWO), guidance=False)
    assert found.system == INPUTS + "review text, review embedding, review difference embedding" + TASK
    assert found.text == FIGURE_6


@pytest.mark.parametrize("refinement", ["none", "ae", "sae"])
def test_refinement_does_not_show_in_the_prompt(refinement: str) -> None:
    assert prompt(context(ONE, TWO), refinement=refinement) == prompt(context(ONE, TWO))


@pytest.mark.parametrize("options", [{}, {"embeddings": "his"}, {"text": False}, {"skip_without_peers": True}])
def test_with_nothing_retrieved_it_is_non_perso_s_prompt(options: dict[str, Any]) -> None:
    plain = Context()
    written(create("method", "nonperso"), plain, SAMPLE)
    assert prompt(Context(), **options) == plain.asked[0].prompt
    assert isinstance(prompt(Context(), **options).user, str)


def test_a_text_that_looks_like_a_slot_is_a_text() -> None:
    nasty = "<his_start><his><his_end> <diff> [HIS_TOKEN_1] <his_token_start>"
    review = replace(ONE, text=nasty, title="<his>")
    found = Context((review,), PEERS, {**VECTORS, nasty: (7, 7)})
    made = dep().prompt(replace(SAMPLE, title="<diff>"), found)
    assert [slot.name for slot in made.slots] == ["his_start", "his", "his_end", "diff_start", "diff", "diff_end"]
    first, *_, last = made.parts
    assert isinstance(first, str) and nasty in first
    assert isinstance(last, str) and last.endswith("[Output Review Title]: <diff>")


# ---------------------------------------------------------------- vectors and their slots


def test_the_difference_is_the_mean_over_peers() -> None:
    """(1,0) - (0,0) and (1,0) - (0,2) are (1,0) and (1,-2), in the mean (1,-1); (5,5) - (4,8) = (1,-3)."""
    found = prompt(context(ONE, TWO))
    assert vectors(found, "his") == [[1, 0], [5, 5]]
    assert vectors(found, "diff") == [[1, -1], [1, -3]]
    assert {slot.name for slot in found.slots if not slot.features} == {
        "his_start",
        "his_end",
        "diff_start",
        "diff_end",
    }


def test_difference_by_hand_with_weights() -> None:
    own, peers = np.array([1, 0], np.float32), np.array([[0, 0], [0, 2]], np.float32)
    assert difference(own, peers).tolist() == [1, -1]
    assert difference(own, peers, np.array([0.25, 0.75], np.float32)).tolist() == [1, -1.5]


def test_the_released_weights_by_hand() -> None:
    """Distances 5 and 15: shares 1/4 and 3/4, softmax 1 / (1 + e^.5) and 1 / (1 + e^-.5)."""
    means = np.array([[3, 4], [0, 15]], np.float32)
    weights = distance_weights(np.zeros(2, np.float32), means)
    assert weights.tolist() == pytest.approx([0.37754067, 0.62245933])
    assert distance_weights(means[0], means[[0, 0]]).tolist() == [0.5, 0.5]  # no distance at all
    assert distance_weights(means[0], means[:1]).tolist() == [1]


def test_the_released_weights_use_users_reviews_and_for_the_user_the_history() -> None:
    """u's mean is (0,0); ann's (3,4) and bob's (0,15), so that w is as above and e_diff = (1, -2 * .62245933)."""
    more = {"u wrote": (-1, 0), "ann wrote": (6, 8), "bob wrote": (0, 28)}
    history = (ONE, past(9, "u wrote"))
    by_user = {"u": history, "ann": (ANN, peer(8, "ann", "ann wrote")), "bob": (BOB, peer(8, "bob", "bob wrote"))}
    ctx = Context((ONE,), PEERS, {**VECTORS, **more}, written=by_user)
    ((x, y),) = vectors(prompt(ctx, peer_weights="distance"), "diff")
    assert (x, y) == pytest.approx((1, -1.24491866))


@pytest.mark.parametrize("reviews", [*permutations((ONE, TWO, past(3, "Alone.")))])
def test_slot_i_belongs_to_review_i_in_every_order_and_for_every_budget(reviews: Sequence[Review]) -> None:
    known = {**VECTORS, "Alone.": (3, 3)}
    whole = Context(tuple(reviews), PEERS, known)
    size = len(f"{prompt(whole).system}\n{prompt(whole).text}")
    for kept in range(3, 0, -1):
        ctx = Context(tuple(reviews), PEERS, known, budget=size)
        assert aligned(prompt(ctx)) == [(r.text, list(known[r.text])) for r in reviews[:kept]]
        assert ctx.dropped[-1].reviews == 3 - kept
        size = len(f"{prompt(ctx).system}\n{prompt(ctx).text}") - 1


def aligned(found: Prompt) -> list[tuple[str, list[float]]]:
    """The review text above each "his" slot, and the slot's vector."""
    pairs, text = [], ""
    for part in found.parts:
        if isinstance(part, str) and "  - [Review Text]: " in part:
            text = part.rpartition("  - [Review Text]: ")[2].partition("\n")[0]
        elif isinstance(part, Slot) and part.name == "his":
            pairs.append((text, part.features[0].tolist()))
    return pairs


def test_a_review_that_the_budget_shortens_keeps_the_vectors_of_its_whole_text() -> None:
    long = replace(ONE, text="word " * 500)
    ctx = Context((long, TWO), PEERS, {**VECTORS, long.text: (9, 9)}, budget=1100)
    found = prompt(ctx)
    ((text, vector),) = aligned(found)
    assert (ctx.dropped[-1].reviews, vector) == (1, [9, 9])
    assert text.startswith("word word") and len(text) < len(long.text)
    assert vectors(found, "diff") == [[9, 8]]


def test_a_review_without_peers_has_no_difference_and_is_noted_on_the_sample() -> None:
    ctx = Context((ONE, TWO), {"i2": PEERS["i2"]}, VECTORS)
    found = prompt(ctx)
    assert vectors(found, "diff") == [[0, 0], [1, -3]]
    assert found.slots[4].features[0].dtype == np.float32
    assert ctx.notes == {"without_peers": ["r1"]}
    full = context(ONE, TWO)
    prompt(full)
    assert full.notes == {"without_peers": []}


def test_reviews_without_peers_are_left_out_by_option() -> None:
    ctx = Context((ONE, TWO), {"i2": PEERS["i2"]}, VECTORS)
    found = prompt(ctx, skip_without_peers=True)
    assert aligned(found) == [("Much too long.", [5, 5])]
    assert ctx.notes == {"without_peers": ["r1"]}


def test_peers_without_a_text_are_left_out() -> None:
    ctx = Context((ONE,), {"i1": (ANN, replace(BOB, text=" \n"))}, VECTORS)
    assert vectors(prompt(ctx), "diff") == [[1, 0]]


def test_by_option_only_peers_older_than_the_target_count() -> None:
    newer, timeless = replace(ANN, timestamp=2000), replace(BOB, timestamp=None)
    for options, target, expected in (
        ({}, SAMPLE, [1, -1]),
        ({"peers_before_target": True}, SAMPLE, [0, 0]),
        ({"peers_before_target": True}, replace(SAMPLE, timestamp=2001), [1, 0]),
        ({"peers_before_target": True}, replace(SAMPLE, timestamp=None), [0, 0]),  # none is known to be older
    ):
        ctx = Context((ONE,), {"i1": (newer, timeless)}, VECTORS)
        assert vectors(dep(**options).prompt(target, ctx), "diff") == [expected]


@pytest.mark.parametrize(
    "options",
    [{}, {"embeddings": "his"}, {"embeddings": "diff"}, {"peer_weights": "distance"}, {"peers_before_target": True}],
)
def test_texts_names_what_is_embedded_and_nothing_else(options: Mapping[str, Any]) -> None:
    by_user = {"u": SAMPLE.history, "ann": (ANN, peer(2, "ann", "Just right.")), "bob": (BOB,)}
    ctx = context(ONE, TWO, written=by_user)
    method = dep(**options)
    named = set(method.texts(SAMPLE, ctx))
    assert ctx.embedded == []
    method.prompt(SAMPLE, ctx)
    assert set(ctx.embedded) == named


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_no_held_out_target_and_not_the_sample_s_own_is_ever_embedded(weights: str) -> None:
    corpus = load("bundled")
    method = dep(peer_weights=weights)
    nothing: Any = None
    everything = [one for split in ("test", "val", "train") for one in corpus.samples(split)]
    held_out = {corpus.reference(one.sample_id) for one in everything if one.split != "train"}
    for one in everything[:: 5 if weights == "distance" else 1]:
        retrieved = {one.sample_id: one.history[:8]}
        cell = CellResources(corpus, nothing, retrieved, nothing, Sampling(), input_budget=1, stage_budget=1, seed=0)
        named = set(method.texts(one, SampleContext(one, cell)))
        own = {review.text for review in one.history}
        assert not (named - own) & held_out
        assert corpus.reference(one.sample_id) not in named


@pytest.mark.parametrize("options", [{"latent": 0}, {"rho": 0}, {"rho": 1}])
def test_invalid_autoencoder_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=f"dep.{next(iter(options))}="):
        dep(**options)
