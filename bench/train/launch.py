"""Trains a checkpoint in processes of their own, and waits for them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from bench.config import RunConfig
from bench.errors import EngineError
from bench.generate.engine import watch
from bench.train import checkpoint as checkpoints
from bench.train.checkpoint import MANIFEST, Checkpoint

WORKER = ["-m", "bench.train.worker"]
# What the worker has said in one line already.
SAID = (1, 2, 130)


def ensure(checkpoint: Checkpoint, config: RunConfig, *, say: Callable[[str], None], place: str = "") -> None:
    """Returns when the checkpoint is trained; at once if it is. A training that was cut off goes on.

    `place` is said with its name. Raises EngineError where it fails, UserError where another process trains it.
    """
    if checkpoint.trained:
        return
    with checkpoint.folder.locked():
        if checkpoint.trained:
            return
        if not (checkpoint.path / MANIFEST).is_file():
            checkpoint.folder.write(MANIFEST, checkpoints.describe(config))
        say(f"training {checkpoint.path.name}{place} ...")
        watcher = watch.start()
        try:
            code = subprocess.run(command(checkpoint, config.profile.train.processes or _gpus())).returncode
        finally:
            watcher.kill()
            watcher.wait()
    if code:
        cause = "see above" if code in SAID else f"its process ended with {code}"
        raise EngineError(f"{checkpoint.path.name} was not trained: {cause}; the same command goes on where it was")


def command(checkpoint: Checkpoint, processes: int) -> list[str]:
    """One process, or several by torch's launcher on this machine."""
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [*start, *WORKER, str(checkpoint.path)]


def _gpus() -> int:
    """GPUs of this machine, asked of a process that ends: nothing here may take their memory."""
    ask = "import torch; print(torch.cuda.device_count())"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False).stdout
    return max(1, int(answer or 0))
