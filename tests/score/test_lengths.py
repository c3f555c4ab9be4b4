"""How long references are, and how many tokens a word the answers had."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bench.score import lengths
from bench.types import StageCost


def row(text: str, tokens: int, **cost: int) -> dict[str, Any]:
    last = asdict(StageCost(requests=1, new_tokens=tokens, **cost))
    return {
        "text": text,
        "finish": [["profile", "stop"], ["review", "stop"]],
        "stages": {"profile": asdict(StageCost(requests=1, new_tokens=900)), "review": last},
    }


def test_words_of_references_and_tokens_a_word_of_the_stage_that_wrote() -> None:
    references = ["word " * n for n in range(1, 101)]
    rows = [row("four words are here", 6), row("two words", 3), row("thought long about it", 400, reasoned=1)]
    found = lengths.of(references, rows)
    assert found == {"median": 50.5, "long": 95, "tokens_per_word": 9 / 6}
    assert lengths.of(["a b"], [{**row("", 0), "finish": []}]) == {"median": 2, "long": 2, "tokens_per_word": None}


def test_the_longest_references_and_the_most_tokens_a_word_decide() -> None:
    runs = [{"references": {"median": 5, "long": 10, "tokens_per_word": 2.0}}]
    runs += [{"references": {"median": 7, "long": 20, "tokens_per_word": 1.0}}, {}]
    clause, tokens = lengths.said(runs)
    assert (tokens, "7 words (median), 20 (95th percentile): about 40 tokens at the 2.0" in clause) == (40, True)
    assert lengths.said([{}]) == ("", None)
    assert [lengths.limit(tokens) for tokens in (1, 32, 33)] == [32, 32, 64]
