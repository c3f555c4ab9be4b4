"""Values for a machine without a GPU, where a profile leaves them open.

A profile's own defaults are those of GPUs: on two cores, 2,048 new tokens of a small model take minutes a sample, and
compiling takes longer than such a run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bench.record import provenance

NEW_TOKENS = 256


def on_cpu() -> dict[str, Any]:
    """Values for any engine that computes on CPUs, by the profile's dotted keys."""
    fast = "amx_bf16" in _flags()  # elsewhere bfloat16 is several times slower than float32
    return {"max_new_tokens": NEW_TOKENS, **({} if fast else {"dtype": "float32"})}


def has_gpu() -> bool:
    """Whether this process may use a GPU."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1") and bool(provenance.hardware()["gpus"])


def _flags() -> frozenset[str]:
    """What the first core can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())
