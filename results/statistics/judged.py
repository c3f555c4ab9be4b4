"""What judged pairs say: win rates of A by category, and how good the judge is on pairs with known answers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.record.judged import Judgement, Pair
from results.statistics import choices, inference
from results.statistics.choices import Share, Slope

if TYPE_CHECKING:
    from results.statistics.inference import Array

LEAST = 0.6  # a judge is marked where the lower end of its accuracy's interval is below
UNREAD = 0.1  # or where more of the pairs with known answers are unread
CODES = {"one": 1, "tie": 0, "other": -1}


@dataclass(frozen=True)
class Line:
    """A's win rate in one category: (wins + ties / 2) / pairs read. `share` None: no pair is read.

    `p`: that it is one half, Holm-corrected over all lines; NaN without a share.
    """

    category: str
    share: Share | None
    p: float
    wins: int
    ties: int
    losses: int
    unread: int


@dataclass(frozen=True)
class Calibration:
    """A judge on pairs with known answers. None and NaN: nothing could be read.

    `accuracy`: the share of pairs in which the user's own text wins, a tie counting half. `kappa`: Cohen's, of the
    choices in the two orders. `flips`: the share of read pairs in which the first place, or the second, wins in both
    orders. `first`: the share of the answers for the text that stands first, a tie counting half. `length`: log odds of
    choosing the own text per doubling of its words over the peer's, at equal place. `n`: pairs, read or not.
    """

    n: int
    near: int
    unread: int
    accuracy: Share | None
    kappa: float
    flips: float
    first: float
    length: Slope | None

    @property
    def good(self) -> bool:
        """Whether the judge is shown to tell this user's text from a peer's."""
        if self.accuracy is None or self.unread > UNREAD * self.n:
            return False
        return self.accuracy.low >= LEAST


def lines(pairs: Sequence[Pair]) -> list[Line]:
    """One for each category, in the order of the samples."""
    by_category = {name: [one for one in pairs if one.category == name] for name in _categories(pairs)}
    found = {name: _share(own) for name, own in by_category.items()}
    adjusted = inference.holm([one.p if one else math.nan for one in found.values()])
    return [
        _line(name, found[name], p, Counter(one.score for one in by_category[name]))
        for name, p in zip(found, adjusted, strict=True)
    ]


def _categories(pairs: Sequence[Pair]) -> list[str]:
    return list(dict.fromkeys(one.category for one in pairs))


def _line(category: str, share: Share | None, p: float, scores: Counter[float | None]) -> Line:
    return Line(category, share, p, scores[1.0], scores[0.5], scores[0.0], scores[None])


def _share(pairs: Sequence[Pair]) -> Share | None:
    read = [one for one in pairs if one.score is not None]
    return choices.share(_array(one.score for one in read), _users(read))


def calibration(judgement: Judgement) -> Calibration | None:
    """None where the data has no pair with a known answer, or none was asked for."""
    known = judgement.known
    if not known:
        return None
    read = [one for one in known if one.score is not None]
    return Calibration(
        n=len(known),
        near=sum(one.near for one in known),
        unread=len(known) - len(read),
        accuracy=_share(read),
        kappa=choices.kappa(*_orders(read)) if read else math.nan,
        flips=sum(flipped(one) for one in read) / len(read) if read else math.nan,
        first=first(known),
        length=_length(read) if read else None,
    )


def flipped(pair: Pair) -> bool:
    """Whether the order decides: each of the two texts is chosen once."""
    return set(pair.choices) == {"one", "other"}


def disagree(pair: Pair) -> bool:
    """Whether the two orders give different answers, so that the pair is a tie."""
    return pair.score is not None and len(set(pair.choices)) > 1


def first(pairs: Sequence[Pair]) -> float:
    """The share of the answers for the text that stands first, a tie counting half. NaN without an answer."""
    # The first answer has `one` first, the second has `other` first.
    answers = [
        pair for one in pairs for pair in zip(one.choices, (1, -1), strict=False)
    ]  # no choice without a question
    places = [CODES[choice] * sign for choice, sign in answers if choice]
    return sum((place + 1) / 2 for place in places) / len(places) if places else math.nan


def _orders(read: Sequence[Pair]) -> tuple[Array, Array]:
    """(n,) codes of the choices with the one text first, and with the other first."""
    asked = [[CODES[choice] for choice in one.choices if choice] for one in read]
    return _array(codes[0] for codes in asked), _array(codes[1] for codes in asked)


def _length(read: Sequence[Pair]) -> Slope:
    """Of a logistic regression of every answer: own text chosen ~ 1 + log2(own words / peer's words) + place."""
    import numpy as np

    ratios = _array(math.log2(max(one.words[0], 1) / max(one.words[1], 1)) for one in read)
    place = np.ones(len(read))
    x = np.concatenate([np.stack([place, ratios, sign * place], axis=1) for sign in (1, -1)])
    y = (np.concatenate(_orders(read)) + 1) / 2
    return choices.slope(x, y, np.concatenate([_users(read)] * 2), column=1)


def _array(values: Any) -> Array:
    import numpy as np

    return np.array(list(values), np.float64)


def _users(pairs: Sequence[Pair]) -> Array:
    """(n,) a number for each user of a category."""
    numbers: dict[tuple[str, str], int] = {}
    return _array(numbers.setdefault((one.category, one.user_id), len(numbers)) for one in pairs)
