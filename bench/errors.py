"""Errors that are one line for the user.

Exit codes (bench.cli): 2 for a `UserError`; 1 for an `EngineError`, a `PluginError`, or a run with failed samples. Any
other exception is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


MOST_NAMES = 8  # that an unclear name is said to stand for


class BenchError(Exception):
    """Base: the message is one line that names the thing, the cause and the next command."""

    exit_code = 1


class UserError(BenchError):
    """Something wrong in what the user gave, or missing on the machine. Exit code 2."""

    exit_code = 2


class WrongContent(UserError, ValueError):
    """A file of a run is valid JSON with wrong content: it was edited, or another version wrote it."""


class EngineError(BenchError):
    """The engine died or never started. Finished answers are stored, so the same command continues."""


class PluginError(BenchError):
    """The code of a plug-in failed. Finished answers are stored, so the same command continues once it is mended."""


class SampleFailure(BenchError):
    """One sample could not be written. Its row records this; the sample is counted as failed and scores 0."""


# Errors of a disk that is full, broken or not ours.
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
    """The error as one line, if it names a file or the disk is full or broken. None for any other error: a bug."""
    if error.filename is None and error.errno not in _OF_THE_DISK:
        return None
    return UserError(
        f"{error.filename or 'output'}: {error.strerror}; make room or name another folder, then run again"
    )


def matches(name: str, *tiers: Iterable[str]) -> list[str]:
    """The known names that a name means: itself, else those equal but for case, else those that it is the start of.

    A start is looked for in the first tier, and in each further one where there is none.
    """
    known = [list(dict.fromkeys(tier)) for tier in tiers]
    every = list(dict.fromkeys(one for tier in known for one in tier))
    if name in every or not name:
        return [name] * bool(name)
    said = name.casefold()
    kinds = [[one for one in every if one.casefold() == said]]
    kinds += [[one for one in tier if one.casefold().startswith(said)] for tier in known]
    return next(filter(None, kinds), [])


def match(kind: str, name: str, *tiers: Iterable[str]) -> str:
    """The one known name that is meant (`matches`). Raises UserError for none, and for several."""
    known = [list(tier) for tier in tiers]
    found = matches(name, *known)
    if not found:
        raise unknown(kind, name, {one for tier in known for one in tier})
    return only(kind, name, found)


def only(kind: str, name: str, found: Sequence[str]) -> str:
    """The only one of the names that are meant. Raises UserError that names all of several."""
    if len(found) > 1:
        raise ambiguous(kind, name, found)
    return found[0]


def full(kind: str, name: str, known: Iterable[str]) -> str:
    """The one known name that is meant; the word as it is where none is, as it may be a path.

    Raises UserError for the start of several.
    """
    found = matches(name, known)
    return only(kind, name, found) if found else name


def ambiguous(kind: str, name: str, found: Sequence[str]) -> UserError:
    """`method 'ra' may be rag, rag_soft; write more of the name`"""
    more = f" (and {len(found) - MOST_NAMES} more)" if len(found) > MOST_NAMES else ""
    return UserError(f"{kind} '{name}' may be {', '.join(found[:MOST_NAMES])}{more}; write more of the name")


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """`no method 'dpp'; did you mean 'dpl'? Known: ...`"""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    return UserError(f"no {kind} '{name}'{hint} Known: {', '.join(names) or 'none'}")


def no_file(kind: str, name: str, known: Iterable[str]) -> UserError:
    """`unknown` for a name that may also be a path: a missing file is called a file."""
    if name.endswith(".toml") or "/" in name:
        return UserError(
            f"{kind} file {name} does not exist; check the path, or name one of {', '.join(sorted(known))}"
        )
    return unknown(kind, name, known)


def mistake(error: ValidationError) -> str:
    """The first error that pydantic found, in one line: `train.lr = 'fast': Input should be a valid number`."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"])) or "a key"
    # Our own validators name the value themselves, unless it is a secret.
    given = "" if first["type"] in ("missing", "value_error") else f" = {shown(first['input'])}"
    return f"{where}{given}: {first['msg'].removeprefix('Value error, ')}"


# ---------------------------------------------------------------- secrets: neither shown nor kept

# API keys of OpenAI, the Hugging Face hub and GitHub.
_KEY = re.compile(r"(?<![A-Za-z0-9])(?:sk-(?=[\w-]*\d)[\w-]{6,}|hf_[A-Za-z0-9]{16,}|gh[opsu]_[A-Za-z0-9]{16,})")
_LONG = re.compile(r"(?=\w*\d)(?=\w*[A-Za-z])[\w-]{32,}")
_SECRET = re.compile(r"api_?key|secret|password|passwd|credential|(?:^|[^a-z])auth(?:orization)?$", re.IGNORECASE)
_TOKEN = re.compile(r"(?:^|[^a-z])(?:token|bearer)$", re.IGNORECASE)
_SPECIAL = re.compile(r"(?:bos|eos|pad|unk|sep|cls|mask|image|audio|video)_token$")  # of a tokenizer
HIDDEN = "***"


def without_keys(word: str) -> str:
    """A word of a command line with stars for keys, and for the value of an option that is named like a secret."""
    name, equals, _ = word.removeprefix("--set=").partition("=")
    if equals and (_SECRET.search(name) or _TOKEN.search(name)):
        return f"{word[: word.index(name) + len(name)]}={HIDDEN}"
    return _KEY.sub(HIDDEN, word)


def shown(value: Any) -> str:
    """A wrong value for a message: shortened, and hidden where it looks like a key."""
    text = repr(value)
    looks = _KEY.search(text) or (isinstance(value, str) and _LONG.fullmatch(value))
    return f"{HIDDEN} (it looks like a key)" if looks else f"{text:.60}"


def secrets(values: Any, name: str = "") -> Iterator[str]:
    """The names in a nested table that look like those of secrets, or whose values look like keys."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from secrets(value, f"{name}.{key}" if name else str(key))
    elif isinstance(values, list):
        for value in values:
            yield from secrets(value, name)
    elif values is not None and not isinstance(values, bool):
        token = isinstance(values, str) and _TOKEN.search(name) and not _SPECIAL.search(name)
        if token or _SECRET.search(name) or (isinstance(values, str) and _KEY.fullmatch(values)):
            yield name
