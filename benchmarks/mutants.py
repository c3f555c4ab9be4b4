"""Does the gate find faults? Puts single faults into a copy of the source, runs what they touch, and compares.

    make mutants                              all of benchmarks/mutants.toml
    python -m benchmarks.mutants NAME ...     some of them
    python -m benchmarks.mutants --clean 4    that many clean repeats with other seeds: false alarms

A fault is one replacement in one file. Its cells of the quick assay run with the faulty source in a folder of their
own, beside the clean runs of all other cells, and `bench regress baselines/assay.json` says whether a value moved. Unit
tests are not asked. A run that stops is no catch of the gate's. Runs are kept in build/mutants, and the gate is asked
anew every time; delete that folder after changes of the source.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.suite import suite as suites

ROOT = Path(__file__).parents[1]
FAULTS, BASELINE = ROOT / "benchmarks" / "mutants.toml", ROOT / "baselines" / "assay.json"
OUT = ROOT / "build" / "mutants"
SOURCE = ("bench", "methods", "retrievers", "metrics", "results")
MOVED = 3  # exit code of `bench regress`
NONE = "-"  # the retriever of a method that uses none
CLEAN_SEEDS = 100  # the first seed of clean repeats; the baseline has others


@dataclass(frozen=True)
class Fault:
    """`cells`: "method retriever history" of the quick assay. `fresh`: shares no stored answers with the clean runs."""

    name: str
    breaks: str
    file: str
    old: str
    new: str
    cells: tuple[str, ...]
    fresh: bool = False

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Fault:
        return cls(**{**values, "cells": tuple(values["cells"])})

    def patched(self, text: str) -> str:
        """Raises ValueError where the source no longer has the place, or has it twice."""
        if text.count(self.old) != 1:
            raise ValueError(
                f"mutant {self.name}: {self.file} has {text.count(self.old)} places like {self.old!r}, not 1"
            )
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Result:
    """`by`: the values that moved, as `bench regress` names them. `stopped`: the last line of a run that failed."""

    by: tuple[str, ...]
    stopped: str = ""

    @property
    def said(self) -> str:
        return "stopped" if self.stopped else "yes" if self.by else "NO"


def faults() -> list[Fault]:
    return [Fault.read(one) for one in tomllib.loads(FAULTS.read_text())["mutant"]]


def bench(source: Path, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs the `bench` of a source tree."""
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")}
    command = [sys.executable, "-c", "from bench.cli import main; main()", *map(str, words)]
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done


def clean() -> Path:
    """The clean quick assay, run once."""
    bench(ROOT, "grid", "assay", "--quick", "--out", OUT / "clean")
    return OUT / "clean"


def write_suite(path: Path, cells: Iterable[str]) -> None:
    """A suite of these cells, with everything else as in the quick assay."""
    quick = suites.load("assay").quickened()
    lines = ['title = "Cells of the quick assay"', f"limit = {quick.limit}", f"metrics = {json.dumps(quick.metrics)}"]
    for method, retriever, history in map(str.split, cells):
        about = {
            "methods": [method], "retrievers": ["recency" if retriever == NONE else retriever], "histories": [history],
            "data": ["mixed"], "profiles": ["micro"],
        }  # fmt: skip
        by_all = ", ".join(f'"{key}" = {json.dumps(value)}' for key, value in quick.cells[0].set.items())
        lines += [
            "[[cells]]",
            *(f"{key} = {json.dumps(value)}" for key, value in about.items()),
            f"set = {{ {by_all} }}",
        ]
    path.write_text("\n".join(lines) + "\n")


def cell_of(folder: Path) -> str:
    """The cell of a run folder, as faults name it."""
    config = json.loads((folder / "config.json").read_text())["config"]
    return f"{config['method']} {config['retriever'] or NONE} {config['history']}"


