"""Errors that carry one line for the user, and nothing else.

Exit codes (bench.cli): a `UserError` ends with 2, a run with failed samples with 1,
`EngineError` with 1. Anything else is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class BenchError(Exception):
    """Base: the message is one line naming the thing, the cause and the next command."""

    exit_code = 1


class UserError(BenchError):
    """Something that the user gave, or that the machine lacks. Exit code 2."""

    exit_code = 2


class EngineError(BenchError):
    """The engine died or never started. What was finished is stored: the same command goes on."""


class SampleFailure(BenchError):
    """One sample could not be written. It is recorded on its row, counted, and scores 0."""


# What a disk refuses because it is full, broken or not ours.
_OF_THE_DISK = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
}


def of_the_disk(error: OSError) -> UserError | None:
    """One line for what was refused of a named file, or by a full or broken disk; None for another error: a bug."""
    if error.filename is None and error.errno not in _OF_THE_DISK:
        return None
    return UserError(
        f"{error.filename or 'output'}: {error.strerror}; make room or name another folder, then run again"
    )


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """`no method 'dpp'; did you mean 'dpl'? Known: ...`"""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    return UserError(f"no {kind} '{name}'{hint} Known: {', '.join(names) or 'none'}")


def no_file(kind: str, name: str, known: Iterable[str]) -> UserError:
    """`unknown`, for what may also be a file's path: a path that is none is said to be one."""
    if name.endswith(".toml") or "/" in name:
        return UserError(
            f"{kind} file {name} does not exist; check the path, or name one of {', '.join(sorted(known))}"
        )
    return unknown(kind, name, known)


def mistake(error: ValidationError) -> str:
    """The first mistake in a file that pydantic checked: `train.lr = 'fast': Input should be a valid number`."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    # A check of our own says what it has to say, and may be about what must not be shown.
    given = "" if first["type"] in ("missing", "value_error") else f" = {first['input']!r:.60}"
    return f"{where}{given}: {first['msg'].removeprefix('Value error, ')}"
