"""`bench regress`: compares finished runs with a baseline, for example in CI."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.options import Plugin, SuiteRuns
from bench.commands.output import console, working

if TYPE_CHECKING:
    from results.checks.regress import Verdict, Written


def regress(
    baseline: Annotated[Path, typer.Argument(help="A JSON file made by --write.")],
    places: SuiteRuns = None,
    write: Annotated[bool, typer.Option("--write", help="Make these runs the baseline.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
    plugin: Plugin = None,
) -> None:
    """Compare finished runs with a baseline, value by value. Exit code 3 if something moved."""
    from results.checks import regress as regression
    from results.tables.which_runs import select

    with working("reading finished runs") as meter:
        _, found = select(places, say=meter.say)
        meter.start(f"values of {len(found)} runs for {baseline}: from their rows, by resampling users")
        if write:
            written = regression.write(baseline, found)
        else:
            verdict = regression.compare(baseline, found)
    if write:
        _show_written(baseline, written)
        return
    if as_json:
        print(json.dumps(asdict(verdict), indent=1))
    else:
        _show(verdict)
    if verdict.moved:
        raise typer.Exit(regression.MOVED)


def _show_written(baseline: Path, written: Written) -> None:
    print(f"{baseline}: {written.values} values, including n and failed of every cell")
    for key, (least, most) in written.finds.items():
        print(f"  {key}: finds a change of {least:.4f}" + (f" to {most:.4f}" if most > least else ""))
    if written.left_out:
        print(f"left out, as empty texts would pass: {len(written.left_out)} values: {', '.join(written.left_out)}")


def _show(verdict: Verdict) -> None:
    from rich.markup import escape
    from rich.table import Table

    if verdict.moved:
        table = Table("cell", "value", "was", "is", "difference", "tolerance", box=None, pad_edge=False)
        for one in verdict.moved:
            now = ("gone", "") if one.value is None else (f"{one.value:.4f}", f"{one.value - one.was:+.4f}")
            tolerance = "none" if one.tolerance is None else f"{one.tolerance:.4f}"
            table.add_row(escape(one.cell), escape(one.what), f"{one.was:.4f}", *now, tolerance)
        console().print(table)
    for name in verdict.new:
        console().print(f"not in the baseline: {name}", markup=False)
    console().print(f"{len(verdict.moved)} of {verdict.compared} values moved")
