"""How good a judge is, in words: under the table of `bench judge`, and under tables of metrics that ask a model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.errors import UserError
from bench.record import judged as kept
from bench.record.judged import Judgement
from results.statistics import judged
from results.statistics.judged import Calibration
from results.tables.finished_runs import FinishedRun, Summary

MARK = "?"  # beside the win rates of a judge that is not shown to tell users apart
ASKING = ("judge", "aspects")  # metrics whose values are a judge's
NOTHING = "no user has a peer's review of the same item to compare, or --pairs is 0"


def said(judge: str, found: Calibration | None) -> Iterator[str]:
    """The calibration, and a line with the mark where it is not good enough."""
    if found is not None and found.accuracy is not None and found.length is not None:
        accuracy, length = found.accuracy, found.length
        yield (
            f"Calibrated on {found.n} pairs with known answers, this user's real review against a peer's of the same "
            f"item (ratings within 1 in {found.near}): accuracy {accuracy.value:.2f} ({accuracy.low:.2f} to "
            f"{accuracy.high:.2f}; ties count half, chance is 0.5), kappa between the two orders "
            f"{_number(found.kappa)}, flip rate {found.flips:.2f} (one place wins in both orders), first place chosen "
            f"{found.first:.2f}, slope on length {length.value:+.2f}{_ends(length.low, length.high)} log odds per "
            f"doubling of the words, unread {found.unread}."
        )
    if found is None or not found.good:
        yield (
            f"{MARK} {judge} is not shown to tell this user's text from a peer's: {_why(found)}. Its choices say what "
            "it prefers, and nothing about the user."
        )


def _why(found: Calibration | None) -> str:
    if found is None:
        return f"it was calibrated on nothing, as {NOTHING}"
    if found.accuracy is None:
        return f"none of its answers on {found.n} pairs with known answers could be read"
    if found.unread > judged.UNREAD * found.n:
        return f"{found.unread} of {found.n} pairs with known answers are unread, more than {100 * judged.UNREAD:.0f} %"
    return f"the lower end of its accuracy, {found.accuracy.low:.2f}, is below {judged.LEAST:.2f}"


def _ends(low: float, high: float) -> str:
    return f" ({low:+.2f} to {high:+.2f})" if math.isfinite(low) else ""


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "-"


def of_runs(rows: Mapping[str, Sequence[FinishedRun]], shared: Summary) -> Iterator[str]:
    """For tables of metrics that ask a model: what `bench judge` found of this judge on this data, if it is kept."""
    versions = [text for name in ASKING for text in shared["metric_versions"].get(name, {}).values()]
    if not versions:
        return
    data = f"{shared['data']['title']} ({shared['data']['split']} split)"
    places = dict.fromkeys(run.folder.path.parent for runs in rows.values() for run in runs)
    found = {
        one.about.judge: one
        for place in places
        for one in _kept(place)
        if one.about.data == data and any(f" by {one.about.judge}, " in text for text in versions)
    }
    for judge, judgement in found.items():
        yield f"{judge}, asked for pairs by `bench judge`: {' '.join(said(judge, judged.calibration(judgement)))}"
    if any(not any(f" by {judge}, " in text for judge in found) for text in versions):
        yield (
            "Scores of a judge that is not calibrated here: `bench judge A --against B` says how well it tells this "
            "user's text from a peer's."
        )


def _kept(place: Path) -> Iterator[Judgement]:
    """The judgements beside these runs, the best calibrated last. One that cannot be read tells nothing."""
    found = []
    for path in sorted((place / kept.FOLDER).glob("*.jsonl")):
        try:
            found.append(kept.read(path))
        except UserError:
            continue
    yield from sorted(found, key=lambda one: len(one.known))
