"""The two sides of a swap: runs with their users' own histories, and the same cells with others'.

A run with another history belongs to a run where nothing else differs: configuration, sources, engine. Finished ones
are found by what their folders say, so that runs of another machine pair up too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import registry
from bench.config import RunConfig
from bench.console.progress import Progress
from bench.data.corpus import Corpus
from bench.errors import UserError
from bench.record import runs
from bench.run import engines
from bench.score.written import read_config
from bench.types import History
from results.checks.check import differing_keys, listed
from results.tables import finished_runs, named_rows
from results.tables.finished_runs import FinishedRun

FLOOR = "nonperso"


@dataclass(frozen=True)
class Own:
    """The seeds of one row with their own histories, and those of Non-Perso in the same table; () without it."""

    label: str
    runs: tuple[FinishedRun, ...]
    floor: tuple[FinishedRun, ...] = ()


@dataclass(frozen=True)
class Pair:
    """The seeds of one row that have both histories, in the same order."""

    label: str
    history: History
    own: tuple[FinishedRun, ...]
    swapped: tuple[FinishedRun, ...]
    floor: tuple[FinishedRun, ...]


def find(names: Sequence[str], out: Path) -> list[Own]:
    """The rows that are named: run folders, rows and runs of `out` (as `bench compare` takes them), output folders.

    Of an output folder, all rows that can be swapped. Raises UserError for a row that cannot, and where none can.
    """
    found: dict[tuple[Path, ...], Own] = {}
    for name in names:
        folder = Path(name)
        if runs.find(folder) and not (folder / runs.CONFIG).is_file():
            rows = [(row.label, seeds) for row, seeds in named_rows.rows(folder) if not _refusal(row.label, seeds)]
            if not rows:
                raise UserError(f"{name} has no run whose history can be swapped; `bench run --method rag` makes one")
        else:
            rows = [named_rows.find(name, out, among=lambda run: "history=" not in run.summary["variant"])]
            if refusal := _refusal(name, rows[0][1]):
                raise UserError(refusal)
        for label, seeds in rows:
            found[tuple(run.folder.path for run in seeds)] = Own(label, tuple(seeds), _floor(seeds))
    return list(found.values())


def _refusal(name: str, seeds: Sequence[FinishedRun]) -> str:
    """Why there is nothing to swap; "" where there is."""
    config = read_config(seeds[0].folder)
    if config.imported is not None:
        return f"{name}: imported texts have no history to swap; name a run of a method"
    if config.history != "own":
        return f"{name} has another user's history already ({config.history}); name the run with the users' own"
    if not _reads_history(config):
        label = seeds[0].summary["label"]
        return f"{name}: {label} reads no history{_k(config)}, so there is nothing to swap; name a method that does"
    return ""


def _k(config: RunConfig) -> str:
    return " with K = 0" if config.retriever and not config.k else ""


def _reads_history(config: RunConfig) -> bool:
    """Through a retriever or by vectors. A plug-in may read `sample.history` without saying so."""
    method = registry.create("method", config.method, config.method_options)
    if config.method not in registry.BUILTIN["method"]:
        return True
    return config.k > 0 if method.uses_retriever else method.uses_embeddings


def _floor(seeds: Sequence[FinishedRun]) -> tuple[FinishedRun, ...]:
    """Non-Perso's runs of the same table, one for each seed; () where one is missing."""
    first = seeds[0]
    alike = [
        run
        for run in finished_runs.find_finished([first.folder.path.parent])
        if run.summary["method"] == FLOOR and not run.summary["variant"] and run.shared == first.shared
    ]
    by_seed = {run.summary["seed"]: run for run in finished_runs.newest(alike)}
    wanted = [run.summary["seed"] for run in seeds]
    return tuple(by_seed[seed] for seed in wanted) if by_seed.keys() >= set(wanted) else ()


# ---------------------------------------------------------------- the other side


