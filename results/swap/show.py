"""A swap as a table with its words: for the terminal, as Markdown and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.record import runs
from results.statistics import inference
from results.statistics.resampling import Difference, Estimate
from results.swap.differences import Gain, Swap
from results.tables import compare, grids
from results.tables.compare import Line
from results.tables.formats import markdown
from results.tables.notes import SYNTHETIC

if TYPE_CHECKING:
    from rich.console import Console

TITLE = "Own history minus another user's"
HEADS = (
    "Method", "History", "Category", "Metric",
    "own", "other's", "difference", "95 % interval", "p", "p (Holm)", "", "n", "users",
)  # fmt: skip
LEFT = 4  # columns of words
MEANING = (
    "What survives the swap is register, not person: another user's history gives it too. What is lost hangs on whose "
    "history is shown; that a reader would know the user by it is not shown here. A difference without a dagger is not "
    "shown to be 0."
)


def terminal(console: Console, swaps: Sequence[Swap]) -> None:
    from rich.markup import escape

    grid = grids.grid(TITLE, LEFT, list(HEADS))
    for row in _rows(swaps):
        grid.add_row(*map(escape, row))
    grids.show(console, grid)
    for said in words(swaps):
        console.print(said, markup=False)
    for note in notes(swaps):
        console.print(note, style="dim", markup=False)


def as_markdown(swaps: Sequence[Swap]) -> str:
    rows = [list(map(markdown.text, row)) for row in _rows(swaps)]
    return markdown.table(TITLE, HEADS, rows, [*words(swaps), *notes(swaps)])


def as_json(swaps: Sequence[Swap]) -> str:
    """Full precision; null where there is no value."""
    made = [
        {
            "label": one.label,
            "history": one.history,
            "seeds": list(one.seeds),
            "failed": dict(zip(("own", "swapped"), one.failed, strict=True)),
            "same_texts": one.same,
            "lines": list(map(_line, one.lines)),
            "gains": list(map(_gain, one.gains)),
        }
        for one in swaps
    ]
    return runs.dump({"swaps": made, "words": words(swaps), "notes": notes(swaps)}, indent=2) + "\n"


def _rows(swaps: Sequence[Swap]) -> Iterator[list[str]]:
    for one in swaps:
        for line in one.lines:
            yield [one.label, one.history, line.category, line.column.label, *compare.numbers(line)]


def _line(line: Line) -> dict[str, Any]:
    return {
        "category": line.category,
        "column": line.column.key,
        "own": line.a.value,
        "swapped": line.b.value,
        **{key: _finite(value) for key, value in asdict(line.difference).items() if key != "value"},
        "difference": line.difference.value,
        "p_holm": _finite(line.p),
        "significance": line.significance,
        "n": line.a.n,
        "users": line.a.users,
    }


def _gain(gain: Gain) -> dict[str, Any]:
    def of(one: Difference | Estimate) -> dict[str, float | None]:
        return {key: _finite(getattr(one, key)) for key in ("value", "low", "high")}

    survives = gain.survives and of(gain.survives)
    about = {"category": gain.category, "column": gain.column.key}
    return {**about, "own": of(gain.own), "swapped": of(gain.swapped), "survives": survives}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


# ---------------------------------------------------------------- words


def words(swaps: Sequence[Swap]) -> list[str]:
    """What each gain over Non-Perso is worth, over all categories; why nothing can be said where that is so."""
    found = [said for one in swaps for said in _words(one)]
    return [*found, MEANING] if found else [MEANING]


def _words(swap: Swap) -> Iterator[str]:
    who = f"{swap.label}, {swap.history}"
    if swap.texts and swap.same == swap.texts:
        yield f"{who}: all {swap.texts} texts are the same with both histories: the method reads no history."
    elif not swap.gains:
        yield (
            f"{who}: no Non-Perso in the same table, so the share of a gain that survives is not known; "
            "`bench run --method nonperso` with the same options adds it."
        )
    for gain in swap.gains:
        if gain.category == swap.whole and gain.column.higher_is_better is not None:
            yield f"{who}, {gain.column.label}: {_worth(gain, swap.history)}"


def _worth(gain: Gain, history: str) -> str:
    digits, share = gain.column.digits, gain.survives
    over = f"the gain over Non-Perso is {gain.own.value:+.{digits}f}"
    if share is None or not math.isfinite(share.low):
        if _is_worse(gain):
            return f"{over} {_interval(gain.own, digits)}: there is no gain that could be the person's or a register's."
        return f"{over} {_interval(gain.own, digits)}, which is not certain, so nothing can be said of what survives."
    low, high = 100 * share.low, 100 * share.high
    part = f"{100 * share.value:.0f} % of it survives the swap (95 % interval {low:.0f} to {high:.0f} %)"
    other = f"{gain.swapped.value:+.{digits}f} with {history} ones"
    return f"{over} with the own history and {other}: {part}{_so(share, history)}."


def _is_worse(gain: Gain) -> bool:
    """Whether the row is worse than Non-Perso by its value, so that nothing is gained."""
    return gain.own.value != 0 and (gain.own.value > 0) is not bool(gain.column.higher_is_better)


def _interval(one: Difference, digits: int) -> str:
    if not math.isfinite(one.low):
        return "without an interval"
    return f"(95 % interval {one.low:+.{digits}f} to {one.high:+.{digits}f})"


def _so(share: Estimate, history: str) -> str:
    """What the interval decides. What a similar user's history gives may be habits that both have."""
    kind = "register, or shared with the most similar user" if history == "similar" else "register, not person"
    if share.low > 0:
        return f": part of it is {kind}" if share.high < 1 else f": it may all be {kind}"
    return f": no part of it is shown to be {kind}" if share.high < 1 else ": nothing is decided"


def notes(swaps: Sequence[Swap]) -> list[str]:
    lines = sum(compare.tested(one.lines) for one in swaps)
    failed = [sum(one.failed[side] for one in swaps) for side in (0, 1)]
    seeds = sorted({seed for one in swaps for seed in one.seeds})
    return [
        *([SYNTHETIC] if any(one.synthetic for one in swaps) else []),
        f"Paired by sample. Intervals: bootstrap over users ({inference.DRAWS:,} draws). p: t-test over users, "
        f"Holm-corrected over the {lines} lines of columns with a direction. † own is better, ‡ own is worse, level "
        "5 %.",
        f"Seeds {', '.join(map(str, seeds))}. Failed samples (they score 0): {failed[0]} with own histories, "
        f"{failed[1]} with others'.",
    ]
