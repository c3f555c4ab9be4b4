"""The process that trains: `python -m bench.train.worker CHECKPOINT_FOLDER`, started by `bench train` and `bench run`.

torchrun, accelerate or deepspeed may start it too, one process for each GPU. Like `bench` it reports what the user can
change in one line and exits with 2.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import NoReturn

from bench import stop
from bench.errors import BenchError, UserError, of_the_disk
from bench.train.launch import LOCKED


def main(folder: Path) -> None:
    import torch

    # transformers imports deepspeed where it is installed, which otherwise prints to stdout that it guesses the device.
    os.environ.setdefault("DS_ACCELERATOR", "cuda" if torch.cuda.is_available() else "cpu")

    from bench.train.checkpoint import Checkpoint
    from bench.train.logs import Logs
    from bench.train.ranks import join
    from bench.train.session import open_session, prepare

    checkpoint = Checkpoint(folder)
    first = os.environ.get("RANK", "0") == "0"
    held = os.environ.get(LOCKED) == str(folder) or not first
    with nullcontext() if held else checkpoint.folder.locked():
        if checkpoint.trained and not held:
            raise UserError(f"{folder} is trained already; delete it to train it again")
        logs = Logs(checkpoint.config.method, folder, quiet=not first)
        try:
            examples = prepare(checkpoint, logs, first=first)
            ranks = join()
            try:
                open_session(checkpoint, examples, ranks, logs).run()
            finally:
                ranks.close()
        finally:
            logs.close()


def run(folder: Path) -> None:
    """Runs `main`; an expected error becomes one line and an exit code. Told to stop, it saves its state first."""
    threading.excepthook = _threads
    try:
        with stop.listening(led=LOCKED in os.environ):
            main(folder)
    except BenchError as error:
        _fail(error)
    except OSError as error:
        if (refused := of_the_disk(error)) is None:
            raise
        _fail(refused)
    except KeyboardInterrupt:
        raise SystemExit(stop.CODE) from None


def _fail(error: BenchError) -> NoReturn:
    print(f"bench: {' '.join(str(error).split())}", file=sys.stderr)
    raise SystemExit(error.exit_code) from None


def _threads(args: threading.ExceptHookArgs) -> None:
    """Ignores a full disk in TensorBoard's thread, because its writer raises it again at the next call."""
    if not isinstance(args.exc_value, OSError):
        threading.__excepthook__(args)


if __name__ == "__main__":
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    run(Path(sys.argv[1]))
