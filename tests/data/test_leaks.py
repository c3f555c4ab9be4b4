"""Openings are found where a plain search finds them, in any script and at any place."""

from __future__ import annotations

import random

import pytest

from bench.data.leaks import SHORTEST, Openings, openings, plain


def test_openings_are_found_where_a_plain_search_finds_them() -> None:
    rng = random.Random(0)
    words = ["tea", "grün", "很好", "a", "Lamp", "😀", "aaaaaaaa"]
    texts = [plain(" ".join(rng.choices(words, k=rng.randint(0, 60)))) for _ in range(300)]
    targets = [text for text in texts[:60] if len(text) >= SHORTEST]
    texts += [f"before {target} after" for target in targets[:20]] + [targets[0], targets[0][:-1], ""]
    hashes = [int(one) for one in openings(targets)]
    found = Openings(openings(targets)).within(texts)
    first = [target.encode()[:SHORTEST] for target in targets]
    expected = {
        (place, hash_)
        for place, text in enumerate(texts)
        for opening, hash_ in zip(first, hashes, strict=True)
        if opening in text.encode()
    }
    assert set(found) == expected
    assert len(found) == len(expected) > len(targets)


def test_no_opening_runs_from_one_text_into_the_next() -> None:
    target = "x" * SHORTEST
    assert Openings(openings([target])).within([target[:20], target[20:]]) == []


def test_a_target_that_is_too_short_has_none() -> None:
    with pytest.raises(ValueError, match="an opening has 40 bytes"):
        openings(["short"])
