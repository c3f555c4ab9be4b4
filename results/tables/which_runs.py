"""Which finished runs a command means: all runs in some folders, or a suite's runs among them.

A suite may be run with other options than its own (`bench grid table1 --profile tiny --limit 6`). Runs with the
suite's own settings are preferred. If there are none, all runs of its cells are taken, and a note says how they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any

from bench import settings
from bench.config import RunConfig, variant
from bench.data import corpus
from bench.errors import UserError
from bench.record import runs
from bench.record.runs import RunFolder
from bench.score.written import read_config
from bench.suite import suite
from bench.suite.suite import Suite
from results.tables import run_settings
from results.tables.finished_runs import FinishedRun, find_finished

Say = Callable[[str], None]


def select(places: Sequence[Path] | None, *, say: Say = lambda text: None) -> tuple[Suite | None, list[FinishedRun]]:
    """The finished runs of `[SUITE] [PLACE ...]`; no place means runs/. Raises UserError where there are none."""
    chosen, rest = suite_of(places)
    found = find_finished(map(runs.named, rest))
    if chosen is None or not chosen.cells:
        return chosen, found
    wanted = suite.keys(chosen)
    kept = [run for run in found if _key(run, own_k=True) in wanted or _key(run, own_k=False) in wanted]
    if not kept:
        raise UserError(
            f"no finished run in {', '.join(map(str, rest))} belongs to suite '{chosen.name}'; "
            f"`bench grid {chosen.name} --out {rest[0]}` makes them"
        )
    return chosen, _with_own_settings(chosen, kept, say)


def unfinished(places: Sequence[Path] | None, shown: Sequence[FinishedRun] = ()) -> list[RunFolder]:
    """The runs of `[SUITE] [PLACE ...]` that are not finished.

    Of a suite those of its cells that have its own settings, or data and settings of a run that is `shown`.
    """
    chosen, rest = suite_of(places)
    found = [folder for place in rest for folder in runs.find(runs.named(place)) if not folder.done]
    if not found or chosen is None or not chosen.cells:
        return found
    parts = [suite.own(part) for part in _parts(chosen)]
    others = [_of_table(read_config(run.folder)) for run in shown]
    return [folder for folder in found if _is_of(folder, parts, others)]


def _is_of(
    folder: RunFolder, parts: Sequence[dict[suite.Key, list[RunConfig]]], shown: Container[dict[str, Any]]
) -> bool:
    """Whether it is a cell of the suite. One whose configuration cannot be read is not known to be."""
    try:
        one = read_config(folder)
        changes, about = variant(one), _of_table(one)
    except UserError:
        return False
    own = [None] if one.retriever and one.k == one.profile.k else []
    keys = [(one.method, one.retriever, changes, k) for k in (one.k, *own)]
    cells = [config for part in parts for key in keys for config in part.get(key, [])]
    return bool(cells) and (about in shown or any(not _differing(one, config) for config in cells))


def _of_table(config: RunConfig) -> dict[str, Any]:
    """The data and settings that the runs of one table share."""
    return {key: value for key, value in _settings(config).items() if not settings.of_row(key)}


def _parts(chosen: Suite) -> list[Suite]:
    """The whole suite, and its quick part where it has one."""
    return [chosen, chosen.quickened()] if chosen.quick else [chosen]


def suite_of(places: Sequence[Path] | None) -> tuple[Suite | None, list[Path]]:
    """The suite, if the first argument names one and is no folder of runs, and the places after it."""
    given = list(places or [])
    first = given[0] if given else None
    names = {name.casefold() for name in suite.suites()}
    if first is not None and (str(first).casefold() in names or first.suffix == ".toml") and not runs.find(first):
        return suite.load(str(first)), given[1:] or [Path("runs")]
    return None, given or [Path("runs")]


def _with_own_settings(chosen: Suite, kept: list[FinishedRun], say: Say) -> list[FinishedRun]:
    """The runs with the suite's own settings; all runs if there are none."""
    parts = [suite.own(part) for part in _parts(chosen)]
    differing = [_differences(run, parts[0]) for run in kept]
    each = [[run for run in kept if not _differences(run, cells)] for cells in parts]
    own = next(filter(None, each), [])  # the whole suite's runs before those of its quick part
    if not own:
        listed = "; ".join(dict.fromkeys(one for differences in differing for one in differences))
        say(f"note: no run has the settings of suite '{chosen.name}': {listed}")
    elif len(own) < len(kept):
        others = len(kept) - len(own)
        say(f"note: {others} runs of suite '{chosen.name}' have other settings than the suite and are left out")
    return own or kept


def _differences(run: FinishedRun, cells: dict[suite.Key, list[RunConfig]]) -> list[str]:
    """How the run's settings differ from its cell of the suite; from the nearest cell if several match."""
    mine = read_config(run.folder)
    configs = [config for own_k in (True, False) for config in cells.get(_key(run, own_k=own_k), [])]
    each = [_differing(mine, config) for config in configs]
    return min(each, key=len, default=[])


def _differing(ours: RunConfig, theirs: RunConfig) -> list[str]:
    """Without the values that were chosen for a machine: the runs may be of another one than this."""
    fitted = {*ours.profile.fitted, *theirs.profile.fitted}
    known = [{key: value for key, value in _settings(one).items() if key not in fitted} for one in (ours, theirs)]
    return run_settings.differences(*known, complete=True)


def _settings(config: RunConfig) -> dict[str, Any]:
    """What a suite and the command line set besides the cell."""
    return {
        "data": corpus.resolve(config.data),
        "split": config.split,
        "limit": config.limit,
        "engine": config.generator,
        "model": config.profile.llm,
        **settings.of(config),
        "deterministic": config.deterministic,
    }


def _key(run: FinishedRun, *, own_k: bool) -> suite.Key:
    """The key of `suite.keys`. With `own_k`, K is None where it is the profile's own."""
    summary = run.summary
    k: int | None = summary["k"]
    if own_k and summary["retriever"] and k == run.folder.read(runs.CONFIG)["config"]["profile"]["k"]:
        k = None
    return summary["method"], summary["retriever"], summary["variant"], k
