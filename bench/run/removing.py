"""What `bench rm` takes away: runs, and the stored answers that no run uses."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from bench import registry
from bench.errors import UserError, unknown
from bench.generate.store import RequestStore
from bench.record import elsewhere, judged, runs
from bench.record.runs import RunFolder
from bench.score.judging import AskingMetric
from metrics import pairwise


@dataclass(frozen=True)
class Removal:
    """What is going to be removed. `answers`: keys of the request store, None where it stays as it is."""

    folders: list[RunFolder]
    answers: list[str] | None
    n_stored: int = 0

    @property
    def bytes(self) -> int:
        """Of the run folders."""
        return sum(file.stat().st_size for one in self.folders for file in one.path.rglob("*") if file.is_file())


def named(place: Path, out: Path) -> RunFolder:
    """The one run that a path, a name in `out` or the beginning of one means. Raises UserError for none or several."""
    path = runs.named(place, out)
    if (path / runs.CONFIG).is_file():
        if path.is_symlink():
            raise UserError(f"{path} is a link; name the run folder {path.resolve()} itself")
        return RunFolder(path)
    if inside := runs.find(path):
        raise UserError(f"{place} is a folder of {len(inside)} runs; name the runs to remove")
    if of_method := runs.of_method(str(place), out):
        names = ", ".join(one.path.name for one in of_method)
        raise UserError(f"'{place}' is a method; name the runs to remove, of {names}")
    here = [one.path.name for one in runs.find(out)]
    others = elsewhere.said(out)
    there = f"; there are runs in {others}: add --out FOLDER" if others and not here else ""
    raise UserError(f"{unknown('run', str(place), here)}{there}")


def plan(folders: Sequence[RunFolder], out: Path, stack: ExitStack, *, store: bool) -> Removal:
    """Holds what is removed until the stack is closed, with `store` every run of `out`.

    Raises UserError where another process writes one of them, or where it cannot be told what a run uses.
    """
    chosen = {one.path.resolve(): one for one in folders}
    for folder in chosen.values():
        stack.enter_context(folder.locked())
    if not store:
        return Removal(list(chosen.values()), None)
    others = [one for one in _every(out) if not any(one.path.resolve().is_relative_to(gone) for gone in chosen)]
    for folder in others:
        stack.enter_context(folder.locked())
        if not folder.done:
            raise UserError(
                f"{folder.path} is not finished, and answers that are on none of its rows yet would be lost; run its "
                "command again, or remove it too"
            )
    answers = stack.enter_context(closing(_store(out)))
    keys = answers.keys()
    compared = {pairwise.SYSTEM} if any((out / judged.FOLDER).glob("*.jsonl")) else set()
    return Removal(list(chosen.values()), _unused(answers, keys, others, compared), len(keys))


def _unused(answers: RequestStore, keys: set[str], folders: Sequence[RunFolder], compared: set[str]) -> list[str]:
    """The keys of these answers that none of the folders needs, and no `bench judge`: `compared` are its systems."""
    unused = sorted(keys - {key for one in folders for key in _used(one)})
    systems = compared | {text for one in folders for text in _asked(one)}
    if systems:
        unused = [key for key in unused if (prompt := answers.prompt(key)) is None or prompt.system not in systems]
    return unused


def _store(out: Path) -> RequestStore:
    path = out / ".store" / "requests.sqlite"
    if not path.is_file():
        raise UserError(f"{out} has no request store; name the output folder by --out")
    return RequestStore(path)


def carry_out(removal: Removal, out: Path) -> int:
    """Removes it; returns the bytes by which the request store is smaller."""
    for folder in removal.folders:
        shutil.rmtree(folder.path)
    if not removal.answers:
        return 0
    with closing(_store(out)) as store:
        return store.remove(removal.answers)


def _every(out: Path) -> list[RunFolder]:
    """All runs below an output folder, those of validations too."""
    return [RunFolder(config.parent) for config in sorted(out.rglob(runs.CONFIG))]


def _used(folder: RunFolder) -> Iterator[str]:
    for row in folder.rows(runs.SAMPLES):
        yield from (key for _, key in row["requests"])


def _asked(folder: RunFolder) -> Iterator[str]:
    """The system messages of the metrics that asked a model about this run: its rows do not name these answers."""
    for name in folder.summary()["metric_versions"]:
        metric = registry.create("metric", name)
        if isinstance(metric, AskingMetric):
            if not callable(prompt := getattr(metric, "prompt", None)):
                raise UserError(
                    f"{folder.path} was scored by {registry.named('metric', name)}, whose answers cannot be told from "
                    "others, as it has no prompt(prediction, reference); leave out --store"
                )
            yield prompt("", "").system
