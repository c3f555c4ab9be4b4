"""What a metric cannot read of a text, as codes in its rows: a blind spot must not pass for a measurement.

A row may have `"unread": {"reference": [code, ...], "prediction": [...]}`, with the sides of which something is unread.
The metric's `unread(row)` gives the same in words that complete "24 of 24 references ...".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from unicodedata import category

NONE = "none"  # not one token, although the text is not blank
MOST = "most"  # more than half of its letters are dropped
RUNS = "runs"  # mostly of a script without spaces: its words are not told apart
UNKNOWN = "unknown"  # more than half of its tokens are the unknown token
CUT = "cut"  # longer than what is read

Sides = dict[str, list[str]]

# Scripts that are written without spaces: Thai and Lao, Tibetan, Myanmar, Khmer, the kana, Han.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)


def letters(text: str) -> int:
    """The number of letters, marks and digits of any script."""
    return sum(category(letter)[0] in "LMN" for letter in text)


def unspaced(text: str) -> bool:
    """Whether more than half of the letters are of scripts that are written without spaces."""
    return not text.isascii() and 2 * len(_UNSPACED.findall(text)) > letters(text)


def add(row: dict[str, Any], codes: Callable[[str], Sequence[str]], prediction: str, reference: str) -> dict[str, Any]:
    """The row, with the codes of both texts where there are any. Blank texts have none: they are counted as empty."""
    sides = {
        side: list(codes(text)) for side, text in (("reference", reference), ("prediction", prediction)) if text.strip()
    }
    found = {side: some for side, some in sides.items() if some}
    return {**row, "unread": found} if found else row


def words(row: Mapping[str, Any], why: Mapping[str, str]) -> Sides:
    """The codes of a row in words."""
    return {side: [why[code] for code in codes] for side, codes in row.get("unread", {}).items()}
