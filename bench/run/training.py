"""The training stage of a grid: trains the checkpoints that cells lack, each in a process of its own.

Training comes before the engine starts, so that its memory is free again by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench import registry
from bench.data.corpus import Corpus
from bench.generate.service import GenerationService
from bench.run.cells import Cell
from bench.run.selection import METRIC, Selection
from bench.score import scoring
from bench.train import launch


def trained(
    cells: Sequence[Cell], corpus: Corpus, service: GenerationService, *, say: Callable[[str], None]
) -> tuple[dict[str, Selection], list[Cell]]:
    """Trains the missing checkpoints. Returns (cell identity -> its selection, the validation cells to write).

    Cells that differ only in K share one selection. Raises EngineError where a training fails, and UserError before
    the first one where the metric of the validation misses its data.
    """
    wanted = {cell.checkpoint.path: cell.checkpoint for cell in cells if cell.checkpoint}
    if wanted:
        scoring.check_versions(METRIC, registry.create("metric", METRIC))
    missing = [path for path, checkpoint in wanted.items() if not checkpoint.trained]
    selections: dict[str, Selection] = {}
    by_name: dict[str, Selection] = {}
    for cell in cells:
        if cell.checkpoint is None:
            continue
        number = missing.index(cell.checkpoint.path) + 1 if cell.checkpoint.path in missing else 0
        place = f" ({number} of {len(missing)})" if len(missing) > 1 else ""
        launch.ensure(cell.checkpoint, cell.config, place=place, say=say)
        selection = Selection.of(cell, corpus, service.identity)
        selections[cell.identity] = by_name.setdefault(selection.name, selection)
    validated = [cell for selection in by_name.values() if not selection.chosen for cell in selection.cells]
    return selections, validated
