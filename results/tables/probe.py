"""`bench probe`: what users' vectors hold, and so what a soft prompt over them could carry. Without a language model.

Of the newest K reviews of each user, three features (paper, equations 2 to 4):
    his    mean of the vectors of the texts
    diff   mean over the reviews of own vector - mean of peers' vectors; 0 for a review without peers
    both   the two, one after the other

What is told from them, by logistic regression on standardized features:
    habits    in a planted world: each of the user's habits, with users split into folds
    identity  whose reviews these are, among N users of the category: the newest group of K reviews of each user is
              told by a probe that was trained on the older groups

Accuracy is over users, with a 95 % interval by bootstrap over them. Chance is the share of the most frequent value.
"""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.data.corpus import Corpus
from bench.errors import UserError, unknown
from bench.seeds import derive
from bench.types import Review, Sample
from results.statistics import inference
from results.tables import grids

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.console import Console

    from bench.protocols import TextVectors

    Array = NDArray[Any]

FEATURES = ("his", "diff", "both")
HABITS = ("opening", "length", "punctuation", "signoff", "catchphrase")
NONE = "none"  # of a habit that the user has not
FOLDS = 3
MOST_GROUPS = 8  # of a user's older reviews, for identity


@dataclass(frozen=True)
class Told:
    """How well one thing is told from one feature of K reviews: accuracy, its interval, chance, and the users."""

    what: str
    feature: str
    k: int
    accuracy: float
    low: float
    high: float
    chance: float
    users: int


def texts(corpus: Corpus, samples: Sequence[Sample]) -> list[str]:
    """Every text whose vector the probe needs."""
    reviews = [review for sample in samples for review in sample.history]
    own = {review.text: None for review in reviews}
    return list(own | {peer.text: None for review in reviews for peer in corpus.peers(review)})


def users(corpus: Corpus, *, ks: Sequence[int], what: str, n: int | None, seed: int) -> list[Sample]:
    """The test samples of the users that are probed; for identity `n` of a category. Raises UserError for too few."""
    if what not in ("habits", "identity"):
        raise unknown("target of a probe", what, ("habits", "identity"))
    if what == "habits" and not corpus.is_world:
        raise UserError(f"data '{corpus.name}' has no planted habits; probe --target identity, which any data has")
    least = max(ks) * (2 if what == "identity" else 1)
    found: dict[tuple[str, str], Sample] = {}
    for sample in corpus.samples("test"):
        if len(sample.history) >= least:
            found.setdefault((sample.category, sample.user_id), sample)
    by_category: dict[str, list[Sample]] = {}
    for sample in found.values():
        by_category.setdefault(sample.category, []).append(sample)
    some = [one for name in by_category for one in _drawn(by_category[name], n, derive(seed, "probe", name))]
    if len(some) < 2 * FOLDS:
        raise UserError(
            f"data '{corpus.name}': {len(some)} users have the {least} past reviews that K = {max(ks)} needs; lower -k"
        )
    return some


def _drawn(samples: list[Sample], n: int | None, seed: int) -> list[Sample]:
    return samples if n is None or n >= len(samples) else random.Random(seed).sample(samples, n)


def measure(
    corpus: Corpus,
    samples: Sequence[Sample],
    vectors: TextVectors,
    *,
    ks: Sequence[int],
    what: str,
    seed: int,
    say: Callable[[str], None] = lambda line: None,
) -> list[Told]:
    """All accuracies, in the order of the table."""
    rows: list[Told] = []
    tell = _habits if what == "habits" else _identity
    for k in ks:
        say(f"probing K = {k}")
        rows += tell(corpus, samples, vectors, k, seed)
    return sorted(rows, key=lambda row: [one.what for one in rows].index(row.what))


def features(corpus: Corpus, reviews: Sequence[Review], vectors: TextVectors) -> dict[str, Array]:
    """feature -> (d,) or, for both, (2 d,)"""
    import numpy as np

    own = vectors.embed([review.text for review in reviews])
    differences = np.zeros_like(own)
    for place, review in enumerate(reviews):
        if peers := [peer.text for peer in corpus.peers(review) if peer.text.strip()]:
            differences[place] = own[place] - vectors.embed(peers).mean(axis=0)
    his, diff = own.mean(axis=0), differences.mean(axis=0)
    return {"his": his, "diff": diff, "both": np.concatenate((his, diff))}


