"""Raw files as blocks of numbered lines: `.jsonl`, `.jsonl.gz`, `.jsonl.zst`, and Parquet, whose rows become JSON.

A block has some megabytes, so that files of any size need little memory. The next block is read while the last one
is worked on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from bench.data.build import parquet_rows
from bench.data.folder.jsonl import parse
from bench.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 16 << 20
PEEKED, PEEKED_ROWS = 4 << 20, 2000  # bytes, rows of Parquet: at a file's start, read for its fields
LONGEST = 256 << 20  # bytes without a line break: no JSON lines
PARQUET_ROWS = 20_000
UTF16 = (b"\xff\xfe", b"\xfe\xff")
CODECS = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of one file as an Arrow table of `file`, `number`, `line`. Lines that are not UTF-8 are in `undecoded`."""

    file: int
    first: int  # number of the first line, from 1
    table: pa.Table
    undecoded: dict[int, bytes]


class Source:
    """A raw file. `digest` is complete once its blocks have been read to the end."""

    def __init__(self, path: Path, index: int) -> None:
        if not path.is_file():
            odd = "is a folder; name the files in it" if path.is_dir() else "does not exist; check the path"
            raise UserError(f"{path} {odd}")
        self.path, self.index = path, index
        self.size = path.stat().st_size
        self.digest = ""

    def where(self, number: int) -> str:
        """`reviews.jsonl line 3`."""
        return f"{self.path.name} {'row' if self.path.suffix == '.parquet' else 'line'} {number}"

    def fields(self) -> list[str]:
        """The fields of its first lines, as far as they can be read."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self.path.suffix == ".parquet":
            with suppress(OSError, pa.ArrowException):
                return list(pq.read_schema(self.path).names)
        found: dict[str, None] = {}
        for line in self.first_lines():
            with suppress(ValueError):
                found.update(dict.fromkeys(parse(line)))
        return list(found)

    def first_lines(self) -> list[str]:
        """Its first lines, as far as they can be read."""
        import pyarrow as pa

        with suppress(OSError, ValueError, pa.ArrowException):  # `blocks` raises with the reason
            if self.path.suffix == ".parquet":
                lines, _ = next(parquet_rows.lines(self.path, PEEKED_ROWS))
                return [line for line in lines.to_pylist() if line]
            codec = CODECS.get(self.path.suffix)
            with self.path.open("rb") as file:
                plain: Any = pa.CompressedInputStream(pa.PythonFile(file, "r"), codec) if codec else file
                return [line.decode("utf-8", "replace") for line in plain.read(PEEKED).split(b"\n") if line.strip()]
        return []

    def blocks(self, advance: Callable[[int], None]) -> Iterator[Block]:
        """The file's lines. Calls `advance` with the numbers of bytes read. Raises UserError if it cannot be read."""
        blocks = self._parquet(advance) if self.path.suffix == ".parquet" else self._lines(advance)
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(next, blocks, None)
            while (block := coming.result()) is not None:
                coming = reader.submit(next, blocks, None)
                yield block

    def _lines(self, advance: Callable[[int], None]) -> Iterator[Block]:
        import pyarrow as pa

        number, rest = 1, b""
        try:
            with self.path.open("rb") as file:
                counted = _Counted(file, advance)
                codec = CODECS.get(self.path.suffix)
                plain: Any = pa.CompressedInputStream(pa.PythonFile(counted, "r"), codec) if codec else counted
                while chunk := plain.read(BLOCK):
                    if number == 1 and not rest and chunk.startswith(UTF16):
                        raise UserError(f"{self.path} is UTF-16, and JSON lines are UTF-8; save it as UTF-8")
                    whole, newline, tail = chunk.rpartition(b"\n")
                    if newline:
                        block = _block(self.index, number, rest + whole + newline)
                        number += block.table.num_rows
                        rest = tail
                        yield block
                    else:
                        rest += tail
                    if len(rest) > LONGEST:
                        raise UserError(f"{self.where(number)} has no end within {LONGEST >> 20} MB: no JSON lines")
                if rest:
                    yield _block(self.index, number, rest)
                self.digest = counted.digest.hexdigest()
        except (OSError, pa.ArrowException) as error:
            what = " ".join(str(error).split())
            raise UserError(
                f"{self.path} cannot be read after line {number} ({what}); download or copy it again"
            ) from error

    def _parquet(self, advance: Callable[[int], None]) -> Iterator[Block]:
        import pyarrow as pa

        number = 1
        try:
            for lines, odd in parquet_rows.lines(self.path, PARQUET_ROWS):
                undecoded = {number + place: value for place, value in odd.items()}
                yield Block(self.index, number, _numbered(self.index, number, lines), undecoded)
                number += len(lines)
        except (OSError, ValueError, pa.ArrowException) as error:
            what = " ".join(str(error).split())
            raise UserError(
                f"{self.path} cannot be read after row {number - 1} ({what}); download or copy it again"
            ) from error
        with self.path.open("rb") as file:
            counted = _Counted(file, advance)
            while counted.read(BLOCK):
                pass
        self.digest = counted.digest.hexdigest()


def sources(paths: Sequence[Path]) -> list[Source]:
    """The raw files, none read yet. Raises UserError for a file that is not there."""
    return [Source(path, index) for index, path in enumerate(paths)]


class _Counted:
    """A file whose bytes are hashed and reported as they are read."""

    def __init__(self, file: BinaryIO, advance: Callable[[int], None]) -> None:
        self._file, self._advance = file, advance
        self.digest = hashlib.sha256()
        self.closed = False

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        self._advance(len(data))
        return data

    def close(self) -> None:
        """Arrow closes what it has read, but the caller opened this file and closes it."""


def _block(file: int, first: int, data: bytes) -> Block:
    import numpy as np
    import pyarrow as pa

    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1
    offsets = np.concatenate([[0], ends, [len(data)] if not data.endswith(b"\n") else []]).astype(np.int32)
    lines = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))
    undecoded: dict[int, bytes] = {}
    try:
        lines.validate(full=True)
    except pa.ArrowInvalid:
        found = [data[start:end] for start, end in pairwise(offsets)]
        undecoded = {place: line for place, line in enumerate(found, first) if not _decodes(line)}
        lines = pa.array([None if place in undecoded else line.decode() for place, line in enumerate(found, first)])
    return Block(file, first, _numbered(file, first, lines), undecoded)


def _decodes(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _numbered(file: int, first: int, lines: pa.Array) -> pa.Table:
    """A table of numbered lines, in several batches so that the database's threads share them."""
    import numpy as np
    import pyarrow as pa

    numbers = pa.array(np.arange(first, first + len(lines), dtype=np.int64))
    files = pa.array(np.full(len(lines), file, np.int32))
    whole = pa.record_batch([files, numbers, lines.cast(pa.string())], names=["file", "number", "line"])
    size = max(1, -(-len(lines) // 8))
    return pa.Table.from_batches([whole.slice(start, size) for start in range(0, len(lines), size)], whole.schema)
