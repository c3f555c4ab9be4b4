"""`bench.train.worker` with the toy method. `DIE_IN_SAVE=N` kills it while it writes its N-th tensor file.

`forked` starts it as a process of its own too, but from one that has imported torch and transformers already: that
takes far longer than these trainings.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from bench import registry
from bench.train import worker
from bench.train.checkpoint import Checkpoint

saves = 0


def dying(self: Checkpoint, name: str, tensors: Any, about: Any) -> None:
    global saves
    saves += 1
    if saves == int(os.environ["DIE_IN_SAVE"]):
        (self.path / f".{name}.{os.getpid()}.tmp").write_bytes(b"half of a file")
        os.kill(os.getpid(), signal.SIGKILL)
    whole(self, name, tensors, about)


whole = Checkpoint.write_tensors

GPU = Path("/dev/nvidiactl").exists()
FORKING = get_context("forkserver")
if not GPU:  # CUDA does not outlive a fork
    FORKING.set_forkserver_preload(["tests.train.preloaded"])


class Worker(ForkServerProcess):
    def wait(self) -> int | None:
        self.join()
        return self.exitcode


def forked(folder: Path, environment: dict[str, str], *, stderr: Path | None = None) -> Worker:
    process = Worker(target=begin, args=(folder, environment, stderr))
    process.start()
    return process


def begin(folder: Path, environment: dict[str, str], stderr: Path | None) -> None:
    os.environ.update(environment)
    if stderr is not None:
        os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT), 2)
    work(folder)


def work(folder: Path) -> None:
    registry.BUILTIN["method"]["toy"] = "tests.train.toy:ToySoft"
    if "DIE_IN_SAVE" in os.environ:
        Checkpoint.write_tensors = dying  # type: ignore[method-assign]
    if "WORLD_SIZE" in os.environ:
        without_compiler()
    worker.run(folder)


def without_compiler() -> None:
    """DeepSpeed compiles an all-reduce for more than a minute, which inference alone would call."""
    os.environ.setdefault("DS_ACCELERATOR", "cuda" if GPU else "cpu")
    backend = import_module("deepspeed.comm.torch")  # as an attribute of its package it is torch itself
    backend.build_shm_op = lambda: None  # type: ignore[attr-defined]


if __name__ == "__main__":
    work(Path(sys.argv[1]))
