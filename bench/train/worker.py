"""The process that trains: `python -m bench.train.worker CHECKPOINT_FOLDER`, started by `bench train` and `bench run`.

Also by torchrun, accelerate or deepspeed, one process a GPU. Like `bench` it says what the user can change in one line
and exits with 2.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bench.errors import BenchError


def main(folder: Path) -> None:
    import torch

    # Or deepspeed, which transformers imports where it is installed, says on stdout that it guesses.
    os.environ.setdefault("DS_ACCELERATOR", "cuda" if torch.cuda.is_available() else "cpu")

    from bench.train.checkpoint import Checkpoint
    from bench.train.logs import Logs
    from bench.train.ranks import join
    from bench.train.session import open_session

    checkpoint = Checkpoint(folder)
    ranks = join()
    logs = Logs(checkpoint.manifest["config"]["method"], folder, quiet=not ranks.first)
    try:
        open_session(checkpoint, ranks, logs).run()
    finally:
        logs.close()
        ranks.close()


if __name__ == "__main__":
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        main(Path(sys.argv[1]))
    except BenchError as error:
        print(f"bench: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
