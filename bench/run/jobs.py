"""The prefetch stage of a grid: cells to jobs, which hold everything that their samples need.

Retrieval and embedding come before any request, so that the encoders' memory is free when the engine starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.console.progress import Progress
from bench.context import prefetch
from bench.context.context import CellResources
from bench.data.corpus import Corpus
from bench.generate.service import GenerationService
from bench.run.cells import Cell
from bench.types import Sample


@dataclass(frozen=True)
class Job:
    """A cell that is ready to be written: everything that its samples need is computed."""

    cell: Cell
    resources: CellResources


def prefetched(
    cells: Sequence[Cell], corpus: Corpus, service: GenerationService, out: Path, *, progress: Progress
) -> list[Job]:
    """Retrieves and embeds for the pending samples of all cells.

    The epochs of one checkpoint are validated on the same samples, which are looked at once.
    """
    shared: dict[Path, CellResources] = {}
    jobs = []
    for cell in cells:
        place = cell.folder.path if cell.epoch is None else cell.folder.path.parent
        if place not in shared:
            alike = [other for other in cells if other is cell or place == other.folder.path.parent]
            pending = {sample.sample_id: sample for other in alike for sample in other.pending}
            shared[place] = _prefetched(cell, list(pending.values()), corpus, service, out, progress)
        jobs.append(Job(cell, shared[place]))
    return jobs


def _prefetched(
    cell: Cell,
    samples: Sequence[Sample],
    corpus: Corpus,
    service: GenerationService,
    out: Path,
    progress: Progress,
) -> CellResources:
    resources = prefetch.resources(cell.config, samples, corpus, service, out=out)
    prefetch.embed(cell.method, cell.config, samples, resources, out=out, progress=progress.embedding)
    return replace(resources, answered=partial(progress.answered, cell.config.method))
