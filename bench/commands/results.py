"""Commands on finished runs: `bench table`, `show`, `score`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.output import Runs, console, print_boards, to_stderr
from bench.errors import UserError, unknown


def table(
    places: Runs = None,
    all_columns: Annotated[bool, typer.Option("--all", help="Every column, not only the paper's.")] = False,
    costs: Annotated[
        bool, typer.Option("--costs", help="Requests, store hits, tokens and seconds of every row.")
    ] = False,
    form: Annotated[str, typer.Option("--format", help="terminal, markdown or csv.")] = "terminal",
) -> None:
    """The leaderboard of finished runs: categories as column groups, best in bold, second underlined."""
    from results import leaderboard, render

    boards = leaderboard.leaderboards(leaderboard.summaries(places or [Path("runs")]), all_columns=all_columns)
    if form == "terminal":
        print_boards(boards, costs=costs)
    elif form == "markdown":
        print("\n".join(render.markdown(board, costs=costs) for board in boards))
    elif form == "csv":
        print("".join(map(render.as_csv, boards)), end="")
    else:
        raise unknown("format", form, ("terminal", "markdown", "csv"))


def show(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    sample: Annotated[
        str | None, typer.Option("--sample", help="Sample id: prompt, retrieved reviews, text, reference.")
    ] = None,
) -> None:
    """What a run was, what it cost and what failed; or one of its samples."""
    from results import show as views

    views.sample(console(), folder, sample) if sample else views.run(console(), folder)


def score(
    places: Runs = None,
    metric: Annotated[str, typer.Option("--metric", help="Names separated by commas. [default: the profile's]")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Metric options: judge.model=NAME, judge.base_url=URL.")
    ] = None,
) -> None:
    """Score finished runs again from their stored texts. Writes no sample; a judge is asked once an answer."""
    from functools import cache

    from bench import grid, runs
    from bench.data.corpus import load
    from bench.finish import read_config, score_folder
    from bench.judging import Judges
    from results.leaderboard import leaderboards

    options = grid.metric_settings(grid.settings(set_ or []))
    folders = [folder for place in places or [Path("runs")] for folder in runs.find(place)]
    if not folders:
        raise UserError("no runs here; name a run folder or an output folder")
    summaries, corpus_of = [], cache(load)
    with Judges(say=to_stderr) as judges:
        for folder in folders:
            if not folder.done:
                to_stderr(f"{folder.path.name} is not finished: left out; run its command again")
                continue
            with folder.locked():
                corpus = corpus_of(read_config(folder).data)
                wanted = grid.words(metric) or None
                summaries.append(score_folder(folder, corpus, metrics=wanted, options=options, judges=judges))
    if not summaries:
        raise UserError("none of these runs is finished; run the same `bench run` again to go on")
    print_boards(leaderboards(summaries, all_columns=True))
