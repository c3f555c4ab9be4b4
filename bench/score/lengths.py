"""How long references are, and how many new tokens would hold them: the limit that a run of cut answers needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from bench.score.written import Rows

STEP = 32  # limits are proposed in multiples of this
LONG = 0.95  # the share of references that a proposed limit holds


def of(references: Sequence[str], rows: Rows) -> dict[str, Any]:
    """The references' words, at the median and at `LONG`; new tokens a word of the texts in `rows`, None if unknown."""
    words = sorted(len(text.split()) for text in references)
    return {
        "median": median(words),
        "long": words[math.ceil(LONG * len(words)) - 1],
        "tokens_per_word": _tokens_per_word(rows),
    }


def _tokens_per_word(rows: Rows) -> float | None:
    """Of the stage that wrote each text, without those that reasoned before it."""
    tokens = words = 0
    for row in rows:
        cost = row["stages"].get(row["finish"][-1][0]) if row["finish"] else None
        if cost and cost["requests"] == 1 and not cost["reasoned"] and row["text"]:
            tokens += cost["new_tokens"]
            words += len(row["text"].split())
    return tokens / words if words else None


def said(summaries: Iterable[Mapping[str, Any]]) -> tuple[str, float | None]:
    """(a clause on the references of these runs, the tokens of the longest that `LONG` counts).

    The longest references and the most tokens a word count. ("", None) where the summaries do not have them.
    """
    found = [summary["references"] for summary in summaries if summary.get("references")]
    if not found:
        return "", None
    longest = max(found, key=lambda one: one["long"])
    clause = f"references have {longest['median']:g} words (median), {longest['long']} (95th percentile)"
    rates = [one["tokens_per_word"] for one in found if one["tokens_per_word"]]
    if not rates:
        return clause, None
    tokens = longest["long"] * max(rates)
    return f"{clause}: about {tokens:.0f} tokens at the {max(rates):.1f} a word of these answers", tokens


def limit(tokens: float) -> int:
    """The limit to propose for references of so many tokens."""
    return STEP * math.ceil(tokens / STEP)
