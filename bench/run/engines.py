"""Runs the cells of several models and datasets: one engine at a time. A cell that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.config import RunConfig
from bench.console.progress import Progress
from bench.data.corpus import Corpus
from bench.errors import BenchError
from bench.generate.service import GenerationService
from bench.run import runner
from bench.run.cells import Cell, plan
from bench.suite.suite import Failure

Corpora = Callable[[str], Corpus]  # opens a dataset by the name of a configuration

# Fields of a profile that no engine sees.
NOT_THE_ENGINE_S = {"name", "title", "fitted", "metrics", "options", "k", "embedder", "retrieval_encoder", "train"}


@dataclass
class Outcome:
    """The finished cells, in order, and the failures."""

    finished: list[Cell] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def fail(self, what: str, reason: str, progress: Progress) -> None:
        self.failures.append(Failure(what, reason))
        progress.fail(what)


@dataclass(frozen=True)
class Group:
    """Cells that share an engine and a dataset."""

    service: GenerationService
    corpus: Corpus
    cells: tuple[Cell, ...]


def by_engine(configs: Iterable[RunConfig]) -> list[list[RunConfig]]:
    """Groups configurations that share a dataset and an engine, in the order in which these first appear."""
    groups: dict[str, list[RunConfig]] = {}
    for config in configs:
        profile = config.profile.model_dump_json(exclude=NOT_THE_ENGINE_S)
        key = f"{config.data} {config.generator} {config.deterministic} {profile}"
        groups.setdefault(key, []).append(config)
    return list(groups.values())


def prepare(
    configs: Sequence[RunConfig], corpora: Corpora, out: Path, *, progress: Progress, outcome: Outcome
) -> Group | None:
    """Plans the cells of one group. What cannot be planned is a failure. None where no cell is left."""
    corpus = corpora(configs[0].data)
    try:
        service = runner.open_service(configs[0], out, progress=progress)
        generator = service.identity
    except BenchError as error:
        for config in configs:
            outcome.fail(config.label, str(error), progress)
        return None
    cells: dict[str, Cell] = {}
    for config in configs:
        try:
            cells.update((cell.identity, cell) for cell in plan([config], corpus, out, generator=generator))
        except BenchError as error:
            outcome.fail(config.label, str(error), progress)
    return Group(service, corpus, tuple(cells.values())) if cells else None


def run(
    configs: Sequence[RunConfig], corpora: Corpora, out: Path, *, progress: Progress, retry: bool = False
) -> Outcome:
    """Runs all groups. Where a group fails as a whole, its cells are tried one by one to find the guilty one."""
    outcome = Outcome()
    groups = by_engine(configs)
    progress.state.later = len(configs)
    for configs_of_one in groups:
        progress.state.later -= len(configs_of_one)
        group = prepare(configs_of_one, corpora, out, progress=progress, outcome=outcome)
        if group is None:
            continue
        reason = _try(group, out, progress=progress, retry=retry)
        if reason is None:
            outcome.finished += group.cells
        elif len(group.cells) == 1:
            outcome.fail(group.cells[0].name, reason, progress)
        else:
            progress.say(f"{reason}; trying its {len(group.cells)} cells one by one")
            _one_by_one(group, out, progress=progress, retry=retry, outcome=outcome)
    return outcome


def _one_by_one(group: Group, out: Path, *, progress: Progress, retry: bool, outcome: Outcome) -> None:
    for cell in group.cells:
        alone = prepare([cell.config], lambda name: group.corpus, out, progress=progress, outcome=outcome)
        if alone is None:
            continue
        reason = _try(alone, out, progress=progress, retry=retry)
        if reason is None:
            outcome.finished += alone.cells
        else:
            outcome.fail(cell.name, reason, progress)


def _try(group: Group, out: Path, *, progress: Progress, retry: bool) -> str | None:
    """Runs the cells of a group. Returns what went wrong, or None."""
    try:
        runner.run(group.cells, group.corpus, group.service, out, progress=progress, retry=retry)
    except BenchError as error:
        return str(error)
    return None
