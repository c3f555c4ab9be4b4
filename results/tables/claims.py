"""What a suite says must come out, tested on its runs: `bench grid SUITE` and `bench table SUITE` print it.

A claim is of the difference of two rows on one dataset, over all its samples: paired by sample, mean over seeds,
clustered by user (results/statistics). That one is better must show at the 5 % level, Holm-corrected over all claims
of this kind. That one is at most so much better shows where the upper end of the 95 % interval lies below that; so few
samples make a claim fail, not hold. A claim that does not hold is a finding about an implementation or about the world.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bench import registry
from bench.data.corpus import resolve
from bench.errors import UserError
from bench.score.written import read_config
from bench.suite.suite import Claim, Side, Suite
from results.statistics import inference, resampling
from results.statistics.resampling import Difference, Estimate
from results.tables.finished_runs import FinishedRun

if TYPE_CHECKING:
    from rich.console import Console

    from bench.config import RunConfig
    from bench.score.score_arrays import ScoreArrays

State = Literal["holds", "open", "not run"]
ALL = "all"


@dataclass(frozen=True)
class Finding:
    """One claim on one dataset. `p` is Holm-corrected; nan for a claim of at most, which is read off the interval."""

    claim: Claim
    data: str
    better: str
    worse: str
    estimates: tuple[Estimate, Estimate] | None = None  # None where no seed of both sides has the same samples
    difference: Difference | None = None
    p: float = math.nan

    @property
    def state(self) -> State:
        if self.difference is None:
            return "not run"
        if self.claim.at_most is not None:
            return "holds" if self.difference.high < self.claim.at_most else "open"
        return "holds" if self.difference.value > 0 and self.p <= inference.LEVEL else "open"


def check(suite: Suite, found: Sequence[FinishedRun]) -> list[Finding]:
    """Every claim of the suite on each of its datasets, in order. Raises UserError for a claim without such a value."""
    runs = [(read_config(run.folder), run) for run in found]
    findings = [_finding(*one, runs) for claim in suite.claims for one in _cases(claim)]
    tested = [place for place, one in enumerate(findings) if one.difference and one.claim.at_most is None]
    adjusted = inference.holm([findings[place].difference.p for place in tested])  # type: ignore[union-attr]
    for place, p in zip(tested, adjusted, strict=True):
        findings[place] = replace(findings[place], p=p)
    return findings


def _cases(claim: Claim) -> Iterator[tuple[Claim, str, Side, Side]]:
    """The claim for each of its datasets and methods, both sides with a method."""
    for data in claim.data:
        for method in claim.methods or (None,):
            better, worse = (
                side if side.method else side.model_copy(update={"method": method})
                for side in (claim.better, claim.worse)
            )
            yield claim, data, better, worse


def _finding(
    claim: Claim, data: str, better: Side, worse: Side, runs: Sequence[tuple[RunConfig, FinishedRun]]
) -> Finding:
    finding = Finding(claim, data, _said(better), _said(worse))
    scores = _paired(*(_matching(side, data, runs) for side in (better, worse)))
    if not scores[0]:
        return finding
    everyone = {ALL: np.ones_like(scores[0][0].user, bool)}
    estimates = resampling.estimate(scores, everyone, [claim.value])
    a, b = (estimates.get((place, ALL, claim.value)) for place in (0, 1))
    if a is None or b is None:
        raise UserError(f"claim {claim.says!r}: its runs have no value '{claim.value}'; score them with --metric")
    return replace(finding, estimates=(a, b), difference=resampling.difference(a, b))


Seeds = dict[tuple[str, int], "ScoreArrays"]  # (samples, seed) -> scores


def _paired(better: Seeds, worse: Seeds) -> list[list[ScoreArrays]]:
    """The scores of both sides, of the seeds that both have on the same samples; of several sets the last."""
    both = [key for key in better if key in worse]
    chosen = [key for key in both if key[0] == both[-1][0]]
    return [[side[key] for key in chosen] for side in (better, worse)]


def _matching(side: Side, data: str, runs: Sequence[tuple[RunConfig, FinishedRun]]) -> Seeds:
    """The scores of this side's runs; of several with the same samples and seed the newest's."""
    options = _options(side)
    mine = [
        (config, run)
        for config, run in runs
        if config.method == side.method
        and config.retriever in (None, side.retriever)
        and config.history == side.history
        and resolve(config.data) == resolve(data)
        and dict(config.method_options) == options
    ]
    by_age = sorted(mine, key=lambda one: str(one[1].summary["finished"]))
    return {(run.scores.samples, config.seed): run.scores for config, run in by_age if run.scores is not None}


def _options(side: Side) -> dict[str, Any]:
    """All options of the side's method. Raises UserError for one that it has not."""
    method = str(side.method)
    given = {key.removeprefix(f"{method}."): value for key, value in side.set.items()}
    component = registry.create("method", method, given)
    return {name: getattr(component, name) for name in registry.options_of("method", method)}


def _said(side: Side) -> str:
    """The side in the words of the command line: `dep embeddings=his history=random`."""
    uses = registry.load("method", str(side.method)).uses_retriever  # type: ignore[attr-defined]
    options = [f"{key.partition('.')[2]}={value}" for key, value in side.set.items()]
    other = [f"history={side.history}"] if side.history != "own" else []
    return " ".join([str(side.method), *([side.retriever] if uses else []), *options, *other])


def show(console: Console, findings: Sequence[Finding]) -> None:
    """Prints the claims as a table, and how many hold."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    grid = Table(title="What must come out", box=box.SIMPLE, title_justify="left", pad_edge=False, padding=(0, 1))
    for head in ("Claim", "Data", "A", "B"):
        grid.add_column(head, overflow="fold")
    for head in ("A ", "B ", "A - B", "95 % interval", "p (Holm)", "n"):
        grid.add_column(head, justify="right", no_wrap=True)
    grid.add_column("", no_wrap=True)
    for one in findings:
        style = {"holds": "", "open": "bold", "not run": "dim"}[one.state]
        grid.add_row(
            *map(escape, (one.claim.says, one.data, one.better, one.worse)), *_numbers(one), one.state, style=style
        )
    console.print(grid)
    held, tested = (sum(one.state in states for one in findings) for states in (("holds",), ("holds", "open")))
    console.print(
        f"{held} of {tested} claims hold"
        + (f", {len(findings) - tested} were not run" if tested < len(findings) else "")
        + ". Over all samples of the dataset, paired by sample, bootstrap and t-test over users; "
        "level 5 %, Holm-corrected over the claims with a p. An open claim is a finding.",
        style="dim",
        markup=False,
    )


def _numbers(one: Finding) -> list[str]:
    if one.difference is None or one.estimates is None:
        return ["-"] * 6
    made, (a, b) = one.difference, one.estimates
    limit = f" (at most {one.claim.at_most:g})" if one.claim.at_most is not None else ""
    p = "-" if math.isnan(one.p) else "<0.0001" if one.p < 0.0001 else f"{one.p:.4f}"
    return [
        f"{a.value:.3f}",
        f"{b.value:.3f}",
        f"{made.value:+.3f}{limit}",
        f"{made.low:+.3f} to {made.high:+.3f}",
        p,
        str(a.n),
    ]
