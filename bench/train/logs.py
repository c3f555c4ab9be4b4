"""Shows the progress of a training as a bar or as plain lines on stderr, and writes TensorBoard's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.console.meter import Meter
from bench.train.trainer import Step


class Logs:
    """The progress of the first rank. The other ranks are quiet."""

    def __init__(self, name: str, folder: Path, *, quiet: bool = False) -> None:
        self._name = name
        self._folder = folder
        self._quiet = quiet
        self._meter = Meter(shown=not quiet, stays=True)
        self._writer: Any = None
        self._embedded = 0
        self._total = 0

    def embedding(self, done: int, total: int) -> None:
        """`bench.embed.store.Progress`: texts whose vectors are computed."""
        if not self._embedded:
            self._meter.start(f"{self._name}: embedding {total} texts", total)
        self._meter.advance(done - self._embedded)
        self._embedded = done % total

    def expect(self, total: int, begin: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._total = total
        if self._quiet:
            return
        self._writer = SummaryWriter(str(self._folder / "tensorboard"), purge_step=begin + 1)
        if begin:
            self._meter.say(f"{self._name}: continues after step {begin} of {total}")
        self._meter.start(f"training {self._name}", total, done=begin)

    def say(self, line: str) -> None:
        if not self._quiet:
            self._meter.say(line)

    def step(self, step: Step) -> None:
        row = step.row()
        if self._writer is not None:
            for key, value in row.items():
                if key not in ("step", "epoch", "seconds"):
                    self._writer.add_scalar(f"train/{key}", value, step.step)
        terms = "  ".join(f"{key} {row[key]:.4g}" for key in ("loss", "gen", *step.losses.auxiliary))
        speed = f"{row['tokens_per_second']:.0f} tokens/s"
        self._meter.advance(1, f"step {step.step} of {self._total}  epoch {step.epoch}  {terms}  {speed}")

    def close(self) -> None:
        self._meter.close()
        if self._writer is not None:
            self._writer.close()
