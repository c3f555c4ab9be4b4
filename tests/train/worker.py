"""`bench.train.worker` with the toy method. `DIE_IN_SAVE=N` kills it while it writes its N-th tensor file."""

from __future__ import annotations

import os
import signal
import sys
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

if __name__ == "__main__":
    registry.BUILTIN["method"]["toy"] = "tests.train.toy:ToySoft"
    if "DIE_IN_SAVE" in os.environ:
        Checkpoint.write_tensors = dying  # type: ignore[method-assign]
    worker.run(Path(sys.argv[1]))
