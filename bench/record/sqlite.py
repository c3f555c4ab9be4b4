"""SQLite files that several processes may create at once, and that are readable in a read-only folder."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

WAIT = 60.0  # seconds to wait for another process that holds the file

_CURES = {  # by SQLite's primary result code
    sqlite3.SQLITE_BUSY: "another program holds it: end that, then run the same command again",
    sqlite3.SQLITE_FULL: "make room, then run the same command again",
}


def cure(error: Exception, *, damaged: str) -> str:
    """What to do about an error. `damaged` is the cure for a damaged file."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):  # ERROR: no such table
        return damaged
    return _CURES.get(code, "choose another folder by --out")


def connect(path: Path, *, autocommit: bool = False) -> sqlite3.Connection:
    """A connection that waits for others. Without `autocommit` all writes are one transaction.

    In a read-only folder it reads, and refuses to write.
    """
    isolation: Literal["DEFERRED"] | None = None if autocommit else "DEFERRED"
    if path.exists() and not os.access(path.parent, os.W_OK):
        return _reading(path, isolation)
    db = sqlite3.connect(path, timeout=WAIT, isolation_level=isolation)
    db.execute("PRAGMA synchronous = NORMAL")
    return db


def _reading(path: Path, isolation: Literal["DEFERRED"] | None) -> sqlite3.Connection:
    """Readers of a file in WAL mode create files beside it, unless they are told that the file is immutable."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    db = sqlite3.connect(address, timeout=WAIT, isolation_level=isolation, uri=True)
    try:
        db.execute("SELECT 1 FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as error:
        db.close()
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        db = sqlite3.connect(f"{address}&immutable=1", timeout=WAIT, isolation_level=isolation, uri=True)
    return db


def ensure(path: Path, schema: str) -> None:
    """Creates a file in WAL mode with this schema, unless there is one.

    It appears complete, by a link: if two processes switch a new file to WAL at once, one may find it locked.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent) as folder:
        new = Path(folder) / "new.sqlite"
        with closing(sqlite3.connect(new)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(schema)
        with suppress(FileExistsError):
            os.link(new, path)
