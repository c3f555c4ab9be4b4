"""The prefetch stage of a grid: turns cells into jobs, which hold everything that their samples need.

Retrieval and embedding come before any request, so that the encoders' memory is free when the engine starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.console.progress import Progress
from bench.context import comparing, prefetch
from bench.context.context import CellResources
from bench.data import swap
from bench.data.corpus import Corpus
from bench.embed.store import StoredEmbedder
from bench.generate.service import GenerationService
from bench.run.cells import Cell
from bench.types import Sample


@dataclass(frozen=True)
class Job:
    """A cell that is ready to be written."""

    cell: Cell
    resources: CellResources


def prefetched(
    cells: Sequence[Cell], corpus: Corpus, service: GenerationService, out: Path, *, progress: Progress
) -> list[Job]:
    """Retrieves and embeds for the pending samples of all cells.

    All epochs of a checkpoint are validated on the same samples, so these are prefetched once.
    """
    for cell in cells:
        if swap.is_open(cell.config, cell.folder):
            _choose_histories(cell, corpus, out, progress)
    pending: dict[Path, dict[str, Sample]] = {}
    for cell in cells:
        pending.setdefault(_shared(cell), {}).update((sample.sample_id, sample) for sample in cell.pending)
    found: dict[Path, CellResources] = {}
    for cell in cells:
        if (place := _shared(cell)) not in found:
            found[place] = _prefetched(cell, list(pending[place].values()), corpus, service, out, progress)
    return [Job(cell, found[_shared(cell)]) for cell in cells]


def _choose_histories(cell: Cell, corpus: Corpus, out: Path, progress: Progress) -> None:
    """Lets vectors decide whose histories the cell shows, and keeps that in its folder."""
    chosen = prefetch.histories(
        cell.config, corpus, out=out, vectors=partial(StoredEmbedder, progress=progress.embedding)
    )
    swap.record(cell.folder, chosen)
    cell.show(swap.samples_of(cell.config, corpus, cell.folder))


def _shared(cell: Cell) -> Path:
    """Cells with the same path share what is prefetched."""
    return cell.folder.path if cell.epoch is None else cell.folder.path.parent


def _prefetched(
    cell: Cell,
    samples: Sequence[Sample],
    corpus: Corpus,
    service: GenerationService,
    out: Path,
    progress: Progress,
) -> CellResources:
    resources = prefetch.resources(cell.config, samples, corpus, service, out=out)
    if said := comparing.told(cell.config, resources.uncompared, n=len(samples)):
        progress.say(said)
    prefetch.embed(cell.method, cell.config, samples, resources, out=out, progress=progress.embedding)
    return replace(resources, answered=partial(progress.answered, cell.config.method))
