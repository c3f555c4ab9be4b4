"""The run folder: one cell of a grid, on disk, explaining itself.

    config.json      the resolved configuration and the run's identity
    provenance.json  versions, weights, commit, hardware, times
    samples.jsonl    a row a sample, appended as it completes
    scores.jsonl     a row a sample: under each metric what its values are made of, and the sample's properties
    scores.npz       the same as arrays, for tables (bench.score.score_arrays); made from scores.jsonl
    summary.json     written last, by rename: its presence means done

Rows are lines of JSON. A last line that a kill tore is dropped; its sample is written again. What the files hold is
checked where they are read (`bench.record.contents`).
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.errors import UserError, WrongContent
from bench.record import contents, files
from bench.record.shapes import Shape

CONFIG, PROVENANCE, SAMPLES, SCORES, SUMMARY = (
    "config.json",
    "provenance.json",
    "samples.jsonl",
    "scores.jsonl",
    "summary.json",
)

SHAPES: dict[str, Shape] = {
    CONFIG: contents.CONFIG,
    PROVENANCE: contents.PROVENANCE,
    SAMPLES: contents.SAMPLE,
    SCORES: contents.SCORE,
    "training.json": contents.TRAINING,  # of a checkpoint (bench.train.checkpoint), as steps.jsonl is
    "steps.jsonl": contents.STEP,
}


def dump(value: Any, *, indent: int | None = None) -> str:
    """JSON; NaN is a bug of ours and raises."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, indent=indent)


def plain(value: Any) -> Any:
    """As JSON has it: what is compared with a file that was read must be of the same types."""
    return json.loads(dump(value))


def _row(line: bytes, shape: Shape | None) -> dict[str, Any]:
    """Raises ValueError that says what was found and what was expected."""
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg} at column {error.colno})") from error
    except RecursionError:
        raise ValueError("not JSON (nested too deeply)") from None
    if not isinstance(values, dict):
        raise ValueError(f"found {values!r:.60}, expected an object")
    if shape is not None and (wrong := shape.mistake(values)):
        raise ValueError(wrong)
    return values


class RunFolder:
    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def done(self) -> bool:
        return (self.path / SUMMARY).is_file()

    def read(self, name: str) -> dict[str, Any]:
        """One of the JSON files. Raises UserError where it is missing, broken or holds something else."""
        file = self.path / name
        cure = f"delete {self.path} and run the cell again"
        files.check_regular(file, cure)
        try:
            values: dict[str, Any] = json.loads(file.read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"{self.path} has no {name}; name a run folder (`bench ls runs` lists them)") from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{file} is damaged ({error}); delete the folder and run the cell again") from error
        if not isinstance(values, dict):
            raise UserError(f"{file} is damaged (no JSON object); delete the folder and run the cell again")
        if name in SHAPES and (wrong := SHAPES[name].mistake(values)):
            raise WrongContent(f"{file}, {wrong}; {cure}")
        return values

    def summary(self) -> dict[str, Any]:
        """What tables ask of a finished run. Raises UserError where it is not finished, or lacks some of that."""
        summary, file = self.read(SUMMARY), self.path / SUMMARY
        wrong = contents.SUMMARY.mistake(summary)
        if wrong is None and summary["scores"].keys() != {category for category, n in summary["n"].items() if n}:
            wrong = f"scores: found {list(summary['scores'])!r:.60}, expected the categories of n"
        if wrong:
            raise WrongContent(f"{file}, {wrong}; `bench score {self.path}` writes it anew")
        return summary

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Whole or not at all."""
        self._replace(name, dump(value, indent=2) + "\n")

    def write_rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        self._replace(name, "".join(dump(row) + "\n" for row in rows))

    def _replace(self, name: str, text: str) -> None:
        with files.replacing(self.path / name) as temporary:
            temporary.write_text(text)

    def append(self, name: str, row: Mapping[str, Any]) -> None:
        with files.naming(self.path / name), (self.path / name).open("a") as file:
            file.write(dump(row) + "\n")

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        """Complete rows. A torn last line is skipped, and so is, while the run is not done, any that is no row.

        Raises UserError for another line that is none.
        """
        file = self.path / name
        files.check_regular(file, self._cure(name))
        if not file.is_file():
            return
        lines = file.read_bytes().split(b"\n")
        for number, line in enumerate(lines, start=1):
            try:
                if line.strip():
                    yield _row(line, SHAPES.get(name))
            except ValueError as error:
                if number == len(lines) or (name in (SAMPLES, SCORES) and not self.done):
                    continue
                raise WrongContent(f"{file}, line {number}: {error}; {self._cure(name)}") from error

    def _cure(self, name: str) -> str:
        """The command that writes rows again which cannot be read."""
        if name == SCORES:
            return f"`bench score {self.path}` writes them again"
        if name == SAMPLES:
            again = "its command writes that sample again, from the stored answers"
            return f"delete {self.path / SUMMARY}, and {again}"
        return f"delete {self.path} and run again"

    def keep_finished(self) -> set[str]:
        """Rewrites samples.jsonl of a run that is not done, without torn or failed rows; what is left needs no work."""
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
