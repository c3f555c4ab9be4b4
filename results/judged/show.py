"""The table of `bench judge`, with what calibrates the judge under it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean, median
from typing import TYPE_CHECKING

from bench.record.judged import Judgement, Pair
from results.statistics import inference, judged
from results.statistics.judged import Calibration, Line
from results.tables import calibrated, grids, significance

if TYPE_CHECKING:
    from rich.console import Console

HEADS = ("win rate", "95 % interval", "p", "won-tied-lost", "unread", "users")
READ = (
    "Win rate of A: (won + tied / 2) / (won + tied + lost). Each pair is asked in both orders; orders that disagree "
    "are a tie. Intervals: bootstrap over users ({draws:,} draws), Wilson's where all users agree. p: sign flips over "
    "users, against 0.5, Holm-corrected over the {lines} lines. {better} A wins more often, {worse} less often (5 %)."
)
NOT_SHOWN = (
    "Not shown by a win rate: that either text is close to the user, and that people would choose as this judge does."
)


def show(console: Console, judgement: Judgement) -> None:
    from rich.markup import escape

    about, found = judgement.about, judged.lines(judgement.pairs)
    calibration = judged.calibration(judgement)
    good = calibration is not None and calibration.good
    grid = grids.grid(f"{about.a}  against  {about.b}, judged by {about.judge}", 1, ["Category", *HEADS])
    for line in found:
        grid.add_row(escape(line.category), *cells(line, good=good))
    grids.show(console, grid)
    for note in notes(judgement, found, calibration):
        console.print(note, style="dim", markup=False)


def cells(line: Line, *, good: bool) -> list[str]:
    counts = f"{line.wins}-{line.ties}-{line.losses}"
    if (share := line.share) is None:
        return ["-", "-", "-", counts, str(line.unread), "0"]
    marks = f"{_dagger(line)}{'' if good else calibrated.MARK}"
    value, interval = f"{share.value:.2f} {marks}".rstrip(), f"{share.low:.2f} to {share.high:.2f}"
    return [value, interval, f"{line.p:.4f}", counts, str(line.unread), str(share.users)]


def _dagger(line: Line) -> str:
    if line.share is None or not line.p <= inference.LEVEL:
        return ""
    return significance.BETTER if line.share.value > 0.5 else significance.WORSE


def notes(judgement: Judgement, found: Sequence[Line], calibration: Calibration | None) -> Iterator[str]:
    """What stands under the table."""
    about = judgement.about
    yield f"Data: {about.data}. Judge: {about.judge}, {about.version}."
    yield READ.format(draws=inference.DRAWS, lines=len(found), better=significance.BETTER, worse=significance.WORSE)
    yield from _of_pairs(judgement.pairs)
    yield from calibrated.said(about.judge, calibration)
    yield NOT_SHOWN


def _of_pairs(pairs: Sequence[Pair]) -> Iterator[str]:
    asked = [one for one in pairs if one.settled == "asked"]
    empty, same = (sum(one.settled == why for one in pairs) for why in ("empty", "same"))
    if asked:
        answers = [choice for one in asked for choice in one.choices]
        disagree, flips = sum(map(judged.disagree, asked)), sum(map(judged.flipped, asked))
        unread = sum(one.score is None for one in asked)
        yield (
            f"{len(asked)} pairs asked: {unread} unread, in no win rate ({answers.count(None)} of {len(answers)} "
            f"answers are not A, B or tie); {disagree} ties because the orders disagree, {flips} of them by place."
        )
        yield _shown(asked)
    if empty or same:
        yield (
            f"Decided without a question: {empty} pairs with an empty text, which loses (two empty ones tie), and "
            f"{same} with equal texts, which tie."
        )


def _shown(asked: Sequence[Pair]) -> str:
    both = [one.words[0] / one.words[1] for one in asked if one.words[1]]
    length = f"; A has {median(both):.2f} times the words of B (median)" if both else ""
    return (
        f"The judge saw {fmean(one.reviews for one in asked):.1f} of the user's real reviews (mean), and "
        f"{sum(one.shortened for one in asked)} pairs with a text cut{length}."
    )
