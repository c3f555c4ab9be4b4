"""The run folder: one cell of a grid, on disk, explaining itself.

    config.json      the resolved configuration and the run's identity
    provenance.json  versions, weights, commit, hardware, times
    samples.jsonl    a row a sample, appended as it completes
    scores.jsonl     a row a sample: under each metric what its values are made of, and the sample's properties
    scores.npz       the same as arrays, for tables (bench.matrix); made from scores.jsonl
    summary.json     written last, by rename: its presence means done

Rows are lines of JSON. A last line that a kill tore is dropped; its sample is written again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.errors import UserError

CONFIG, PROVENANCE, SAMPLES, SCORES, SUMMARY = (
    "config.json",
    "provenance.json",
    "samples.jsonl",
    "scores.jsonl",
    "summary.json",
)


def dump(value: Any, *, indent: int | None = None) -> str:
    """JSON; NaN is a bug of ours and raises."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, indent=indent)


def plain(value: Any) -> Any:
    """As JSON has it: what is compared with a file that was read must be of the same types."""
    return json.loads(dump(value))


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Where a write fails, says of which file: the system's error does not."""
    try:
        yield
    except OSError as error:
        error.filename = str(file)
        raise


def _row(line: bytes) -> dict[str, Any]:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise ValueError("no JSON object")
    return values


class RunFolder:
    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def done(self) -> bool:
        return (self.path / SUMMARY).is_file()

    def read(self, name: str) -> dict[str, Any]:
        """One of the JSON files. Raises UserError where it is missing or broken."""
        file = self.path / name
        try:
            values: dict[str, Any] = json.loads(file.read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"{self.path} has no {name}; name a run folder (`bench ls runs` lists them)") from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{file} is damaged ({error}); delete the folder and run the cell again") from error
        if not isinstance(values, dict):
            raise UserError(f"{file} is damaged (no JSON object); delete the folder and run the cell again")
        return values

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Whole or not at all."""
        self._replace(name, dump(value, indent=2) + "\n")

    def write_rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        self._replace(name, "".join(dump(row) + "\n" for row in rows))

    def _replace(self, name: str, text: str) -> None:
        temporary = self.path / f".{name}.{os.getpid()}.tmp"
        try:
            with _naming(self.path / name):
                temporary.write_text(text)
                temporary.replace(self.path / name)
        finally:
            temporary.unlink(missing_ok=True)  # of a full disk, it would take the room that is left

    def append(self, name: str, row: Mapping[str, Any]) -> None:
        with _naming(self.path / name), (self.path / name).open("a") as file:
            file.write(dump(row) + "\n")

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        """Complete rows. A torn last line is skipped; a broken line elsewhere raises UserError."""
        file = self.path / name
        if not file.is_file():
            return
        lines = file.read_bytes().split(b"\n")
        for number, line in enumerate(lines, start=1):
            try:
                if line.strip():
                    yield _row(line)
            except (ValueError, RecursionError) as error:
                if number == len(lines):
                    return
                raise UserError(
                    f"{file}, line {number} is damaged ({error}); delete that line and run again"
                ) from error

    def keep_finished(self) -> set[str]:
        """Rewrites samples.jsonl without torn or failed rows; the ids that are left need no work."""
        rows = [row for row in self.rows(SAMPLES) if row["error"] is None]
        self.write_rows(SAMPLES, rows)
        return {row["sample_id"] for row in rows}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process a run. Raises UserError where another holds it, or where nothing can be written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = (self.path / ".lock").open("w")
        except OSError as error:
            raise UserError(f"cannot write to {self.path}: {error.strerror}; choose another folder by --out") from error
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"another bench is working on {self.path}; wait for it or choose another --out"
                ) from None
            for part in self.path.glob(".*.tmp"):  # what a kill cut off
                part.unlink(missing_ok=True)
            yield


def named(given: Path, out: Path = Path("runs")) -> Path:
    """A run or output folder as it was given; where that is none, the run of this name below `out`, if it is there."""
    below = out / given
    return below if (below / CONFIG).is_file() and not find(given) else given


def find(out: Path) -> list[RunFolder]:
    """Run folders below `out` (or `out` itself), by name."""
    if (out / CONFIG).is_file():
        return [RunFolder(out)]
    return [RunFolder(config.parent) for config in sorted(out.glob(f"*/{CONFIG}"))] if out.is_dir() else []
