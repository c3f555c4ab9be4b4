"""The request store: every completion once, keyed by all that can change it.

One SQLite file under all runs of an output folder. A killed run goes on where it was, a stage that two
cells share is generated once, and scoring again never generates. The prompt is kept beside the
answer, compressed, for `bench show`.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict

from bench.errors import UserError
from bench.record import sqlite
from bench.record.contents import Content, Count, Number, Text
from bench.types import Completion, Prompt, Request

_SCHEMA = "CREATE TABLE completions (key TEXT PRIMARY KEY, prompt BLOB, completion TEXT NOT NULL)"

_DAMAGED = "move it away and run the same command again: what samples.jsonl holds is not made again"


class StoredAnswer(Content):
    """A `bench.types.Completion` as JSON. The keys with defaults are missing in older stores."""

    model_config = ConfigDict(extra="forbid")

    text: Text
    ids: list[int]
    finish: Literal["stop", "length", "unknown"]
    n_prompt: Count
    n_cached: Count = 0
    seconds: Number = 0.0
    counted: Count | None = None
    reasoning: Text = ""

    def completion(self) -> Completion:
        return Completion(**{**dict(self), "ids": tuple(self.ids)})


class StoredPrompt(Content):
    """A `bench.types.Prompt` as `bench show` shows it."""

    model_config = ConfigDict(extra="forbid")

    system: Text
    user: Text


Stored = TypeVar("Stored", StoredAnswer, StoredPrompt)


def _read(text: Any, content: type[Stored]) -> Stored | None:
    """None for text that is not JSON or has other content: the row is damaged, or another version wrote it."""
    try:
        return content.model_validate(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return None


def request_key(request: Request, identity: Mapping[str, Any]) -> str:
    """sha256 over generator identity, sampling, seed, token ids and soft prompt embeddings.

    The seed is left out for greedy requests, whose answers do not depend on it.
    """
    greedy = request.sampling.temperature == 0
    head = {"generator": identity, "sampling": asdict(request.sampling), "seed": None if greedy else request.seed}
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    digest.update(b"\0" + array("q", request.ids).tobytes())
    if request.embeds is not None:
        digest.update(b"\0" + request.embeds.astype("<f4").tobytes())
    return digest.hexdigest()


class RequestStore:
    """Safe for several processes: SQLite in WAL mode, first writer of a key wins."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            sqlite.ensure(path, _SCHEMA)
            self._db = sqlite.connect(path, autocommit=True)
            self._db.execute("SELECT key, prompt, completion FROM completions LIMIT 1")  # whether it is one at all
        except (OSError, sqlite3.Error) as error:
            raise UserError(
                f"the request store {path} cannot be opened: {error}; {sqlite.cure(error, damaged=_DAMAGED)}"
            ) from error

    def _one(self, query: str, *values: Any) -> Any:
        """The first row, or None. Raises UserError where the file cannot be used."""
        try:
            return self._db.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _all(self, query: str) -> list[Any]:
        """All rows. Raises UserError where the file cannot be used."""
        try:
            return self._db.execute(query).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: sqlite3.Error) -> UserError:
        cure = sqlite.cure(error, damaged=_DAMAGED)
        return UserError(f"the request store {self.path} cannot be used: {error}; {cure}")

    def get(self, key: str) -> Completion | None:
        """The answer; None where there is none that can be read: it is asked for again."""
        row = self._one("SELECT completion FROM completions WHERE key = ?", key)
        answer = _read(row[0], StoredAnswer) if row else None
        return answer.completion() if answer else None

    def put(self, key: str, prompt: Prompt, completion: Completion) -> Completion:
        """Keeps an answer, unless another process has kept one meanwhile. Returns what is kept."""
        packed = zlib.compress(json.dumps({"system": prompt.system, "user": prompt.text}).encode())
        answer = json.dumps(asdict(completion))
        self._one("INSERT OR IGNORE INTO completions VALUES (?, ?, ?)", key, packed, answer)
        if (kept := self.get(key)) is None:  # what is there cannot be read
            self._one("INSERT OR REPLACE INTO completions VALUES (?, ?, ?)", key, packed, answer)
        return kept or completion

    def prompt(self, key: str) -> Prompt | None:
        """What was answered under this key, to be shown: slots are spelled out, and an unreadable prompt says so."""
        row = self._one("SELECT prompt FROM completions WHERE key = ?", key)
        if row is None:
            return None
        try:
            kept = _read(zlib.decompress(row[0]), StoredPrompt)
        except (zlib.error, TypeError):
            kept = None
        return Prompt(kept.system, kept.user) if kept else Prompt("", "no longer readable")

    def keys(self) -> set[str]:
        return {row[0] for row in self._all("SELECT key FROM completions")}

    def remove(self, keys: Iterable[str]) -> int:
        """Drops these answers and gives their room back to the disk. Returns how many bytes that is."""
        before = self._bytes()
        try:
            with self._db:  # one transaction: all or none
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany("DELETE FROM completions WHERE key = ?", ((key,) for key in keys))
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        self._all("VACUUM")
        self._all("PRAGMA wal_checkpoint(TRUNCATE)")
        return before - self._bytes()

    def _bytes(self) -> int:
        beside = [self.path.with_name(f"{self.path.name}{end}") for end in ("", "-wal")]
        return sum(file.stat().st_size for file in beside if file.exists())

    def __len__(self) -> int:
        count: int = self._one("SELECT COUNT(*) FROM completions")[0]
        return count

    def close(self) -> None:
        self._db.close()
