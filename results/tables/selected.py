"""What a command on finished runs was asked for: all runs in some places, or those of a suite among them.

A suite may be run with other words than its own (`bench grid table1 --profile tiny --limit 6`). Runs that are as the
suite says go before others; where there are none, all runs of its cells are taken and what they differ in is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.config import RunConfig
from bench.data import corpus
from bench.errors import UserError
from bench.record import runs
from bench.suite import suite
from bench.suite.suite import Suite
from results.tables import settings
from results.tables.finished import Finished, finished

Say = Callable[[str], None]


def select(places: Sequence[Path] | None, *, say: Say = lambda text: None) -> tuple[Suite | None, list[Finished]]:
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
    return chosen, _as_it_says(chosen, kept, say)


def _as_it_says(chosen: Suite, kept: list[Finished], say: Say) -> list[Finished]:
    """Those with the suite's own settings; all where none has them."""
    cells = suite.own(chosen)
    apart = [_apart(run, cells) for run in kept]
    own = [run for run, differs in zip(kept, apart, strict=True) if not differs]
    if not own:
        said = "; ".join(dict.fromkeys(one for differs in apart for one in differs))
        say(f"note: no run is as suite '{chosen.name}' says: {said}")
    elif len(own) < len(kept):
        say(f"note: {len(kept) - len(own)} runs of suite '{chosen.name}' with other settings than its own are left out")
    return own or kept


def suite_of(places: Sequence[Path] | None) -> tuple[Suite | None, list[Path]]:
    """A first word that names a suite and no folder of runs, and the places after it."""
    given = list(places or [])
    first = given[0] if given else None
    if first is not None and (str(first) in suite.suites() or first.suffix == ".toml") and not runs.find(first):
        return suite.load(str(first)), given[1:] or [Path("runs")]
    return None, given or [Path("runs")]


def _apart(run: Finished, cells: dict[suite.Key, list[RunConfig]]) -> list[str]:
    """What the run was set to otherwise than its cell of the suite."""
    mine = run.folder.read(runs.CONFIG)["config"]
    same = [config for own_k in (True, False) for config in cells.get(_key(run, own_k=own_k), [])]
    apart = [settings.differences(_decided(mine), _decided(config.model_dump(mode="json"))) for config in same]
    return min(apart, key=len, default=[])


def _decided(config: dict[str, Any]) -> dict[str, Any]:
    """What a suite and the command line decide besides the cell."""
    profile = config["profile"]
    keys = ("temperature", "top_p", "max_new_tokens", "input_budget", "dtype")
    return {
        "data": corpus.resolve(config["data"]),
        "split": config["split"],
        "limit": config["limit"],
        "engine": config["generator"],
        "model": profile["llm"],
        **{key: profile[key] for key in keys},
        "deterministic": config["deterministic"],
    }


def _key(run: Finished, *, own_k: bool) -> suite.Key:
    """As in `suite.keys`: K as a number, or None where it is the profile's own."""
    summary = run.summary
    k: int | None = summary["k"]
    if own_k and summary["retriever"] and k == run.folder.read(runs.CONFIG)["config"]["profile"]["k"]:
        k = None
    return summary["method"], summary["retriever"], summary["variant"], k
