"""Commands on single runs: `bench show`, `bench verify`, `bench score`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.commands.options import Out, Plugin, Runs
from bench.commands.output import console, one_by_one, print_boards, working
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.record.runs import RunFolder
    from bench.score.finish import Again
    from results.tables.finished_runs import FinishedRun


def show(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder, its name below --out, or a method with one run there.")
    ],
    sample: Annotated[
        str | None, typer.Option("--sample", help="Sample id: prompt, retrieved reviews, text, reference.")
    ] = None,
    provenance: Annotated[
        bool,
        typer.Option("--provenance", help="Where the run comes from: commit, versions, weights, machine, times."),
    ] = False,
    out: Out = Path("runs"),
    plugin: Plugin = None,
) -> None:
    """Show a run: configuration, costs, failures, scores. Or its provenance, or one of its samples."""
    from results.tables import named_rows, show_sample
    from results.tables import show as views

    folder = named_rows.folder(folder, out)
    if sample:
        show_sample.show(console(), folder, sample)
    elif provenance:
        views.provenance(console(), folder)
    else:
        views.run(console(), folder)


def verify(places: Runs = None, out: Out = Path("runs"), plugin: Plugin = None) -> None:
    """Check that finished runs still prove their rows: files, data, sources, weights, texts, scores. Generates nothing.

    Exit code 3 if a run does not, 1 if something could not be checked or a run is not finished.
    """
    from results.checks import verify as verification

    folders = _folders(places, out)
    worst, terminal = 0, console()
    with verification.Verifier() as verifier:
        for folder in folders:
            terminal.print(folder.path.name, markup=False)
            for check in one_by_one(verifier.verify(folder), f"verifying {folder.path.name}"):
                word = {True: "ok", False: "WRONG", None: "unknown"}[check.holds]
                terminal.print(f"  {word:8}{check.name:10}{check.says}", markup=False)
                code = {True: 0, False: verification.DISPROVED, None: verification.UNKNOWN}[check.holds]
                worst = max(worst, code)
    verdicts = {0: "proved", verification.UNKNOWN: "not proved: not all could be checked"}
    terminal.print(verdicts.get(worst, "NOT PROVED"))
    if worst:
        raise typer.Exit(worst)


def score(
    places: Runs = None,
    metric: Annotated[
        str,
        typer.Option(
            "--metric",
            help="Score by these alone, separated by commas.",
            show_default="all that a run has",
        ),
    ] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Metric options: judge.model=NAME, judge.base_url=URL.")
    ] = None,
    out: Out = Path("runs"),
    plugin: Plugin = None,
) -> None:
    """Score finished runs again from their stored texts. Generates no sample; a judge is asked once for each answer."""
    from bench.suite import grid
    from results.tables.assemble import leaderboards

    options = grid.metric_settings(grid.settings(set_ or []))
    scored = _score(_folders(places, out), grid.metrics(metric), options)
    if not scored:
        raise UserError("none of these runs is finished; run the same `bench run` again to go on")
    with working(f"table of {len(scored)} runs: intervals by resampling users"):
        boards = leaderboards(scored, all_columns=True)
    print_boards(boards)


def _score(folders: list[RunFolder], metrics: list[str], options: Mapping[str, Mapping[str, Any]]) -> list[FinishedRun]:
    """Scores the finished folders with these metrics; with those that they have already, where none is named."""
    from functools import cache

    from bench.data.corpus import load
    from bench.score.finish import score_folder
    from bench.score.judging import Judges
    from bench.score.keep import interrupted
    from bench.score.written import read_config
    from results.tables.finished_runs import FinishedRun

    scored, corpus_of = [], cache(load)
    with working(f"scoring {len(folders)} runs") as meter, Judges(say=meter.say) as judges:
        for number, folder in enumerate(folders, start=1):
            meter.start(f"scoring {folder.path.name}: {number} of {len(folders)} runs")
            if not folder.done and not interrupted(folder):
                meter.say(f"{folder.path.name} is not finished and is left out; run its command again")
                continue
            with folder.locked():
                corpus = corpus_of(read_config(folder).data)
                again = _again(folder, metrics, meter.say)
                summary = score_folder(
                    folder, corpus, metrics=metrics or None, options=options, judges=judges, again=again
                )
                scored.append(FinishedRun(folder, summary))
    return scored


def _again(folder: RunFolder, metrics: list[str], say: Callable[[str], None]) -> Again:
    from bench.score.keep import interrupted

    if not metrics:
        return "all"
    if interrupted(folder):
        say(f"{folder.path.name}: its last scoring was cut off; all its metrics are scored")
        return "all"
    return "named"


def _folders(places: list[Path] | None, out: Path) -> list[RunFolder]:
    """The run folders that the arguments name. Raises UserError if there are none."""
    from bench.record import elsewhere
    from results.tables import named_rows

    folders = [folder for place in places or [out] for folder in named_rows.folders(place, out)]
    if not folders:
        others = elsewhere.said(out)
        there = f"; there are runs in {others}" if others else ""
        raise UserError(
            f"no runs in {', '.join(map(str, places or [out]))}; name a run folder, a method or an output folder{there}"
        )
    return folders
