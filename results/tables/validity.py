"""`bench validity`: whether scorers of authorship tell users by their real reviews, before they judge generated ones.

For each scorer: identification (metrics/identify.py) of the real texts of the test samples, all of them and by length.
A scorer is fit where the lower end of the 95 % interval of its AUC is above LEAST; chance is 0.5. Tables leave out the
columns of identification by an unfit scorer, and say so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from metrics.authorship.choice import LABELS
from metrics.identify import COLUMNS, Identify
from results.statistics import inference, resampling
from results.tables import grids

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.console import Console

    from bench.score.score_arrays import ScoreArrays
    from bench.types import UserTarget
    from results.statistics.resampling import Estimate
    from results.tables.finished_runs import FinishedRun
    from results.tables.leaderboard import Leaderboard

    Array = NDArray[Any]

LEAST = 0.55
GROUPS = 3  # by length, of about the same size
ALL = "all"


@dataclass(frozen=True)
class Valid:
    """A scorer on the real texts of one category, of `words` words: values with 95 % intervals over users.

    `floor`: the AUC of other users' real texts of the same items, NaN where there are none.
    """

    category: str
    scorer: str
    words: str
    auc: float
    auc_low: float
    auc_high: float
    top1: float
    top1_low: float
    top1_high: float
    floor: float
    floor_low: float
    floor_high: float
    n: int
    users: int

    @property
    def fit(self) -> bool:
        return self.auc_low > LEAST


def measure(
    metric: Identify, targets: Sequence[UserTarget], *, say: Callable[[str], None] = lambda line: None
) -> tuple[list[Valid], int]:
    """(The lines of the table, how many samples nobody can be told from)."""
    found: list[Valid] = []
    nobody = 0
    for name in metric.chosen.names:
        say(f"scorer {name} on {len(targets):,} real texts")
        one = replace(metric, scorers="" if name == "model" else name, model=metric.model if name == "model" else "")
        one.chosen.encoders = metric.chosen.encoders
        rows = one.score([target.reference for target in targets], targets)
        told = [(target, row) for target, row in zip(targets, rows, strict=True) if row["candidates"]]
        nobody = len(targets) - len(told)
        for category in dict.fromkeys(target.sample.category for target, _ in told):
            found += _lines(category, name, [pair for pair in told if pair[0].sample.category == category])
    return sorted(found, key=lambda line: line.category), nobody


def _lines(category: str, name: str, told: Sequence[tuple[UserTarget, Mapping[str, Any]]]) -> Iterator[Valid]:
    import numpy as np

    words = np.array([len(target.reference.split()) for target, _ in told])
    users = np.unique([target.sample.user_id for target, _ in told], return_inverse=True)[1]
    keys = [COLUMNS.key(name, *one) for one in (("auc",), ("top1",), ("auc", "_floor"))]
    values = np.array([[row[key] for key in keys] for _, row in told], np.float64)
    cuts = np.quantile(words, np.arange(1, GROUPS) / GROUPS)
    group = np.searchsorted(cuts, words)
    for number in (None, *range(GROUPS)):
        mask = np.ones(len(words), bool) if number is None else group == number
        if mask.any():
            label = ALL if number is None else f"{words[mask].min()}-{words[mask].max()}"
            auc, top1, floor = (_mean(column, users[mask]) for column in values[mask].T)
            yield Valid(
                category, name, label, *auc, *top1, *floor, n=int(mask.sum()), users=len(np.unique(users[mask]))
            )


def _mean(values: Array, users: Array) -> tuple[float, float, float]:
    """(mean, low, high) over the values that there are, resampled over users."""
    import numpy as np

    known = ~np.isnan(values)
    if not known.any():
        return (math.nan,) * 3
    places = np.unique(users[known], return_inverse=True)[1]
    sums = np.stack([np.bincount(places, values[known]), np.bincount(places)], axis=1)
    drawn = inference.counts(len(sums)) @ sums
    low, high = inference.interval(drawn[:, 0] / drawn[:, 1], len(sums))
    return float(values[known].mean()), float(low), float(high)


def show(console: Console, title: str, lines: Sequence[Valid], *, nobody: int, candidates: int) -> None:
    from rich.markup import escape

    grid = grids.grid(title, 2, ["category", "scorer", "words", "AUC", "top-1", "another's", "n", ""])
    for line, after in zip(lines, (*lines[1:], None), strict=True):
        whole = line.words == ALL
        last = after is None or after.words == ALL
        grid.add_row(*map(escape, _cells(line, whole)), end_section=last)
    grids.show(console, grid)
    console.print(NOTE.format(candidates=candidates, chance=1 / candidates, least=LEAST), style="dim")
    if nobody:
        console.print(f"{nobody} samples are in no line: without past reviews or other users.", style="dim")


NOTE = (
    "Real texts of the test samples: which of {candidates} users of the category wrote them? ± half the width of the "
    "95 % interval (bootstrap over users). Chance: AUC 0.5, top-1 {chance:.2g}. another's: the AUC of another user's "
    "real text, of the same item where there is one. fit: the interval of the AUC is above {least}. Users are told by "
    "how they write and by what they write of; nothing here says which."
)


def _cells(line: Valid, whole: bool) -> list[str]:
    values = [
        "-" if math.isnan(value) else f"{value:.3f}" if math.isnan(low) else f"{value:.3f} ±{(high - low) / 2:.3f}"
        for value, low, high in (
            (line.auc, line.auc_low, line.auc_high),
            (line.top1, line.top1_low, line.top1_high),
            (line.floor, line.floor_low, line.floor_high),
        )
    ]
    fit = "fit" if line.fit else "not fit"
    head = [line.category, LABELS[line.scorer]] if whole else ["", ""]
    return [*head, line.words, *values, str(line.n), fit if whole else ""]


def as_json(title: str, lines: Sequence[Valid], *, nobody: int) -> dict[str, Any]:
    return {
        "title": title,
        "least": LEAST,
        "without": nobody,
        "rows": [{**{key: _known(value) for key, value in asdict(one).items()}, "fit": one.fit} for one in lines],
    }


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


# ---------------------------------------------------------------- in tables


def checked(
    board: Leaderboard, runs: Sequence[Sequence[FinishedRun]], *, named: Sequence[str], every: bool
) -> Leaderboard:
    """The board with what real texts have, and without the columns of scorers that are fit in no category of it.

    They stay where `every` column is asked for, where one of them is `named`, and where they are the only ones. Boards
    without scores of samples stay as they are.
    """
    shown = [name for name in LABELS if any(_is_of(column.key, name) for column in board.columns)]
    if not shown:
        return board  # before any scores are read
    scores = [run.scores for seeds in runs for run in seeds if run.scores and "identify" in run.scores.places][:1]
    columns, notes = board.columns, list(board.notes)
    for name in shown if scores else ():
        real = _of_real_texts(scores[0], name)
        notes += [REAL.format(name=LABELS[name], of=_listed(real))] if real else []
        unfit = [label for label, (ceiling, _) in real.items() if ceiling.low <= LEAST]
        if unfit:
            rest = tuple(one for one in columns if not _is_of(one.key, name))
            stays = every or not rest or len(unfit) < len(real) or any(_is_of(key, name) for key in named)
            columns = columns if stays else rest
            out = "" if stays else LEFT_OUT
            notes.append(UNFIT.format(name=LABELS[name], where=", ".join(unfit), least=LEAST, out=out))
    return replace(board, columns=columns, notes=tuple(notes))


REAL = "Real texts, identified by {name}: the user's own (ceiling) and another user's (floor) have AUC {of}."
UNFIT = (
    "{name} is not shown to tell users in {where}: with these users the ceiling is not certainly above {least} "
    "(`bench validity` asks all users of the data). Read nothing from its values there{out}."
)
LEFT_OUT = ", and its columns are left out; --all shows them"


def _of_real_texts(scores: ScoreArrays, name: str) -> dict[str, tuple[Estimate, Estimate | None]]:
    """category -> ceiling and floor. The first run's: others differ where a method copied a whole review."""
    masks = {label: scores.category == place for place, label in enumerate(scores.categories)}
    top, floor = (COLUMNS.key(name, "auc", kind) for kind in ("_ceiling", "_floor"))
    found = resampling.estimate([[scores]], masks, [top, floor])
    return {label: (found[0, label, top], found.get((0, label, floor))) for label in masks if (0, label, top) in found}


def _listed(real: Mapping[str, tuple[Estimate, Estimate | None]]) -> str:
    return ", ".join(
        f"{label} {top.value:.3f}{_ends(top)} and {'-' if floor is None else f'{floor.value:.3f}'}"
        for label, (top, floor) in real.items()
    )


def _ends(one: Estimate) -> str:
    return f" [{one.low:.3f}, {one.high:.3f}]" if math.isfinite(one.low) else ""


def _is_of(key: str, scorer: str) -> bool:
    return key.startswith(f"{COLUMNS.metric}_{scorer}_")
