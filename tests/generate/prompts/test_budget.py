from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import SampleFailure
from bench.generate.prompts.budget import fit, shorten
from bench.types import Dropped, Item, Prompt, Review, Sample

T = TypeVar("T", Sample, Review)


def characters(prompt: Prompt, *, limit: int = 0) -> int:
    return len(prompt.system) + len(prompt.user)


def build(sample: Sample, reviews: tuple[Review, ...]) -> Prompt:
    """Every part once, between marks that no text contains, so that a test can take a prompt apart."""
    parts = [sample.title, sample.item.description]
    for review in reviews:
        parts += [review.title, review.item.description, review.text]
    return Prompt("!", "|".join(parts))


def target(description: str = "", title: str = "T") -> Sample:
    return Sample("s", "test", "u", Item("c", "i", "item", description), 5.0, title)


def past(number: int, text: str = "", description: str = "") -> Review:
    return Review(f"r{number}", "u", Item("c", f"i{number}", "item", description), 4.0, f"R{number}", text, number)


def test_what_fits_is_left_alone() -> None:
    reviews = (past(1, "one", "first"), past(2, "two"))
    whole = build(target("some words"), reviews)
    fitted = fit(build, target("some words"), reviews, count=characters, budget=characters(whole))
    assert fitted == (whole, Dropped())


def test_the_lowest_ranked_reviews_go_first_and_no_more_than_needed() -> None:
    reviews = tuple(past(n, "x" * 10) for n in range(5))
    for kept in range(1, 5):
        budget = characters(build(target("d"), reviews[:kept]))
        for slack in (0, 5):
            prompt, dropped = fit(build, target("d"), reviews, count=characters, budget=budget + slack)
            assert prompt == build(target("d"), reviews[:kept])
            assert dropped == Dropped(reviews=5 - kept)


def test_then_descriptions_are_shortened_all_to_one_length() -> None:
    sample, reviews = target("d" * 30), (past(1, "text", "e" * 50), past(2, "gone"))
    # "!T|" + d + "|R1|" + e + "|text" = 12 characters beside the descriptions.
    prompt, dropped = fit(build, sample, reviews, count=characters, budget=12 + 41)
    assert prompt.user == f"T|{'d' * 20}|R1|{'e' * 20}|text"
    assert dropped == Dropped(reviews=1, description_chars=10 + 30)


def test_a_description_shorter_than_the_common_length_stays_whole() -> None:
    prompt, dropped = fit(build, target("short"), (past(1, "text", "e" * 50),), count=characters, budget=12 + 5 + 33)
    assert prompt.user == f"T|short|R1|{'e' * 33}|text"
    assert dropped == Dropped(description_chars=17)


def test_the_review_text_is_shortened_only_after_all_descriptions_are_gone() -> None:
    sample, reviews = target("d" * 30), (past(1, "y" * 40, "e" * 50),)
    prompt, dropped = fit(build, sample, reviews, count=characters, budget=8 + 40)
    assert prompt.user == f"T||R1||{'y' * 40}"
    assert dropped == Dropped(description_chars=80)
    prompt, dropped = fit(build, sample, reviews, count=characters, budget=8 + 39)
    assert prompt.user == f"T||R1||{'y' * 39}"
    assert dropped == Dropped(description_chars=80, text_chars=1)
    prompt, dropped = fit(build, sample, reviews, count=characters, budget=8)
    assert prompt.user == "T||R1||"
    assert dropped == Dropped(description_chars=80, text_chars=40)


def test_what_is_never_cut_is_a_failure_of_the_sample() -> None:
    with pytest.raises(SampleFailure, match="never cut exceed the input budget"):
        fit(build, target("d"), (past(1, "text"),), count=characters, budget=7)
    with pytest.raises(SampleFailure):
        fit(build, target("d", title="t" * 20), count=characters, budget=21)
    assert fit(build, target("d", title="t" * 20), count=characters, budget=22)[0].user == f"{'t' * 20}|"