def swapped(run: FinishedRun, history: History) -> RunConfig:
    """The configuration of the same cell with this history, scored by all metrics that the run was scored with."""
    config, summary = read_config(run.folder), run.summary
    given = summary.get("metric_options", {})
    options = {name: {**config.profile.options.get(name, {}), **values} for name, values in given.items()}
    profile = config.profile.model_copy(
        update={"metrics": tuple(summary["metric_versions"]), "options": {**config.profile.options, **options}}
    )
    return config.model_copy(update={"history": history, "profile": profile})


def partner(run: FinishedRun, history: History, found: Sequence[FinishedRun]) -> FinishedRun | None:
    """The newest finished run that differs in its history alone."""
    wanted = _facts(run)
    same = [
        one
        for one in found
        if f"history={history}" in one.summary["variant"]
        and read_config(one.folder).history == history
        and _facts(one) == wanted
    ]
    return max(same, key=lambda one: str(one.summary["finished"]), default=None)


def _facts(run: FinishedRun) -> dict[str, Any]:
    """Everything but history and metrics that decides texts. The embedder's weights may choose whose history it is."""
    about = run.folder.read(runs.CONFIG)
    cell = read_config(run.folder).model_dump(
        mode="json", exclude={"history": True, "changed": True, "profile": {"metrics", "options"}}
    )
    sources = {key: value for key, value in about["sources"].items() if key != "embedder"}
    return {"cell": cell, "sources": sources, "generator": about["generator"], "date": about.get("date", "")}


def missing(found: Sequence[Own], histories: Sequence[History]) -> dict[Path, list[tuple[FinishedRun, RunConfig]]]:
    """Output folder -> the runs without a finished partner, each with the configuration of that partner."""
    lacking: dict[Path, list[tuple[FinishedRun, RunConfig]]] = {}
    for own in found:
        near = finished_runs.find_finished([own.runs[0].folder.path.parent])
        for run in own.runs:
            for history in histories:
                if partner(run, history, near) is None:
                    lacking.setdefault(run.folder.path.parent, []).append((run, swapped(run, history)))
    return lacking


def pairs(found: Sequence[Own], histories: Sequence[History]) -> Iterator[Pair]:
    """Every row with every history, of the seeds whose partners are finished; none of these, no pair."""
    for own in found:
        near = finished_runs.find_finished([own.runs[0].folder.path.parent])
        for history in histories:
            both = [(place, partner(run, history, near)) for place, run in enumerate(own.runs)]
            places = [place for place, one in both if one is not None]
            if places:
                yield Pair(
                    own.label,
                    history,
                    tuple(own.runs[place] for place in places),
                    tuple(one for _, one in both if one is not None),
                    tuple(own.floor[place] for place in places) if own.floor else (),
                )


def check(lacking: Sequence[FinishedRun], corpora: Callable[[str], Corpus], out: Path, progress: Progress) -> None:
    """Raises UserError where what is here today would not write these runs: their partners would differ in more than
    the history.
    """
    known = {run.folder.path: run for run in lacking}
    for run in known.values():
        config, outcome = read_config(run.folder), engines.Outcome()
        ready = engines.prepare([config], corpora, out, progress=progress, outcome=outcome)
        if ready is None:
            raise UserError(f"{run.folder.path.name}: {outcome.failures[0].reason}")
        (cell,) = ready.cells
        about = run.folder.read(runs.CONFIG)
        if cell.identity != about["identity"]:
            now = {"sources": cell.sources, "generator": runs.plain(ready.service.identity)}
            changed = differing_keys({key: about[key] for key in now}, now) or ["configuration"]
            raise UserError(
                f"{run.folder.path.name} was written otherwise than it would be today ({listed(changed)}); run its "
                "command again, then swap that run"
            )
        if cell.checkpoint is not None and not cell.checkpoint.trained:
            raise UserError(
                f"{run.folder.path.name} used a checkpoint that is not in {cell.checkpoint.path}; copy it there, or "
                "give it to `bench run --history random --checkpoint FOLDER`"
            )
