"""How fast `bench data build` is, and in how much memory: `make bench-data`.

Builds made-up raw reviews (`benchmarks.raw_reviews`) of several sizes by DPL's thresholds, each in its own process.
Prints seconds from start to end of the process, its peak memory as the system counted it, and the growth from size to
size. The smallest size is also built in the released way (`benchmarks.released_builder`), with looser thresholds that
leave something of it, and both results are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.data.build.rules import Rules
from benchmarks import raw_reviews, released_builder

LOOSE = Rules(
    min_user_reviews=5, min_item_users=3, train_inputs=1, min_profile_reviews=1, min_profile_item_users=1
)  # fmt: skip
Found = dict[str, Any]


def build_here(folder: Path, rules: Rules) -> Found:
    """Builds in this process."""
    from bench.data.build.pipeline import build

    with TemporaryDirectory(dir=folder) as out:
        files: dict[str, Any] = {"reviews": [folder / "reviews.jsonl"], "meta": [folder / "meta.jsonl"]}
        report = build(**files, category="Books", out=Path(out) / "out", rules=rules)
    core = next(step for step in report.steps if step.step == "core")
    return {"core": core.reviews, "users": core.users, **_used()}


def released_here(folder: Path) -> Found:
    """Filters in the released way in this process."""
    core = released_builder.kept(folder / "reviews.jsonl", folder / "meta.jsonl", LOOSE)
    return {"core": core, **_used()}


def _used() -> Found:
    """Peak memory, and processor time, which is more reliable than the clock on a shared machine."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"peak_mb": used.ru_maxrss / 1024, "cpu": used.ru_utime + used.ru_stime}


def child(way: str, folder: Path, cap: float | None = None) -> Found:
    """Runs one way in a process of its own and adds its wall-clock seconds. `core` is None if the cap stopped it."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.data", "--way", way, "--folder", str(folder)]
    try:
        run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=cap)
    except subprocess.TimeoutExpired:
        return {"seconds": time.perf_counter() - begin, "core": None}
    return {"seconds": time.perf_counter() - begin, **json.loads(run.stdout)}


def measure(sizes: list[int], folder: Path, cap: float) -> None:
    """Prints one line per measurement."""
    for size in sizes:
        made = folder / str(size)
        if not (made / "reviews.jsonl").exists():
            raw_reviews.make(size, made)
    compare(sizes[0], folder / str(sizes[0]), cap)
    last: tuple[int, float, float] | None = None
    for size in sizes[1:]:
        found = child("build", folder / str(size))
        growth = ""
        if last:
            clock, processor = found["seconds"] / last[1], found["cpu"] / last[2]
            growth = f"; {size / last[0]:.1f} times the reviews took {clock:.2f} times ({processor:.2f} of processor)"
        mb = (folder / str(size) / "reviews.jsonl").stat().st_size / 1e6
        print(
            f"{size:,} reviews ({mb:,.0f} MB): {_cost(found)}"
            f"; core {found['core']:,} reviews of {found['users']:,} users{growth}; load {_load()}",
            flush=True,
        )
        last = size, found["seconds"], found["cpu"]


def compare(size: int, folder: Path, cap: float) -> None:
    """Both ways on the same files and thresholds."""
    fast, slow = child("loose", folder), child("released", folder, cap)
    ratio = slow["seconds"] / fast["seconds"]
    if slow["core"] is None:
        result = f"was stopped after {slow['seconds']:.0f} s, unfinished: more than {ratio:.0f} times faster"
    else:
        same = "the same" if fast["core"] == slow["core"] else "ANOTHER"
        result = f"{_cost(slow)}, {same} result: {ratio:.1f} times faster"
    print(
        f"{size:,} reviews, looser thresholds: {_cost(fast)}, core "
        f"{fast['core']:,} reviews; the released way {result}; load {_load()}",
        flush=True,
    )


def _cost(found: Found) -> str:
    return f"{found['seconds']:.1f} s ({found['cpu']:.1f} s of processor), peak {found['peak_mb']:,.0f} MB"


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="200000,1000000,3000000,10000000", help="the first is compared")
    parser.add_argument("--folder", type=Path, help="where raw files are kept; a temporary folder by default")
    parser.add_argument("--cap", type=float, default=300.0, help="seconds after which the slow way is stopped")
    parser.add_argument("--way", choices=["build", "loose", "released"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way == "released":
        print(json.dumps(released_here(options.folder)))
    elif options.way:
        print(json.dumps(build_here(options.folder, LOOSE if options.way == "loose" else Rules())))
    elif options.folder:
        measure([int(size) for size in options.sizes.split(",")], options.folder, options.cap)
    else:
        with TemporaryDirectory() as folder:
            measure([int(size) for size in options.sizes.split(",")], Path(folder), options.cap)


if __name__ == "__main__":
    main()
