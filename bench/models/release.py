"""Gives a model's memory back once its last owner has let it go."""

from __future__ import annotations

import gc
import sys


def memory() -> None:
    """Collects what only cycles hold, and hands freed GPU memory back to the driver, where an engine can take it.

    torch keeps freed memory for itself: an engine in another process would find the card full.
    """
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
