"""Which runs and rows of an output folder the words of a command mean: run folders, methods, rows of tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.errors import UserError, full, unknown
from bench.record import runs
from bench.record.runs import RunFolder
from bench.score.written import read_config
from results.tables import find_row, finished_runs, run_settings, scored
from results.tables.assemble import leaderboards
from results.tables.finished_runs import FinishedRun
from results.tables.leaderboard import Row

Named = tuple[str, list[FinishedRun]]  # the label of a row and its seeds; or a run's name and the run
Among = Callable[[FinishedRun], bool]

CHOICES = 4  # that an unclear name is said to stand for


def folders(place: Path, out: Path) -> list[RunFolder]:
    """The runs of a path, a run's name in `out`, a method or a row: all that it has, finished or not; [] for none."""
    path = runs.named(place, out)
    if path.exists():
        return runs.find(path)
    if found := runs.of_method(str(place), out):
        return found
    known = rows(out) if any(folder.done for folder in runs.find(out)) else []
    return [run.folder for number in find_row.meant([row for row, _ in known], str(place)) for run in known[number][1]]


def folder(place: Path, out: Path) -> Path:
    """The one run that is meant; `place` itself where none is, or where it is a folder without runs of its own.

    Raises UserError that names the runs where `place` is a method or row of several.
    """
    path = runs.named(place, out)
    if path.exists():
        return path
    found = [one.path for one in folders(place, out)]
    if len(found) > 1:
        raise UserError(
            f"'{place}' has {len(found)} runs in {out}: {_few([one.name for one in found])}; name one of them"
        )
    return found[0] if found else path


def find(name: str, out: Path, *, among: Among = lambda run: True) -> Named:
    """The one row or run that `name` means (`meant`). Raises UserError for none and for several."""
    found = meant(name, out, among=among)
    if len(found) > 1:
        raise _several(name, found, out)
    return found[0]


def pair(a: str, b: str, out: Path, *, data: str = "") -> tuple[Named, Named]:
    """A and B. Of several rows that they may mean, the only two of one table; else the only two of the same samples.

    `data` is the name or folder of a dataset: only its rows are looked at. Raises UserError for none and for several.
    """
    among = _of_data(data, out) if data else lambda run: True
    ours, theirs = meant(a, out, among=among), meant(b, out, among=among)
    if len(ours) == len(theirs) == 1:
        return ours[0], theirs[0]
    every = [(one, other) for one in ours for other in theirs if one != other]
    same = [pair for pair in every if _data(pair[0]) == _data(pair[1])]
    found = [pair for pair in same if _of_one_table(*pair)] or same
    if not found:
        raise UserError(
            f"no row of {out} that '{a}' means has the samples of one that '{b}' means; run both on the same"
        )
    if len(found) == 1:
        return found[0]
    if len(theirs) == 1:
        raise _several(a, [one for one, _ in found], out)
    if len(ours) == 1:
        raise _several(b, [other for _, other in found], out)
    listed = _few([f"{_typed(one)} {_typed(other)} ({one[0]})" for one, other in found])
    raise UserError(
        f"'{a}' and '{b}' match {len(found)} pairs of rows of {out}: {listed}; give two of these names, or --data NAME"
    )


def meant(name: str, out: Path, *, among: Among = lambda run: True) -> list[Named]:
    """The rows that a name may mean, with their seeds; a run folder's path or its name in `out` is that run alone.

    Else it is a row of the runs of `out` (`find_row`), or the start of a run's name. Only rows `among` are looked at.
    Raises UserError where none is meant.
    """
    for place in (Path(name), out / name):
        if (place / runs.CONFIG).is_file():
            return [_alone(place)]
    known = [row for row in rows(out) if among(row[1][0])]
    labelled = [row for row, _ in known]
    if numbers := find_row.meant(labelled, name):
        return [(labelled[number].label, known[number][1]) for number in numbers]
    if (place := runs.named(Path(name), out)) != Path(name):
        return [_alone(place)]
    raise unknown("run or row", name, {word for row in labelled for word in (row.method, row.label)})


def rows(out: Path) -> list[tuple[Row, list[FinishedRun]]]:
    """The rows of all tables of `out` with their seeds. A label also says how its table differs from the others."""
    found = finished_runs.find_finished([out])
    groups = finished_runs.comparable(found)
    seeds = [row for group in groups for row in finished_runs.by_row(finished_runs.newest(group))]
    boards = leaderboards(found, intervals=False)
    labelled = [
        row if row.imported else replace(row, label=" · ".join([row.label, *distinctions]))
        for board, distinctions in zip(boards, run_settings.all_distinctions(groups), strict=True)
        for row in board.rows
    ]
    pairs = {tuple(run.folder.path for run in found): (row, found) for row, found in zip(labelled, seeds, strict=True)}
    return list(pairs.values())  # an imported run, which may stand in several tables, once


def _alone(place: Path) -> Named:
    return place.name, [FinishedRun(RunFolder(place), RunFolder(place).summary())]


def _of_data(data: str, out: Path) -> Among:
    """Whether a run has this dataset, given by its name, the start of one, or its folder."""
    names = {str(run.summary["data"]["name"]) for run in finished_runs.find_finished([out])}
    name = full("data", data, names)
    if name in names:
        return lambda run: run.summary["data"]["name"] == name
    if Path(data).is_dir():
        return lambda run: read_config(run.folder).data == str(Path(data).resolve())
    raise unknown(f"data of the runs of {out}", data, names)


def _data(side: Named) -> object:
    return side[1][0].summary["data"]


def _of_one_table(a: Named, b: Named) -> bool:
    """Whether both rows stand in one table. What is known of an imported run does not decide that."""
    one, other = a[1][0], b[1][0]
    return (one.imported or other.imported or one.shared == other.shared) and scored.agree([one.summary, other.summary])


def _several(name: str, found: Sequence[Named], out: Path) -> UserError:
    """`'rag' matches 2 rows of runs: data-rag-bm25-1a (RAG · bm25), ...`"""
    listed = _few([_listed(row) for row in found])
    return UserError(f"'{name}' matches {len(found)} rows of {out}: {listed}; give one of these names")


def _listed(row: Named) -> str:
    """`data-rag-bm25-1a (RAG · bm25)`, or the label alone where it is what is typed."""
    return f"{_typed(row)} ({row[0]})" if len(row[1]) == 1 else _typed(row)


def _typed(row: Named) -> str:
    """A name of the row that any keyboard has: its only run, else its label without the dots."""
    label, seeds = row
    return seeds[0].folder.path.name if len(seeds) == 1 else f"'{find_row.ascii_label(label)}'"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - CHOICES} more" if len(names) > CHOICES else ""
    return ", ".join(names[:CHOICES]) + more
