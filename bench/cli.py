"""`bench`: options -> configuration -> one call a verb. Nothing heavy is imported until a verb runs.

The verbs are in bench/commands. Tables and data go to stdout, progress and errors to stderr. Exit codes: 0 done,
1 some samples failed or the engine died, 2 something for the user to change (one line says what), 3 results
moved (`bench regress`) or do not hold (`bench verify`), 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from bench import stop
from bench.commands import (
    data,
    differences,
    examples,
    exchange,
    figures,
    grid,
    judge,
    machine,
    probe,
    regress,
    remove,
    results,
    run,
    swap,
    tables,
    train,
    validity,
)
from bench.console.terminal import inert, quieten
from bench.errors import BenchError, of_the_disk

# Plain help: rich's boxes cut the names of options where a terminal has 80 columns.
PLAIN: dict[str, Any] = {"rich_markup_mode": None, "add_completion": False, "pretty_exceptions_enable": False}

app = typer.Typer(
    help="Measure LLM personalization: every method and retriever on one engine.", epilog=examples.epilog(""), **PLAIN
)
data_app = typer.Typer(help="Build and describe datasets.", epilog=examples.epilog("data"), **PLAIN)
models_app = typer.Typer(help="Fetch models.", epilog=examples.epilog("models"), **PLAIN)
import_app = typer.Typer(help="Bring in texts that were made elsewhere.", epilog=examples.epilog("import"), **PLAIN)
export_app = typer.Typer(help="Write what code elsewhere needs.", epilog=examples.epilog("export"), **PLAIN)
GROUPS = {"": app, "data": data_app, "models": models_app, "import": import_app, "export": export_app}

VERBS: dict[str, Callable[..., None]] = {
    "run": run.run,
    "train": train.train,
    "grid": grid.grid,
    "table": tables.table,
    "compare": tables.compare,
    "power": differences.power,
    "metrics": differences.metrics,
    "judge": judge.judge,
    "swap": swap.swap,
    "plot": figures.plot,
    "report": figures.report,
    "probe": probe.probe,
    "validity": validity.validity,
    "regress": regress.regress,
    "show": results.show,
    "score": results.score,
    "verify": results.verify,
    "rm": remove.rm,
    "ls": machine.ls,
    "doctor": machine.doctor,
    "data build": data.data_build,
    "data fetch": data.data_fetch,
    "data import": data.data_import,
    "data stats": data.data_stats,
    "data validate": data.data_validate,
    "data world": data.data_world,
    "models pull": machine.models_pull,
    "models make": machine.models_make,
    "export samples": exchange.export_samples,
    "import predictions": exchange.import_predictions,
}
for words, verb in VERBS.items():
    group, _, name = words.rpartition(" ")
    first = " ".join((verb.__doc__ or "").split()).partition(". ")[0].rstrip(".")  # in lists; typer would cut it
    GROUPS[group].command(name, short_help=f"{first}.", epilog=examples.epilog(words))(verb)
for name, group_app in GROUPS.items():
    if name:
        app.add_typer(group_app, name=name)


def _version(asked: bool) -> None:
    if asked:
        from bench.record import provenance

        source = provenance.commit()
        changed = ", changed" if source.get("dirty") else ""
        commit = f" (commit {source['commit'][:12]}{changed})" if source else ""
        print(f"dep-bench {provenance.versions().get('dep-bench', 'from source')}{commit}")
        raise typer.Exit


@app.callback()
def whole(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point: errors that we expect become one line and an exit code."""
    quieten()
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
