"""Shows the progress of a training as a bar or as plain lines on stderr, and writes TensorBoard's files."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from bench.train.trainer import Step

PLAIN_SECONDS = 15.0


class Logs:
    """The first rank's progress: a live line on a terminal, elsewhere a plain line every 15 seconds."""

    def __init__(self, name: str, folder: Path, *, quiet: bool = False) -> None:
        self._name = name
        self._folder = folder
        self._quiet = quiet
        self._live: Any = None
        self._task: Any = None
        self._writer: Any = None
        self._total = 0
        self._last = 0.0

    def say(self, message: str) -> None:
        if not self._quiet:
            print(f"{self._name}: {message}", file=sys.stderr, flush=True)

    def embedding(self, done: int, total: int) -> None:
        """`bench.embed.store.Progress`."""
        if done == total or time.monotonic() - self._last >= PLAIN_SECONDS:
            self._last = time.monotonic()
            self.say(f"{done} of {total} texts embedded")

    def expect(self, total: int, begin: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._total = total
        if self._quiet:
            return
        self._writer = SummaryWriter(str(self._folder / "tensorboard"), purge_step=begin + 1)
        if begin:
            self.say(f"continues after step {begin} of {total}")
        if sys.stderr.isatty():
            self._live = _display()
            self._task = self._live.add_task(self._name, total=total, completed=begin, losses="")
            self._live.start()

    def step(self, step: Step) -> None:
        row = step.row()
        if self._writer is not None:
            for key, value in row.items():
                if key not in ("step", "epoch", "seconds"):
                    self._writer.add_scalar(f"train/{key}", value, step.step)
        terms = "  ".join(f"{key} {row[key]:.4g}" for key in ("loss", "gen", *step.losses.auxiliary))
        shown = f"epoch {step.epoch}  {terms}  {row['tokens_per_second']:.0f} tokens/s"
        if self._live is not None:
            self._live.update(self._task, completed=step.step, losses=shown)
        elif step.step == self._total or time.monotonic() - self._last >= PLAIN_SECONDS:
            self._last = time.monotonic()
            self.say(f"step {step.step} of {self._total}  {shown}")

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
        if self._writer is not None:
            self._writer.close()


def _display() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("training {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[losses]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
    )
