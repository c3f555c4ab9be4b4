"""What `bench show`, `bench train` and `bench run --dry-run` print: a run, a training, a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.record import runs
from bench.record.runs import RunFolder
from bench.score.written import read_config
from bench.types import StageCost
from results.tables.formats import shared

if TYPE_CHECKING:
    from rich.console import Console

    from bench.config import RunConfig
    from bench.run.planning import Plan
    from bench.run.selection import Choice
    from bench.train.checkpoint import Checkpoint

MOST_FAILURES = 20  # that are listed


def run(console: Console, path: Path) -> None:
    """Configuration, failures, costs per stage, scores."""
    folder = RunFolder(path)
    config = read_config(folder)
    rows = list(folder.rows(runs.SAMPLES))
    console.print(f"{path.name}: {'finished' if folder.done else 'unfinished'}, {len(rows)} samples", markup=False)
    console.print(runs.dump(_configuration(folder, config), indent=2), markup=False)
    failed = [row for row in rows if row["error"]]
    for row in failed[:MOST_FAILURES]:
        console.print(f"failed {row['sample_id']}: {row['error']}", markup=False)
    if more := len(failed[MOST_FAILURES:]):
        console.print(f"... and {more} more failures in {path / runs.SAMPLES}", markup=False)
    if folder.done:
        _costs_and_scores(console, folder.summary())


def _configuration(folder: RunFolder, config: RunConfig) -> dict[str, Any]:
    """Of texts that were made elsewhere, only what is known: where they are from, and which samples they are of."""
    whole: dict[str, Any] = config.model_dump(mode="json")
    if config.imported is None:
        return whole
    about = {key: whole[key] for key in ("data", "data_fingerprint", "split", "limit", "limit_seed", "seed")}
    return {"imported": folder.read(runs.CONFIG)["imported"], **about, "metrics": whole["profile"]["metrics"]}


def _costs_and_scores(console: Console, summary: Mapping[str, Any]) -> None:
    from rich.table import Table

    if summary.get("imported") is not None:
        console.print("imported: model, prompts and costs are not known: -")
    else:
        costs = Table("stage", *shared.cost_heads(), box=None, pad_edge=False)
        for stage, cost in summary["stages"].items():
            costs.add_row(stage, *shared.costs_of(StageCost(**cost)))
        console.print(costs)
        console.print(f"wall seconds: {summary['wall_seconds']:,.0f}")
    for why, count in summary["uncompared"].items():
        console.print(f"{summary['retriever']} had nothing to compare for {count} samples: {why}", markup=False)
    for category, values in summary["scores"].items():
        shown = "  ".join(f"{key} {value:.4f}" for key, value in values.items())
        console.print(f"{category} (n = {summary['n'][category]}): {shown}", markup=False)


def provenance(console: Console, path: Path) -> None:
    """Where a run comes from, one line for each fact: commit, versions, sources, weights, machine, times."""
    folder = RunFolder(path)
    about = folder.read(runs.CONFIG)
    origin = folder.read(runs.PROVENANCE)
    finished = folder.summary() if folder.done else {}
    facts = {
        "run": path.name,
        "identity": about["identity"],
        **{key: value for key, value in origin.items() if key != "command"},
        "command": "bench " + " ".join(origin["command"]),
        "finished": finished.get("finished", "not yet"),
        "sources": about["sources"],
        "trained": {k: v for k, v in (about.get("trained") or {}).items() if k != "epochs"},
        "metrics": finished.get("metric_versions", {}),
        "files": finished.get("files", {}),
        "config": _configuration(folder, read_config(folder)),
    }
    for key, value in _flat(facts):
        said = '""' if value == "" else value
        console.print(f"{key:34} {said}", markup=False)


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested mappings as dotted names. Empty mappings are left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value if isinstance(value, str) else runs.dump(value)


def training(console: Console, checkpoint: Checkpoint, choice: Choice) -> None:
    """Losses and validation METEOR of every epoch, and which epoch is used."""
    from rich.table import Table

    about = checkpoint.training
    console.print(
        f"{checkpoint.path}: {about['trainable']:,} parameters, {about['samples']} samples, {about['steps']} steps "
        f"in {about['seconds']:.0f} s on {about['device']}; {len(about['left_out'])} samples left out",
        markup=False,
    )
    losses = [key for key in about["epochs"][0] if key not in ("epoch", "seconds")]
    table = Table("epoch", *losses, "seconds", "val. METEOR", "", box=None, pad_edge=False)
    for row in about["epochs"]:
        epoch = str(row["epoch"])
        values = [*(f"{row[key]:.4f}" for key in losses), f"{row['seconds']:.0f}", f"{choice.meteor[epoch]:.4f}"]
        table.add_row(epoch, *values, "used" if row["epoch"] == choice.epoch else "")
    console.print(table)


def plan(console: Console, plans: Sequence[Plan]) -> None:
    """What is left to do for each cell, and how long it may take."""
    from rich.table import Table

    heads = ("run folder", "state", "samples left", "stage", "requests", "stored", "prompt tokens", "new tokens, about")
    grid = Table(*heads, box=None, pad_edge=False)
    for one in plans:
        head = (one.cell.name, one.cell.state, f"{one.pending} of {len(one.cell.samples)}")
        for stage, need in one.stages.items() or [("", None)]:
            counts = (need.requests, need.stored, need.prompt_tokens, round(need.new_tokens)) if need else ()
            grid.add_row(*head, stage, *(f"{count:,}" for count in counts))
            head = ("", "", "")
    console.print(grid)
    for line in dict.fromkeys(line for one in plans for line in one.unknown):
        console.print(line, markup=False)
    if any(one.seconds is None for one in plans):
        console.print("time: unknown, no finished run in this folder shows the speed of this engine")
    else:
        minutes = sum(one.seconds or 0.0 for one in plans) / 60
        console.print(f"time: about {minutes:.1f} minutes of generation, at the speed of earlier runs in this folder")