def test_reviews_that_are_kept_are_shortened_together_and_not_dropped() -> None:
    reviews = (past(1, "y" * 40, "e" * 9), past(2, "z" * 10), past(3, "gone"))
    # "!T|" + d + "|R1|" + e + "|" + y + "|R2||" + z = 13 characters beside descriptions and texts.
    prompt, dropped = fit(build, target("dd"), reviews, count=characters, budget=13 + 25, keep=2)
    assert prompt.user == f"T||R1||{'y' * 15}|R2||{'z' * 10}"
    assert dropped == Dropped(reviews=1, description_chars=11, text_chars=25)
    prompt, dropped = fit(build, target("dd"), reviews, count=characters, budget=13 + 8, keep=2)
    assert prompt.user == f"T||R1||{'y' * 4}|R2||{'z' * 4}"
    prompt, dropped = fit(build, target("dd"), reviews[:1], count=characters, budget=8 + 8, keep=2)
    assert (prompt.user, dropped.reviews) == (f"T||R1||{'y' * 8}", 0)


def test_without_history_only_the_target_s_description_gives_way() -> None:
    prompt, dropped = fit(build, target("d" * 9), count=characters, budget=8)
    assert (prompt.user, dropped) == ("T|ddddd", Dropped(description_chars=4))


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("one two three", 13, "one two three"),
        ("one two three", 12, "one two"),
        ("one two three", 8, "one two"),
        ("one two three", 7, "one"),
        ("one two three", 2, "on"),
        ("one two three", 0, ""),
        ("x" * 40 + " " + "y" * 40, 50, "x" * 40),
        ("x" * 40 + " " + "y" * 40, 70, "x" * 40 + " " + "y" * 29),  # a space too far back is no place to cut
        ("日本語の文章には空白がない", 5, "日本語の文"),
        (" leading", 4, " lea"),
    ],
)
def test_shorten_ends_at_a_near_space_or_in_mid_word(text: str, limit: int, expected: str) -> None:
    assert shorten(text, limit) == expected


WORDS = st.text(st.sampled_from("ab 語"), max_size=60)
REVIEWS = st.lists(st.tuples(WORDS, WORDS), max_size=4)


def versions(sample: Sample, reviews: tuple[Review, ...], keep: int) -> Iterator[Prompt]:
    """Every version that the budget may choose, longest first, as the spec orders what is cut."""
    for kept in range(len(reviews), min(keep, len(reviews)), -1):
        yield build(sample, reviews[:kept])
    best = reviews[:keep]
    texts = [sample.item.description, *(text for review in best for text in (review.item.description, review.text))]
    for limit in range(max(map(len, texts)), -1, -1):
        yield build(described(sample, limit), tuple(described(review, limit) for review in best))
    bare = tuple(described(review, 0) for review in best)
    for limit in range(max(map(len, texts)), -1, -1):
        yield build(described(sample, 0), tuple(replace(review, text=shorten(review.text, limit)) for review in bare))


def described(thing: T, limit: int) -> T:
    return replace(thing, item=replace(thing.item, description=shorten(thing.item.description, limit)))


@given(WORDS, REVIEWS, st.integers(0, 260), st.integers(1, 3))
def test_the_result_is_the_longest_version_that_fits(
    description: str, texts: list[tuple[str, str]], budget: int, keep: int
) -> None:
    sample = target(description)
    reviews = tuple(past(n, text, about) for n, (text, about) in enumerate(texts))
    expected = next((version for version in versions(sample, reviews, keep) if characters(version) <= budget), None)
    if expected is None:
        with pytest.raises(SampleFailure):
            fit(build, sample, reviews, count=characters, budget=budget, keep=keep)
        return
    prompt, dropped = fit(build, sample, reviews, count=characters, budget=budget, keep=keep)
    assert prompt == expected
    whole = build(sample, reviews[: len(reviews) - dropped.reviews])
    assert characters(whole) - characters(prompt) == dropped.description_chars + dropped.text_chars


@given(REVIEWS, st.integers(0, 120))
def test_tokens_that_grow_and_shrink_with_the_text_still_never_exceed_the_budget(
    texts: list[tuple[str, str]], budget: int
) -> None:
    def tokens(prompt: Prompt, *, limit: int = 0) -> int:
        return len(prompt.user) + 7 * (len(prompt.user) % 3)

    reviews = tuple(past(n, text, about) for n, (text, about) in enumerate(texts))
    with contextlib.suppress(SampleFailure):
        assert tokens(fit(build, target("abc"), reviews, count=tokens, budget=budget)[0]) <= budget


@given(st.text(max_size=80), st.integers(0, 90))
def test_shorten_gives_a_start_of_at_most_the_limit_and_grows_with_it(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert text.startswith(short)
    assert len(short) <= limit or short == text
    assert len(short) <= len(shorten(text, limit + 1))
