"""`bench`: options -> configuration -> one call a verb. Nothing heavy is imported until a verb runs.

The verbs are in bench/commands. Tables and data go to stdout, progress and errors to stderr. Exit codes: 0 done,
1 some samples failed or the engine died, 2 something for the user to change (one line says what), 3 results
moved (`bench regress`) or do not hold (`bench verify`), 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from pathlib import Path

import typer
from typer.exceptions import TyperException

from bench import stop
from bench.commands import data, figures, grid, machine, probe, regress, results, run, tables, train
from bench.console.terminal import inert
from bench.errors import BenchError, of_the_disk

app = typer.Typer(
    help="Measure LLM personalization: every method and retriever on one engine.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Build and describe datasets.")
models_app = typer.Typer(help="Fetch models.")

for verb in (
    run.run,
    train.train,
    grid.grid,
    tables.table,
    tables.compare,
    figures.plot,
    figures.report,
    probe.probe,
    regress.regress,
    results.show,
    results.score,
    results.verify,
    machine.ls,
    machine.doctor,
):
    app.command()(verb)
data_app.command("build")(data.data_build)
data_app.command("fetch")(data.data_fetch)
data_app.command("import")(data.data_import)
data_app.command("stats")(data.data_stats)
data_app.command("validate")(data.data_validate)
data_app.command("world")(data.data_world)
models_app.command("pull")(machine.models_pull)
models_app.command("make")(machine.models_make)
app.add_typer(data_app, name="data")
app.add_typer(models_app, name="models")


def main() -> None:
    """Entry point: errors that we expect become one line and an exit code."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if not Path("/dev/nvidiactl").exists():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # transformers imports deepspeed, which else prints a guess
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a review may hold what the terminal cannot show
    with stop.listening():
        raise SystemExit(_code())


def _code() -> int:
    """Runs the command that the words name; its exit code."""
    try:
        code = app(sys.argv[1:] or ["--help"], prog_name="bench", standalone_mode=False) or 0
        sys.stdout.flush()
    except TyperException as error:
        command = context.command_path if (context := getattr(error, "ctx", None)) else "bench"
        return _failed(f"{error.format_message().rstrip('.')}; see `{command} --help`", 2)
    except BenchError as error:
        return _failed(str(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `bench table | head` is no failure
        return 0
    except OSError as error:
        if (refused := of_the_disk(error)) is None:
            raise
        return _failed(str(refused), refused.exit_code)
    return code


def _failed(message: str, code: int) -> int:
    """Says one line, whatever an error's text holds. After Ctrl-C nothing is said: what it breaks is no failure."""
    if not stop.asked():
        print(inert(f"bench: {' '.join(message.split())}"), file=sys.stderr)
    return code
