"""How the commands print to stdout and stderr."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bench.console.terminal import inert

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from bench.console.meter import Meter
    from bench.record.runs import RunFolder
    from bench.suite.suite import Suite
    from results.tables.finished_runs import FinishedRun
    from results.tables.leaderboard import Leaderboard

T = TypeVar("T")

MOST_LETTERS = 200  # of a sample's failure that are shown
TRUNCATED = 0.05  # share of a run's answers that may end at their limit of new tokens without a warning
MOST_RUNS = 3  # that a warning names


def to_stderr(message: str) -> None:
    print(inert(message), file=sys.stderr, flush=True)


@contextmanager
def working(what: str) -> Iterator[Meter]:
    """Says on stderr what a command is busy with, if that takes over two seconds. Print results after it."""
    from bench.console.meter import Meter

    with Meter(shown=True) as meter:
        meter.start(what)
        yield meter


def one_by_one(items: Iterable[T], what: str) -> Iterator[T]:
    """The items as they are made, each of them `working`: what is printed between them meets no bar."""
    made = iter(items)
    while True:
        with working(what):
            found = list(islice(made, 1))
        if not found:
            return
        yield found[0]


def tell_failures(folders: list[RunFolder], again: str) -> bool:
    """Says in one line how many samples of these finished runs failed, the most common reason, and where to look.

    Returns whether any failed.
    """
    from collections import Counter

    from bench.record import runs

    reasons: dict[Path, Counter[str]] = {
        folder.path: Counter(row["error"] for row in folder.rows(runs.SAMPLES) if row["error"] is not None)
        for folder in folders
        if folder.summary()["failed"]
    }
    failed = sum(sum(found.values()) for found in reasons.values())
    if not failed:
        return False
    (reason, count), *_ = sum(reasons.values(), Counter[str]()).most_common(1)
    worst = max(reasons, key=lambda path: sum(reasons[path].values()))
    first = (reason.splitlines() or [reason])[0][:MOST_LETTERS]
    to_stderr(
        f"{failed} samples failed; {count} of them: {first}; "
        f"`bench show {shlex.quote(str(worst))}` lists them, `bench {again}` tries again"
    )
    return True


def tell_truncated(summaries: Iterable[Mapping[str, Any]]) -> None:
    """Warns in one line of runs in which more than `TRUNCATED` of the answers ended at their limit of new tokens."""
    from bench.score import lengths
    from bench.types import StageCost

    truncated = []
    cut: list[tuple[float, str, int]] = []
    for summary in summaries:
        total = StageCost()
        for cost in summary["stages"].values():
            total.add(StageCost(**cost))
        if (share := total.truncated or 0.0) > TRUNCATED:
            said = f"{summary['run']} {100 * share:.0f} % ({total.capped} of {total.requests})"
            cut.append((share, said, summary["sampling"]["max_new_tokens"]))
            truncated.append(summary)
    if cut:
        worst = sorted(cut, reverse=True)
        more = f" and {len(cut) - MOST_RUNS} more runs" if len(cut) > MOST_RUNS else ""
        references, tokens = lengths.said(truncated)
        limit = max(limit for *_, limit in cut)
        to_stderr(
            f"warning: answers were cut off at their limit of new tokens: "
            f"{', '.join(said for _, said, _ in worst[:MOST_RUNS])}{more}"
            f"{f'; {references}' if references else ''}; {_longer(limit, tokens)}"
        )


def _longer(limit: int, tokens: float | None) -> str:
    """What to do about cut answers. `tokens`: what the references would need; None where that is not known."""
    from bench.score import lengths

    if tokens is not None and tokens <= limit:
        return f"the limit of {limit} holds these: cut are answers longer than users write, or stages before the last"
    value = "N" if tokens is None else lengths.limit(tokens)
    return f"--set max_new_tokens={value} allows longer ones, where the method sets no limit of its own"


def console() -> Console:
    """A console on stdout. A file or pipe gets wide lines, so that no table is cut."""
    from rich.console import Console

    class Inert(Console):
        """Makes every printed string harmless: all pass here, cells of tables too."""

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(inert(text), **options)

    wide = None if sys.stdout.isatty() else 400
    return Inert(width=wide, highlight=False, soft_wrap=not sys.stdout.isatty())


def print_boards(boards: list[Leaderboard], *, costs: bool = False) -> None:
    from results.tables.formats import shared
    from results.tables.formats.terminal import terminal

    out = console()
    for board in boards:
        out.print(terminal(board, costs=costs, width=out.width if out.is_terminal else None))
        for note in shared.notes(board, costs=costs, styled=out.is_terminal):
            out.print(note, style="dim", markup=False)
        out.print()


def print_claims(suite: Suite | None, found: list[FinishedRun]) -> None:
    """What the suite says must come out, tested on these runs."""
    if suite is not None and suite.claims:
        from results.tables import claims

        claims.show(console(), claims.check(suite, found))