def run(fault: Fault, clean_runs: Path) -> Result:
    """The fault's cells with the faulty source, the clean runs of all others, and the gate's verdict."""
    place = OUT / fault.name
    about = json.dumps(asdict(fault))
    done = place / "done.json"
    if not done.is_file() or json.loads(done.read_text())["fault"] != about:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        stopped = _run_cells(fault, place, clean_runs)
        done.write_text(json.dumps({"fault": about, "stopped": stopped}))
    with TemporaryDirectory() as folder:
        out = Path(folder)
        for each in [*place.glob("runs/*/summary.json"), *clean_runs.glob("*/summary.json")]:
            if each.is_relative_to(place) or cell_of(each.parent) not in fault.cells:
                (out / each.parent.name).symlink_to(each.parent)
        return Result(moved(out), json.loads(done.read_text())["stopped"])


def _run_cells(fault: Fault, place: Path, clean_runs: Path) -> str:
    """Runs the fault's cells with the faulty source, on the clean runs' answers. Returns why it stopped, or ""."""
    source, out = place / "source", place / "runs"
    for part in SOURCE:
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    faulty = source / fault.file
    faulty.write_text(fault.patched(faulty.read_text()))
    shutil.copytree(clean_runs / ".store", out / ".store")
    if fault.fresh:
        for file in (out / ".store").glob("requests.sqlite*"):
            file.unlink()
    write_suite(place / "cells.toml", fault.cells)
    done = bench(source, "grid", place / "cells.toml", "--out", out, check=False)
    for folder in (source, out / ".store", out / "checkpoints"):
        shutil.rmtree(folder, ignore_errors=True)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1]


def moved(out: Path) -> tuple[str, ...]:
    """What the gate says moved, by the clean source: `cell: value`."""
    done = bench(ROOT, "regress", BASELINE, out, "--json", check=False)
    if done.returncode not in (0, MOVED):
        raise SystemExit(f"bench regress failed:\n{done.stderr[-2000:]}")
    return tuple(f"{one['cell']}: {one['what']}" for one in json.loads(done.stdout)["moved"])


def repeat(seed: int) -> Result:
    """A clean quick assay with another seed: whatever moves is a false alarm."""
    out = OUT / f"clean-{seed}"
    bench(ROOT, "grid", "assay", "--quick", "--seed", seed, "--out", out)
    return Result(moved(out))


def show(results: Mapping[str, Result], breaks: Mapping[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("fault", "breaks", "caught", "by", box=None, pad_edge=False)
    for name, one in results.items():
        first = [one.stopped] if one.stopped else [cell.removeprefix("mixed · micro · ") for cell in one.by]
        more = f" and {len(first) - 2} more" if len(first) > 2 else ""
        table.add_row(name, breaks.get(name, ""), one.said, "; ".join(first[:2]) + more)
    Console(width=200).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="faults of benchmarks/mutants.toml; none: all")
    parser.add_argument("--clean", type=int, default=0, help="clean repeats with other seeds, in place of faults")
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    if given.clean:
        repeats = {f"seed {seed}": repeat(seed) for seed in range(CLEAN_SEEDS, CLEAN_SEEDS + given.clean)}
        show(repeats, {})
        print(f"{sum(bool(one.by) for one in repeats.values())} of {len(repeats)} clean repeats raised an alarm")
        return
    known = {fault.name: fault for fault in faults()}
    if unknown := [name for name in given.names if name not in known]:
        raise SystemExit(f"no mutant {unknown[0]!r}; {FAULTS} has {', '.join(known)}")
    clean_runs = clean()
    if found := moved(clean_runs):
        raise SystemExit(f"the clean runs themselves raise an alarm: {found[0]}")
    results = {}
    for name in given.names or known:
        results[name] = run(known[name], clean_runs)
        print(f"{name}: {results[name].said}", flush=True)
    show(results, {name: fault.breaks for name, fault in known.items()})
    caught = sum(one.said == "yes" for one in results.values())
    print(f"{caught} of {len(results)} caught by {BASELINE.name} alone")


if __name__ == "__main__":
    main()
