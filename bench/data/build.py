"""Builds a dataset from raw Amazon Reviews 2023 files by DPL's rules (spec, Data), in memory.

Newest first is by timestamp; equal times keep the order of the file. Three things differ from the
released script: it removes duplicate texts anew in every round instead of once before the first, it
breaks ties of time one way when it removes duplicates and the other way when it splits, and it
collapses white space in the review texts only, not in titles and descriptions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from bench.data import store
from bench.data.filters import UserReviews, by_user, core, divide, lacks, unique
from bench.data.raw import Broken, RawReview, read_items, read_reviews
from bench.data.rules import Rules
from bench.data.shelf import add
from bench.errors import UserError
from bench.types import Item


@dataclass(frozen=True, slots=True)
class Step:
    """What was left after one step."""

    step: str
    reviews: int
    users: int
    items: int


@dataclass(frozen=True, slots=True)
class BuildReport:
    """How a dataset came about: what every step left, the samples per split, and what a reader should know."""

    out: Path
    category: str
    fingerprint: str
    steps: tuple[Step, ...]
    samples: dict[str, int]
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Selection:
    """One category's reviews on their way through the filters, and what is said of them."""

    category: str
    rules: Rules
    broken: Broken
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def record(self, step: str, reviews: Iterable[RawReview], *thresholds: str) -> list[RawReview]:
        """The reviews that a step left, counted. Raises UserError where it left none."""
        left = list(reviews)
        self.steps.append(
            Step(step, len(left), len({review.user_id for review in left}), len({review.item_id for review in left}))
        )
        if not left:
            before = self.steps[-2].reviews if len(self.steps) > 1 else 0
            cure = f"loosen {self.rules.shown(*thresholds)}" if thresholds else "check the review files"
            raise UserError(
                f"{self.category}: step '{step}' left none of {before} reviews; {cure} and run `bench data build` again"
            )
        return left


def build(
    *, reviews: Sequence[Path], meta: Sequence[Path], category: str, out: Path, rules: Rules, strict: bool = False
) -> BuildReport:
    """Writes the dataset of one category into `out`, beside the other categories that are there already.

    The same files and rules give the same bytes. Lines that cannot be read are counted and the first ten
    named; with `strict` the first one raises. Raises UserError for a file or folder that cannot be
    used, and for rules that leave nothing, naming the step that emptied it.
    """
    if not category or category != category.strip():
        raise UserError(f"category {category!r}: give it a name, e.g. Digital_Music")
    if not reviews or not meta:
        raise UserError(f"no {'metadata' if reviews else 'review'} file given for {category}; name at least one")
    store.check_writable(out)
    selection = _Selection(category, rules, Broken(strict))
    items = read_items(meta, category, rules, selection.broken)
    users = _select(selection, reviews, items)
    fingerprint, others = add(out, category, users, items, rules=rules, sources=(*reviews, *meta))
    if others:
        selection.notes.append(f"added beside what {out} already held: {', '.join(others)}")
    samples = Counter[str](split for user in users.values() for split in user.splits())
    return BuildReport(out, category, fingerprint, tuple(selection.steps), dict(samples), tuple(selection.notes))


def _select(selection: _Selection, paths: Sequence[Path], items: dict[str, Item]) -> dict[str, UserReviews]:
    rules, record = selection.rules, selection.record
    reviews = _good(selection, record("read", read_reviews(paths, selection.broken)))
    reviews = record(
        "item rules", (r for r in reviews if r.item_id in items), "require", "min_description", "max_description"
    )
    users = {user: unique(own, by_text=rules.dedupe_text) for user, own in by_user(reviews).items()}
    record("one review per item and text" if rules.dedupe_text else "one review per item", chain(*users.values()))
    users = core(users, rules)
    record("core", chain(*users.values()), "min_item_users", "min_user_reviews", "max_user_reviews")
    finished = divide(users, rules)
    everything = (review for user in finished.values() for review in (*user.inputs, *user.profile))
    record("profile", everything, "min_profile_item_users", "min_profile_reviews", "train_inputs")
    return finished


def _good(selection: _Selection, reviews: list[RawReview]) -> list[RawReview]:
    """The reviews that have what the rules ask for; what the others lack becomes a note."""
    timed = any(review.timestamp is not None for review in reviews)
    verdicts = [lacks(review, selection.rules, timed=timed) for review in reviews]
    reasons = Counter(verdict for verdict in verdicts if verdict)
    if selection.broken.count:
        first = "; ".join(selection.broken.first)
        selection.notes.append(f"{selection.broken.count} broken lines left out, first {first}")
    if reasons:
        counted = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        selection.notes.append(f"reviews left out: {counted}")
    if not timed:
        selection.notes.append("no review has a timestamp: newest first is by source_order, else by place in the file")
    good = (review for review, verdict in zip(reviews, verdicts, strict=True) if not verdict)
    return selection.record("review rules", good, "min_chars", "require_review_title")
