"""Plug-ins at work: what goes wrong in their own code is one line that names the plug, its file and the sample.

Built-in plugs have no such line: what they raise is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

from bench import registry
from bench.errors import BenchError, PluginError

ERROR = "scoring-error.txt"  # in a run's folder: the traceback of what kept it from being scored


def is_ours(kind: registry.Kind, name: str) -> bool:
    return name in registry.BUILTIN[kind]


def failed(kind: registry.Kind, name: str, where: str, error: BaseException) -> PluginError:
    """`metric 'mine' of /home/me/mine.py failed on sample a/b: ValueError: no words`, caused by the error."""
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    failure = PluginError(f"{kind} '{name}' of {registry.origin(kind, name)} failed {where}: {said}")
    failure.__cause__ = error
    return failure


@contextlib.contextmanager
def working(kind: registry.Kind, name: str, where: str) -> Iterator[None]:
    """Around a plug-in's code. Raises PluginError for what it raises, but for errors that are lines already."""
    try:
        yield
    except BenchError:
        raise
    except (Exception, SystemExit) as error:
        if is_ours(kind, name):
            raise
        raise failed(kind, name, where, error) from error


@contextlib.contextmanager
def traced(folder: Path) -> Iterator[None]:
    """Keeps the traceback of a plug-in's failure in a run's folder, and says where; removes that of an earlier one."""
    file = folder / ERROR
    try:
        yield
    except PluginError as error:
        with contextlib.suppress(OSError):
            file.write_text("".join(traceback.format_exception(error)), "utf-8", "backslashreplace")
        raise PluginError(f"{error} (traceback: {file}); mend it and run the same command: no text is lost") from error
    file.unlink(missing_ok=True)
