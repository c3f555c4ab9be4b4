"""The run folder: one cell of a grid on disk, which explains itself.

    config.json      the resolved configuration and the run's identity
    provenance.json  versions, weights, commit, hardware, times
    histories.json   sample id -> the user whose history it shows, where vectors decided that (bench.data.swap)
    samples.jsonl    one row per sample, appended as it completes
    scores.jsonl     one row per sample: what each metric's values are made of, and the sample's properties
    scores.npz       the same as arrays, for tables (bench.score.score_arrays); made from scores.jsonl
    summary.json     written last, by rename: its presence means that the run is done

Rows are lines of JSON. A kill may cut off the last line: it is dropped, and its sample is written again. Reading a file
checks its content (`bench.record.contents`).
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.errors import UserError, WrongContent, matches, mistake, only
from bench.record import contents, files
from bench.record.contents import FORMAT, Content

CONFIG, PROVENANCE, HISTORIES, SAMPLES, SCORES, SUMMARY = (
    "config.json",
    "provenance.json",
    "histories.json",
    "samples.jsonl",
    "scores.jsonl",
    "summary.json",
)

CONTENTS: dict[str, type[Content]] = {
    CONFIG: contents.Config,
    PROVENANCE: contents.Provenance,
    SAMPLES: contents.Sample,
    SCORES: contents.Score,
    "training.json": contents.Training,  # of a checkpoint (bench.train.checkpoint), as steps.jsonl is
    "steps.jsonl": contents.Step,
}


def dump(value: Any, *, indent: int | None = None) -> str:
    """JSON. Raises ValueError for NaN, which is a bug of ours."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, indent=indent)


def plain(value: Any) -> Any:
    """The value with the types of JSON, to be compared with the content of a file."""
    return json.loads(dump(value))


def _row(line: bytes, content: type[Content] | None) -> dict[str, Any]:
    """The object of one line. Raises ValueError that says what was found and what was expected."""
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg} at column {error.colno})") from error
    except RecursionError:
        raise ValueError("not JSON (nested too deeply)") from None
    if not isinstance(values, dict):
        raise ValueError(f"found {values!r:.60}, expected an object")
    check(values, content)
    return values


def check(values: dict[str, Any], content: type[Content] | None) -> None:
    """Raises ValueError that names the first wrong or missing value, and what is expected in its place."""
    try:
        if content is not None:
            content.model_validate(values)
    except ValidationError as error:
        raise ValueError(mistake(error)) from None


class RunFolder:
    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def done(self) -> bool:
        return (self.path / SUMMARY).is_file()

    def read(self, name: str) -> dict[str, Any]:
        """One of the JSON files. Raises UserError where it is missing, damaged or holds something else."""
        values = self._json(name)
        self._check(name, values, CONTENTS.get(name), f"delete {self.path} and run the cell again")
        return values

    def summary(self) -> dict[str, Any]:
        """summary.json, checked. Raises UserError where the run is not finished or a value is wrong."""
        values = self._json(SUMMARY)
        self._check(SUMMARY, values, contents.Summary, f"`bench score {self.path}` writes it anew")
        return values

    def _json(self, name: str) -> dict[str, Any]:
        """A JSON file, whatever it holds."""
        file = self.path / name
        files.check_regular(file, f"delete {self.path} and run the cell again")
        try:
            values = json.loads(file.read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"{self.path} has no {name}; name a run folder (`bench ls runs` lists them)") from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{file} is damaged ({error}); delete the folder and run the cell again") from error
        if not isinstance(values, dict):
            raise UserError(f"{file} is damaged (no JSON object); delete the folder and run the cell again")
        return values

    def _check(self, where: str, values: dict[str, Any], content: type[Content] | None, cure: str) -> None:
        """Raises WrongContent that names the file, the first wrong value and the cure."""
        try:
            check(values, content)
        except ValueError as error:
            self._check_format()
            raise WrongContent(f"{self.path / where}, {error}; {cure}") from None

    def _check_format(self) -> None:
        """Raises WrongContent where another version wrote the folder. Then a single wrong value says too little."""
        if not (self.path / CONFIG).is_file():  # a checkpoint, which has a format of its own
            return
        found = self._json(CONFIG).get("format", 1)
        if found != FORMAT:
            newer = isinstance(found, int) and found > FORMAT
            cure = "update dep-bench" if newer else f"delete {self.path} and run its command again"
            raise WrongContent(
                f"{self.path / CONFIG} was written by {'a newer' if newer else 'an older'} version "
                f"(format {found!r:.60}, this is {FORMAT}); {cure}"
            )

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Replaces a file, completely or not at all."""
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
        """The rows of a file. A last line that was cut off is skipped; until the run is done, so is any broken line.

        Raises UserError for any other broken line.
        """
        file = self.path / name
        files.check_regular(file, self._cure(name))
        if not file.is_file():
            return
        lines = file.read_bytes().split(b"\n")
        for number, line in enumerate(lines, start=1):
            try:
                if line.strip():
                    yield _row(line, CONTENTS.get(name))
            except ValueError as error:
                if number == len(lines) or (name in (SAMPLES, SCORES) and not self.done):
                    continue
                self._check_format()
                raise WrongContent(f"{file}, line {number}: {error}; {self._cure(name)}") from error

    def _cure(self, name: str) -> str:
        """The command that writes broken rows again."""
        if name == SCORES:
            return f"`bench score {self.path}` writes them again"
        if name == SAMPLES:
            again = "its command writes that sample again, from the stored answers"
            return f"delete {self.path / SUMMARY}, and {again}"
        return f"delete {self.path} and run again"

    def keep_finished(self) -> set[str]:
        """Drops broken and failed rows from samples.jsonl of a run that is not done. Returns the ids of the rest."""
        rows = [row for row in self.rows(SAMPLES) if row["error"] is None]
        self.write_rows(SAMPLES, rows)
        return {row["sample_id"] for row in rows}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time. Raises UserError where another has the lock, or where nothing can be written."""
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
            for part in self.path.glob(".*.tmp"):  # of a killed process
                part.unlink(missing_ok=True)
            yield


def named(given: Path, out: Path = Path("runs")) -> Path:
    """The given path of a run or output folder; or, for the mere name of a run in `out`, the path of that run.

    The name may be in another case, or the start of one run's. Raises UserError for the start of several.
    """
    if find(given) or given.is_dir():
        return given
    found = matches(str(given), [folder.path.name for folder in find(out)])
    return out / only("run", str(given), found) if found else given


def of_method(method: str, out: Path) -> list[RunFolder]:
    """The runs in `out` of a method, finished or not, whatever the case of its name. Unreadable ones are left out."""
    return [folder for folder in find(out) if _method(folder).casefold() == method.casefold()]


def _method(folder: RunFolder) -> str:
    try:
        return str(folder.read(CONFIG)["config"]["method"])
    except UserError:
        return ""


def find(out: Path) -> list[RunFolder]:
    """The run folders in `out`, by name; or `out` itself, if it is a run folder."""
    if (out / CONFIG).is_file():
        return [RunFolder(out)]
    return [RunFolder(config.parent) for config in sorted(out.glob(f"*/{CONFIG}"))] if out.is_dir() else []
