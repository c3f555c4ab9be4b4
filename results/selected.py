"""What a command on finished runs was asked for: all runs in some places, or those of a suite among them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench import runs, suite
from bench.errors import UserError
from bench.suite import Suite
from results.finished import Finished, finished


def select(places: Sequence[Path] | None) -> tuple[Suite | None, list[Finished]]:
    """The finished runs of `[SUITE] [PLACE ...]`; no place means runs/. Raises UserError where there are none."""
    chosen, rest = suite_of(places)
    found = finished(map(runs.named, rest))
    if chosen is None or not chosen.cells:
        return chosen, found
    wanted = suite.keys(chosen)
    kept = [run for run in found if _key(run, own_k=True) in wanted or _key(run, own_k=False) in wanted]
    if not kept:
        raise UserError(
            f"no finished run in {', '.join(map(str, rest))} is of suite '{chosen.name}'; "
            f"`bench grid {chosen.name} --out {rest[0]}` makes them"
        )
    return chosen, kept


def suite_of(places: Sequence[Path] | None) -> tuple[Suite | None, list[Path]]:
    """A first word that names a suite and no folder of runs, and the places after it."""
    given = list(places or [])
    first = given[0] if given else None
    if first is not None and (str(first) in suite.suites() or first.suffix == ".toml") and not runs.find(first):
        return suite.load(str(first)), given[1:] or [Path("runs")]
    return None, given or [Path("runs")]


def _key(run: Finished, *, own_k: bool) -> tuple[str, str | None, str, int | None]:
    """As in `suite.keys`: K as a number, or None where it is the profile's own."""
    summary = run.summary
    k: int | None = summary["k"]
    if own_k and summary["retriever"] and k == run.folder.read(runs.CONFIG)["config"]["profile"]["k"]:
        k = None
    return summary["method"], summary["retriever"], summary["variant"], k
