"""The live view of `bench.console.state.GridState`: never taller than the terminal, however many cells there are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.console.state import GridState, Task, clock
from bench.types import StageCost

if TYPE_CHECKING:
    from rich.console import RenderableType

# Lines that are not a cell's or a stage's: two heads, two lines of what is not shown, counts, bar, cursor.
FIXED = 7
BAR = 16


def start(state: GridState, stderr: TextIO) -> Live:
    console = Console(file=stderr)
    began = time.monotonic()

    def draw() -> RenderableType:
        return view(state, height=console.height, seconds=time.monotonic() - began)

    live = Live(console=console, get_renderable=draw, refresh_per_second=2, transient=True)
    live.start()
    return live


def view(state: GridState, *, height: int, seconds: float) -> Group:
    """The state after so many seconds, in at most `height` lines."""
    waiting = state.in_engine()
    room = max(2, height - FIXED - bool(state.embedded) - bool(waiting))
    tasks = state.in_work()
    stages = sorted(state.stages_in_work().items(), key=lambda item: item[0][0])  # a method's in their own order
    shown = stages[: max(1, room // 2, room - len(tasks))]
    parts: list[RenderableType] = [_cells(tasks, room - len(shown))] if tasks else []
    if shown:
        parts.append(_stages(shown, left_out=len(stages) - len(shown)))
    cells = f"cells: {state.cells()}"
    if embedded := state.embedded:
        parts += [_line(cells), _bar(*embedded, state.speed())]
    else:
        parts.append(_line(cells, state.speed()))
    if waiting:
        parts.append(_line(waiting))
    parts.append(_bar(state.done, state.total, state.samples(), clock(seconds), state.left()))
    return Group(*parts)


def _cells(tasks: Sequence[Task], room: int) -> Group:
    """The cells that are being written, in the order of the grid."""
    table = _table("cell", "method", "", "samples", "failed")
    for task in tasks[:room]:
        failed = Text(str(task.failed), style="red" if task.failed else "dim")
        bar = ProgressBar(total=task.total, completed=task.done, width=BAR)
        table.add_row(_line(task.name), task.method, bar, f"{task.done} of {task.total}", failed)
    return _with_rest(table, len(tasks) - room, "cells are being written")


def _stages(stages: Sequence[tuple[tuple[str, str], StageCost]], *, left_out: int) -> Group:
    table = _table("stage", "", "requests", "tokens read", "written")
    for (method, stage), cost in stages:
        counts = (cost.requests, cost.prompt_tokens, cost.new_tokens)
        table.add_row(_line(method), stage, *(f"{count:,}" for count in counts))
    return _with_rest(table, left_out, "stages")


def _bar(done: int, total: int, *says: str) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_row(ProgressBar(total=max(1, total), completed=done, width=BAR), _line(*says))
    return grid


def _table(first: str, second: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first)
    table.add_column(second, no_wrap=True)
    for head in others:
        table.add_column(head, no_wrap=True, justify="right" if head else "left")
    return table


def _line(*parts: str) -> Text:
    """One line, cut at the width of the terminal."""
    return Text("   ".join(filter(None, parts)), no_wrap=True, overflow="ellipsis")


def _with_rest(table: Table, left_out: int, what: str) -> Group:
    return Group(table, *([Text(f"... and {left_out} more {what}", style="dim")] if left_out > 0 else []))
