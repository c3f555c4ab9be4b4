"""`bench rm`: takes runs away, and stored answers that no run uses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.options import Out, Plugin
from bench.commands.output import to_stderr
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.run.removing import Removal


def rm(
    places: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN", help="Runs: paths, names below --out, or the beginnings of names."),
    ] = None,
    store: Annotated[
        bool, typer.Option("--store", help="Also the answers in the request store that no run uses any more.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    out: Out = Path("runs"),
    plugin: Plugin = None,
) -> None:
    """Remove runs. Asks first. Their answers stay in the request store: running them again generates nothing."""
    from contextlib import ExitStack

    from bench.run import removing

    if not places and not store:
        raise UserError("name a run to remove (`bench ls runs`), or --store for the answers that no run uses")
    folders = [removing.named(place, out) for place in places or []]
    with ExitStack() as stack:
        removal = removing.plan(folders, out, stack, store=store)
        what = _what(removal)
        if not what:
            print(f"nothing to remove: every one of {removal.n_stored} stored answers is used by a run")
            return
        if not yes:
            _ask(what)
        freed = removing.carry_out(removal, out)
    print(f"removed {what}")
    if removal.answers is not None:
        print(f"{removal.n_stored - len(removal.answers)} stored answers stay; the store is {_size(freed)} smaller")
    else:
        to_stderr(f"the answers stay in {out / '.store'}; `bench rm --store --out {out}` removes what no run uses")


def _what(removal: Removal) -> str:
    """`2 runs (1.2 MB): a, b; 40 of 100 stored answers, which no run uses`; "" for nothing."""
    parts = []
    if removal.folders:
        names = ", ".join(folder.path.name for folder in removal.folders)
        n = len(removal.folders)
        parts.append(f"{n} run{'s' if n > 1 else ''} ({_size(removal.bytes)}): {names}")
    if removal.answers:
        parts.append(f"{len(removal.answers)} of {removal.n_stored} stored answers, which no run uses")
    return "; ".join(parts)


def _ask(what: str) -> None:
    """Raises UserError for any answer but yes, and where nobody can be asked."""
    if not sys.stdin.isatty():
        raise UserError(f"nothing is removed without being asked ({what}); add --yes")
    print(f"remove {what}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserError("nothing is removed")


def _size(n: int) -> str:
    return f"{n / 1e6:.1f} MB" if n >= 1e5 else f"{n / 1e3:.0f} kB"