def _habits(corpus: Corpus, samples: Sequence[Sample], vectors: TextVectors, k: int, seed: int) -> Iterator[Told]:
    import numpy as np
    from sklearn.model_selection import KFold

    made = [features(corpus, sample.history[:k], vectors) for sample in samples]
    truths = [corpus.truth(sample) for sample in samples]
    for habit in HABITS:
        values = np.array([(truth.habits[habit] if truth else None) or NONE for truth in truths])
        for feature in FEATURES:
            x = np.stack([one[feature] for one in made])
            right = np.zeros(len(x))
            for train, test in KFold(FOLDS, shuffle=True, random_state=seed).split(x):
                right[test] = _told(x[train], values[train], x[test]) == values[test]
            yield _row(habit, feature, k, right, Counter(values.tolist()))


def _identity(corpus: Corpus, samples: Sequence[Sample], vectors: TextVectors, k: int, seed: int) -> Iterator[Told]:
    import numpy as np

    for category in dict.fromkeys(sample.category for sample in samples):
        own = [sample for sample in samples if sample.category == category]
        if len(own) < 2:
            continue
        newest = [features(corpus, sample.history[:k], vectors) for sample in own]
        older = [
            (sample.user_id, features(corpus, sample.history[start : start + k], vectors))
            for sample in own
            for start in range(k, min(len(sample.history), (MOST_GROUPS + 1) * k) - k + 1, k)
        ]
        whose = np.array([user for user, _ in older])
        names = np.array([sample.user_id for sample in own])
        for feature in FEATURES:
            train = np.stack([one[feature] for _, one in older])
            test = np.stack([one[feature] for one in newest])
            right = (_told(train, whose, test) == names).astype(float)
            yield _row(f"{category}, 1 of {len(own)}", feature, k, right, Counter(names.tolist()))


def _told(train: Array, values: Array, test: Array) -> Array:
    """The values that the probe tells for `test`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    if len(set(values.tolist())) == 1:
        return values[:1].repeat(len(test))
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are many values, which is the point of identity
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)).fit(train, values)
        told: Array = model.predict(test)
    return told


def _row(what: str, feature: str, k: int, right: Array, counts: Mapping[str, int]) -> Told:
    n = len(right)
    low, high = inference.interval((inference.counts(n) @ right) / n, n).tolist()
    return Told(what, feature, k, float(right.mean()), low, high, max(counts.values()) / n, n)


def show(console: Console, title: str, rows: Sequence[Told]) -> None:
    from rich.markup import escape

    grid = grids.grid(title, 2, heads(rows))
    for number, cells in enumerate(table(rows), 1):
        grid.add_row(*map(escape, cells), end_section=number % len(FEATURES) == 0)
    grids.show(console, grid)
    console.print(NOTE, style="dim")


NOTE = (
    "Accuracy of a linear probe over users, ± half the width of the 95 % interval (bootstrap over users). his: mean "
    "vector of the newest K reviews; diff: of their differences to others' reviews of the same items; both: the two."
)


def heads(rows: Sequence[Told]) -> list[str]:
    return ["told", "from", *(f"K = {k}" for k in dict.fromkeys(row.k for row in rows)), "chance", "n"]


def table(rows: Sequence[Told]) -> list[list[str]]:
    """A line for each thing that is told and each feature. What is told stands in the first of its lines."""
    lines = []
    for what in dict.fromkeys(row.what for row in rows):
        for number, feature in enumerate(FEATURES):
            own = [row for row in rows if (row.what, row.feature) == (what, feature)]
            shown = [f"{one.accuracy:.2f} ±{(one.high - one.low) / 2:.2f}" for one in own]
            last = [f"{own[0].chance:.2f}", str(own[0].users)] if not number else ["", ""]
            lines.append([what if not number else "", feature, *shown, *last])
    return lines


def as_json(title: str, rows: Sequence[Told]) -> dict[str, Any]:
    return {"title": title, "rows": [asdict(row) for row in rows]}
