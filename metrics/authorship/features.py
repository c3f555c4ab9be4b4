"""What Burrows's Delta counts in a text: function words, punctuation, case, lengths, frequent character 3-grams.

Function words and sentence marks are English; a text in another language is told by its other features alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log1p
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ENGLISH = """
a about above after again against all almost also although always am an and another any are aren't around as at away
back be because been before being below between both but by can can't cannot could couldn't did didn't do does doesn't
doing don't done down during each either else enough even ever every few for from further get gets getting go goes
going got had hadn't has hasn't have haven't having he her here hers herself him himself his how however i i'd i'll
i'm i've if in instead into is isn't it it's its itself just least less let like little lot made make many may maybe
me might mine more most much must my myself need neither never no nor not nothing now of off often on once one only or
other others our ours ourselves out over own perhaps quite rather really same seem seems several she should shouldn't
since so some someone something still such than that that's the their theirs them themselves then there there's these
they they're thing things this those though through thus to too toward under unless until up upon us very was wasn't
we well were weren't what when where whether which while who whom whose why will with within without won't would
wouldn't yet you you'd you'll you're you've your yours yourself
"""
FUNCTION_WORDS = tuple(_ENGLISH.split())
MARKS = (".", ",", ";", ":", "!", "?", "-", "'", '"', "(", ")", "/", "&", "*", "...", "!!", "--", "\n")
MOST_GRAMS = 200
CODES = 128  # ASCII; 127, which no text has, stands for every other letter

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
START = re.compile(r"(?:^|[.!?]\s+|\n\s*)(\w)")
END = re.compile(r"[.!?\n]+(?:\s|$)")


def style(text: str) -> list[float]:
    """Relative frequencies of function words among words, marks and case among letters; then lengths, in logs."""
    plain = text.replace("’", "'")
    words = WORD.findall(plain)
    counts = dict.fromkeys(FUNCTION_WORDS, 0)
    for word in words:
        lower = word.lower()
        if lower in counts:
            counts[lower] += 1
    n, size = max(len(words), 1), max(len(text), 1)
    starts = START.findall(plain)
    sentences = max(len(END.findall(plain)), 1)
    return [
        *(count / n for count in counts.values()),
        *(plain.count(mark) / size for mark in MARKS),
        sum(map(str.isupper, plain)) / size,
        sum(len(word) > 1 and word.isupper() for word in words) / n,
        sum(map(str.islower, starts)) / max(len(starts), 1),
        words.count("i") / n,
        sum(map(str.isdigit, plain)) / size,
        log1p(len(words)),
        sum(map(len, words)) / n,
        log1p(len(words) / sentences),
    ]


@dataclass(frozen=True)
class Grams:
    """The character 3-grams that are most frequent in some texts, in lower case."""

    most: tuple[int, ...]  # numbers of 3-grams, the most frequent first

    @classmethod
    def frequent(cls, texts: Sequence[str]) -> Grams:
        import numpy as np

        counts = np.zeros(CODES**3, np.int64)
        for text in texts:
            np.add.at(counts, _grams(text), 1)
        order = np.argsort(-counts, kind="stable")[:MOST_GRAMS]
        return cls(tuple(order[counts[order] > 0].tolist()))

    def shares(self, text: str) -> NDArray[np.float64]:
        """(grams,): the share of the text's 3-grams that each is."""
        import numpy as np

        found = _grams(text)
        counts = np.bincount(self._places[found], minlength=len(self.most) + 1)[:-1]
        return counts / max(len(found), 1)

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        import numpy as np

        places = np.full(CODES**3, len(self.most))
        places[list(self.most)] = np.arange(len(self.most))
        return places


def _grams(text: str) -> NDArray[np.int64]:
    """The numbers of a text's 3-grams, in order."""
    import numpy as np

    codes = np.frombuffer(text.lower().encode("utf-32-le", "surrogatepass"), np.uint32)
    small: NDArray[np.int64] = np.minimum(codes, CODES - 1).astype(np.int64)
    return small[:-2] * CODES**2 + small[1:-1] * CODES + small[2:]
