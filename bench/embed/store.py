"""The vector store: vectors on disk by (embedder, text), so that every distinct text is embedded only once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from bench.errors import BenchError, UserError
from bench.protocols import Releasing
from bench.record import sqlite

if TYPE_CHECKING:
    from bench.protocols import Embedder, Vectors

T = TypeVar("T")
Progress = Callable[[int, int], None]

# Texts between two commits: a killed process loses the vectors of no more than these. An embedder may name its `chunk`.
CHUNK = 256

# `dimensions` shows a vector of the wrong length without loading the embedder.
SCHEMA = """
CREATE TABLE embedders (
    id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, dimensions INTEGER NOT NULL
);
CREATE TABLE vectors (
    embedder INTEGER NOT NULL REFERENCES embedders (id), text BLOB NOT NULL, vector BLOB NOT NULL,
    PRIMARY KEY (embedder, text)
);
"""

FIND = """
SELECT text, vector FROM vectors JOIN embedders ON embedders.id = embedder
WHERE identity = ? AND dimensions > 0 AND typeof(vector) = 'blob' AND length(vector) = 4 * dimensions
AND text IN ({marks})
"""


@dataclass(frozen=True)
class VectorStore:
    """An SQLite file (WAL) that any number of processes may read and write at once.

    Texts are stored as their SHA-256, and vectors as little-endian fp32. A vector that is damaged, not finite or of the
    wrong length counts as missing and is computed again. Raises UserError if the file cannot be used.
    """

    path: Path

    def vectors(self, embedder: str, texts: Iterable[str]) -> dict[str, Vectors]:
        """text -> (d,) fp32, read-only, for the texts that are stored. `embedder` is an identity."""
        by_digest = {_digest(text): text for text in texts}
        found: dict[str, Vectors] = {}
        with self._open() as db:
            for _, digests in _chunks(list(by_digest)):
                find = FIND.format(marks=",".join("?" * len(digests)))
                for digest, blob in db.execute(find, (embedder, *digests)):
                    if np.isfinite(vector := np.frombuffer(blob, "<f4")).all():
                        found[by_digest[digest]] = vector
        return found

    def dimensions(self, embedder: str) -> int | None:
        """The length of this embedder's vectors; None where none is stored."""
        with self._open() as db:
            row = db.execute("SELECT dimensions FROM embedders WHERE identity = ?", (embedder,)).fetchone()
        return int(row[0]) if row else None

    def ensure(
        self, embedder: Embedder, texts: Iterable[str], *, progress: Progress | None = None
    ) -> dict[str, Vectors]:
        """text -> (d,) fp32 of every text. Missing vectors are computed, and committed chunk by chunk.

        `encode` is not called if none is missing, and the embedder's memory is given back at the end.
        `progress(done, total)` is called once a chunk and counts the missing texts.
        """
        identity = embedder.identity()
        distinct = list(dict.fromkeys(texts))
        vectors = self.vectors(identity, distinct)
        # Texts of about the same length in one chunk need little padding.
        missing = sorted((text for text in distinct if text not in vectors), key=len, reverse=True)
        try:
            for done, chunk in _chunks(missing, getattr(embedder, "chunk", CHUNK)):
                computed = embedder.encode(chunk)
                self._save(identity, chunk, computed)
                vectors.update(zip(chunk, computed, strict=True))
                if progress:
                    progress(done, len(missing))
        finally:
            if missing and isinstance(embedder, Releasing):
                embedder.release()
        return vectors

    def _save(self, embedder: str, texts: Sequence[str], vectors: Vectors) -> None:
        count, dimensions = vectors.shape
        if count != len(texts) or not np.isfinite(vectors).all():
            raise BenchError(
                f"embedder '{embedder}' gave {count} vectors for {len(texts)} texts, or vectors that are not finite"
            )
        with self._open() as db:
            db.execute("INSERT OR IGNORE INTO embedders (identity, dimensions) VALUES (?, ?)", (embedder, dimensions))
            key, kept = db.execute("SELECT id, dimensions FROM embedders WHERE identity = ?", (embedder,)).fetchone()
            if kept != dimensions:
                raise BenchError(f"{self.path}: '{embedder}' has {kept} dimensions, now {dimensions}; delete the file")
            digests = map(_digest, texts)
            blobs = (vector.tobytes() for vector in vectors.astype("<f4"))
            values = ((key, digest, blob) for digest, blob in zip(digests, blobs, strict=True))
            db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", values)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One transaction on a new connection, so that no threads or forks share one."""
        try:
            sqlite.ensure(self.path, SCHEMA)
            with closing(sqlite.connect(self.path)) as db, db:
                yield db
        except (sqlite3.Error, OSError) as error:
            cure = sqlite.cure(error, damaged="delete it: its vectors will be computed again")
            raise UserError(f"vector store {self.path} cannot be used: {error}; {cure}") from error


@dataclass(frozen=True)
class StoredEmbedder:
    """`embed` of a retrieval context: from memory, or from the store, or computed and then stored."""

    store: VectorStore
    embedder: Embedder
    progress: Progress | None = None
    _memory: dict[str, Vectors] = field(default_factory=dict, init=False, repr=False, compare=False)

    def identity(self) -> str:
        """That of the embedder."""
        return self.embedder.identity()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, d) fp32, in order; (0, 0) for no texts."""
        new = [text for text in dict.fromkeys(texts) if text not in self._memory]
        if new:
            self._memory.update(self.store.ensure(self.embedder, new, progress=self.progress))
        if not texts:
            return np.empty((0, 0), np.float32)
        return np.stack([self._memory[text] for text in texts])


@dataclass(frozen=True)
class AwaitedVectors:
    """`embed` of a retrieval context in a process that computes nothing: another one fills the store meanwhile."""

    store: VectorStore
    embedder: Embedder
    pause: float = 1.0  # seconds between two looks

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, d) fp32, in order; (0, 0) for no texts. Returns when all are stored."""
        wanted = list(dict.fromkeys(texts))
        found: dict[str, Vectors] = {}
        while len(found) < len(wanted):
            found |= self.store.vectors(self.embedder.identity(), [text for text in wanted if text not in found])
            if len(found) < len(wanted):
                time.sleep(self.pause)
        return np.stack([found[text] for text in texts]) if texts else np.empty((0, 0), np.float32)


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def _chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[tuple[int, Sequence[T]]]:
    """(items up to the end of this chunk, the chunk)."""
    starts = range(0, len(items), size)
    return ((min(start + size, len(items)), items[start : start + size]) for start in starts)
