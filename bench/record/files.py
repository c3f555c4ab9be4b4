"""Files of users and of runs: a write is complete or does not happen, and only regular files are read."""

from __future__ import annotations

import fcntl
import os
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.errors import UserError


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Adds the file's name to an OSError: that of a failed write has none."""
    try:
        yield
    except OSError as error:
        error.filename = str(file)
        raise


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A temporary file beside this one, which replaces it at the end. After a failure the old file is unchanged.

    A link stays a link: the file that it points to is replaced.
    """
    target = Path(os.path.realpath(file))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with naming(file):
            yield temporary
            if target.is_file():
                shutil.copymode(target, temporary)
            temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)  # on a full disk it would take the remaining room


def write(file: Path, content: str | bytes) -> None:
    """Writes all or nothing, and makes the folders above. A device or a pipe is written to directly."""
    data = content.encode() if isinstance(content, str) else content
    with naming(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and not file.is_file():
            file.write_bytes(data)
            return
    with replacing(file) as temporary:
        temporary.write_bytes(data)


def check_regular(path: Path, cure: str) -> None:
    """Raises UserError for a path that is not a file: a folder cannot be read, and reading a pipe may never end."""
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or a pipe"
        raise UserError(f"{path} is {kind}, not a file; {cure}")


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For json.loads: raises ValueError for a key that is there twice, where one value would silently be lost."""
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r:.60} is there twice")
    return values


def toml(path: Path, kind: str) -> dict[str, Any]:
    """The content of a user's TOML file. Raises UserError that names the file and the line of an error."""
    check_regular(path, "name a TOML file")
    content = path.read_bytes()
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{kind} {path}: line {line} is no UTF-8 ({error})") from error
    except (ValueError, RecursionError) as error:
        end = f"at the end, line {len(content.splitlines())}"
        raise UserError(f"{kind} {path}: {str(error).replace('at end of document', end)}") from error


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Holds this lock, after waiting for any other process that has it. Makes the folders above."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
