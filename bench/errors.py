"""Errors that carry one line for the user, and nothing else.

Exit codes (bench.cli): a `UserError` ends with 2, a run with failed samples with 1,
`EngineError` with 1. Anything else is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


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
    """One line for what a full, broken or forbidden disk refused; None for any other error, which is a bug."""
    if error.errno not in _OF_THE_DISK:
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
