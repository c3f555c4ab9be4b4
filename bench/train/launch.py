"""Trains a checkpoint in separate processes and waits for them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache

from bench.config import RunConfig
from bench.errors import EngineError
from bench.generate.engine import reaper
from bench.record import day
from bench.train import checkpoint as checkpoints
from bench.train.checkpoint import MANIFEST, Checkpoint

LOCKED = "BENCH_LOCKED_CHECKPOINT"  # tells the worker that the process which started it holds this folder
WORKER = ["-m", "bench.train.worker"]
# Exit codes for which the worker has already printed one line.
EXPLAINED = (1, 2)


def ensure(checkpoint: Checkpoint, config: RunConfig, *, say: Callable[[str], None], place: str = "") -> None:
    """Returns when the checkpoint is trained, at once if it already is. A training that was killed continues.

    `place` follows the name in the message. Raises EngineError where it fails, UserError where another process trains
    it.
    """
    if checkpoint.trained:
        return
    with checkpoint.folder.locked():
        if checkpoint.trained:
            return
        if not (checkpoint.path / MANIFEST).is_file():
            date = config.profile.date or day.of(checkpoint.path.parent.parent)
            checkpoint.folder.write(MANIFEST, {**checkpoints.describe(config), "date": date})
        say(f"training {checkpoint.path.name}{place} ...")
        reaping = reaper.start()
        try:
            start = command(checkpoint, config.profile.train.processes or _gpus())
            code = _waited(subprocess.Popen(start, env={**os.environ, LOCKED: str(checkpoint.path)}))
        finally:
            reaping.kill()
            reaping.wait()
    if code:
        cause = "see above" if code in EXPLAINED else f"its process ended with {code}"
        raise EngineError(f"{checkpoint.path.name} was not trained: {cause}; run the same command again to continue")


def _waited(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a training. At Ctrl-C it is told to stop and waited for: it saves its state."""
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise


def command(checkpoint: Checkpoint, processes: int) -> list[str]:
    """The command of one process, or of several by torch's launcher on this machine."""
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [*start, *WORKER, str(checkpoint.path)]


@cache  # importing torch takes seconds, and a grid trains many checkpoints
def _gpus() -> int:
    """The number of GPUs, counted in a short process so that this process takes none of their memory."""
    ask = "import torch; print(torch.cuda.device_count())"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False).stdout
    return max(1, int(answer or 0))
