"""What the `bench data` commands print: the report of a build or an import, peers, findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from bench.data.build.report import BuildReport
    from bench.data.published.report import ImportReport
    from bench.data.statistics import Peers
    from bench.data.validate import Finding


def build_report(console: Console, report: BuildReport) -> None:
    """Counts after every step, notes, and where the dataset is."""
    from rich.table import Table

    steps = Table("step", "reviews", "users", "items", box=None, pad_edge=False)
    for step in report.steps:
        steps.add_row(step.step, *(f"{value:,}" for value in (step.reviews, step.users, step.items)))
    console.print(steps)
    _notes(console, report.notes)
    counts = ", ".join(f"{split} {n}" for split, n in report.samples.items())
    console.print(
        f"{report.out}, category {report.category}: {counts} samples; `bench run --data {report.out}` uses it",
        markup=False,
    )


def import_report(console: Console, report: ImportReport) -> None:
    """Counts of every category, notes, and where the dataset is."""
    from rich.table import Table

    heads = ("users", "items", "reviews", "train", "val", "test")
    table = Table("category", *heads, "shared items", box=None, pad_edge=False)
    for category, counts in report.counts.items():
        table.add_row(category, *(f"{counts[head]:,}" for head in heads), f"{report.shared[category]:,}")
    console.print(table)
    _notes(console, report.notes)
    console.print(f"{report.out}: `bench run --data {report.out}` uses it", markup=False)


def peers(console: Console, rows: Sequence[Peers], alone: Sequence[str]) -> None:
    """Peers per category and split, and near-duplicates that may help a method more than they should."""
    from rich.table import Table

    from bench.data.corpus import NO_PEERS

    shares = ("no peer at all", "an item without", "newer peer", "alike in history", "alike in peers")
    table = Table("category", "split", "samples", "peers a past review", *shares, box=None, pad_edge=False)
    for row in rows:
        values = (row.none, row.some_without, row.newer, row.in_history, row.in_peers)
        per_review = f"{row.per_review[0]:.2f} ± {row.per_review[1]:.2f}"
        head = (row.category, row.split, str(row.samples), per_review)
        table.add_row(*head, *(f"{value:.1%}" for value in values))
    console.print()
    console.print(table)
    console.print(
        "newer peer: some peer is not known to be older than the target; alike: a text sharing 80 % of word 5-grams "
        "with the reference, in the history or in peers' reviews of its items and the target's"
    )
    if alone:
        console.print(f"note: {NO_PEERS.format(', '.join(alone))}", markup=False)


def findings(console: Console, name: str, found: Sequence[Finding]) -> None:
    """Every kind of problem with its first cases."""
    for finding in found:
        console.print(f"{finding.count} times: {finding.what}", style="bold", markup=False)
        for example in finding.examples:
            console.print(f"  {example}", markup=False)
    if not found:
        console.print(f"{name}: nothing wrong", markup=False)


def _notes(console: Console, notes: Sequence[str]) -> None:
    for note in notes:
        console.print(f"note: {note}", markup=False)
