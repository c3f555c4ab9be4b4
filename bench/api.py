"""The Python API (docs/api.md): `from bench import run, load_runs`. Options are named as on the command line.

What the command line prints as a line is raised: UserError, EngineError, PluginError (bench.errors). A failed sample is
a row with its `error`, no exception. Names that this page documents stay; new options come with defaults.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, overload

from bench import plugins
from bench.commands.output import tell_failures, tell_truncated, to_stderr
from bench.console.terminal import quieten
from bench.defaults import DATA
from bench.errors import BenchError, UserError, of_the_disk
from bench.record import provenance

if TYPE_CHECKING:
    from bench.run.asked import Asked
    from results.tables.finished_runs import FinishedRun
    from results.tables.frames import Rows

Names = str | Sequence[str]
Numbers = int | str | Sequence[int]
Files = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Run:
    """One finished run."""

    _found: FinishedRun

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def path(self) -> Path:
        """The run folder (docs/files.md)."""
        return self._found.folder.path

    @property
    def summary(self) -> dict[str, Any]:
        """The content of summary.json."""
        return self._found.summary

    @property
    def scores(self) -> Rows:
        return Runs((self,)).scores

    @property
    def samples(self) -> Rows:
        return Runs((self,)).samples


@dataclass(frozen=True)
class Runs(Sequence[Run]):
    """Finished runs, in order. Each of `table()`, `scores` and `samples` is a list of dicts: `.to_pandas()`."""

    _runs: tuple[Run, ...]

    @overload
    def __getitem__(self, index: int) -> Run: ...

    @overload
    def __getitem__(self, index: slice) -> Runs: ...

    def __getitem__(self, index: int | slice) -> Run | Runs:
        return Runs(self._runs[index]) if isinstance(index, slice) else self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def __repr__(self) -> str:
        return f"Runs({', '.join(one.name for one in self._runs)})"

    def table(self, *, all: bool = False, metric: Names = "", baseline: str = "", by: str = "") -> Rows:
        """The rows of `bench table`, with the ends of intervals. `metric`: the metrics or columns, not the main ones.

        Raises UserError for an unknown metric, baseline or slice.
        """
        from bench.suite import grid
        from results.tables import frames, slices
        from results.tables.assemble import leaderboards

        found = [one._found for one in self._runs]
        metrics, slice_by = grid.comma_list(_words(metric)), slices.parse(by)
        boards = leaderboards(found, all_columns=all, metrics=metrics, baseline=baseline, slice_by=slice_by)
        return frames.board(boards)

    @property
    def scores(self) -> Rows:
        """A row for each run, category and column of a metric."""
        from results.tables import frames

        return frames.scores([one._found for one in self._runs])

    @property
    def samples(self) -> Rows:
        """A row for each sample of each run, with its text, costs and scores."""
        from results.tables import frames

        return frames.samples([one._found for one in self._runs])


def run(
    method: Names = "all",
    *,
    retriever: Names = "recency",
    k: Numbers | None = None,
    data: str | Path = DATA,
    profile: str | Path = "",
    limit: int | None = None,
    seed: Numbers = 0,
    set: Mapping[str, Any] | Sequence[str] = (),
    split: str = "test",
    history: str = "own",
    generator: str = "vllm",
    base_url: str = "",
    model_name: str = "",
    metric: Names = "",
    deterministic: bool = False,
    retry: bool = False,
    checkpoint: str | Path | None = None,
    out: str | Path = "runs",
    plugin: Files = (),
) -> Runs:
    """What `bench run` does, and the runs that it would show. Goes on where it was stopped.

    Raises UserError for what the user can change, EngineError where the engine dies, PluginError where a plug-in fails.
    """
    from bench.run.asked import Asked
    from bench.suite import grid

    if limit is not None and type(limit) is not int:
        raise UserError(f"limit={limit!r}: a whole number is expected, or None for all samples")
    with _as_a_command(plugin):
        asked = Asked(
            method=_words(method),
            retriever=_words(retriever),
            k="" if k is None else _words(k),
            data=str(data),
            profile=str(profile),
            limit=limit,
            seed=_words(seed),
            split=split,
            history=history,
            generator=generator,
            base_url=base_url,
            model_name=model_name,
            metric=_words(metric),
            deterministic=deterministic,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            out=Path(out),
            settings=_json(set) if isinstance(set, Mapping) else grid.settings(set),
        )
        files = [word for file in plugins.loaded() for word in ("--plugin", file)]
        words = [*asked.words(), *(["--retry"] if retry else []), *files]
        with provenance.command(words), _without_loop(), _without_main():
            return _run(asked, retry=retry)


def _run(asked: Asked, *, retry: bool) -> Runs:
    from bench.console.progress import Progress
    from bench.run import runner
    from results.tables.finished_runs import FinishedRun

    corpus = asked.corpus(say=to_stderr)
    configs = asked.expand(corpus)
    with Progress() as progress:
        cells, service = asked.plan(corpus, configs, progress)
        summaries = runner.run(cells, corpus, service, asked.out, progress=progress, retry=retry)
    tell_truncated(summaries)
    tell_failures([cell.folder for cell in cells], "run ... --retry")
    found = zip((cell.folder for cell in cells), summaries, strict=True)
    return Runs(tuple(Run(FinishedRun(folder, summary)) for folder, summary in found))


def load_runs(*places: str | Path, plugin: Files = ()) -> Runs:
    """The finished runs that `bench table [SUITE] [RUN]...` shows; without a place those of runs/.

    Raises UserError where there are none, or where a file of a run is damaged.
    """
    from results.tables.which_runs import select

    with _as_a_command(plugin):
        _, found = select([Path(place) for place in places], say=to_stderr)
        return Runs(tuple(map(Run, found)))


def import_predictions(
    file: Files,
    name: str,
    *,
    data: str | Path = DATA,
    split: str = "test",
    limit: int | None = None,
    limit_seed: int = 0,
    seed: Numbers | None = None,
    metric: Names = "",
    profile: str | Path = "",
    allow_missing: bool = False,
    ignore_unknown: bool = False,
    last: bool = False,
    out: str | Path = "runs",
    plugin: Files = (),
) -> Runs:
    """What `bench import predictions` does: a run for each file. Raises UserError for a file that is wrong."""
    from bench.exchange import imported
    from bench.exchange.predictions import Rules
    from bench.suite import grid
    from results.tables.finished_runs import FinishedRun

    files = [Path(file)] if isinstance(file, str | Path) else [Path(one) for one in file]
    with _as_a_command(plugin):
        asked = imported.Asked(
            name=name,
            data=str(data),
            profile=str(profile),
            out=Path(out),
            split=split,
            limit=limit,
            limit_seed=limit_seed,
            metrics=grid.metrics(_words(metric)),
            rules=Rules(allow_missing, ignore_unknown, last),
        )
        seeds = range(len(files)) if seed is None else grid.integers(_words(seed), option="--seed")
        with provenance.command(["import", "predictions", *map(str, files), "--name", name]), _without_main():
            found = imported.run(files, list(seeds), asked, say=to_stderr)
        for one in found:
            to_stderr(one.said)
        return Runs(tuple(Run(FinishedRun(one.folder, one.summary)) for one in found))


# ---------------------------------------------------------------- as the command line does it


@contextmanager
def _as_a_command(plugin: Files) -> Iterator[None]:
    """What bench.cli does around every command: quiet libraries, plug-ins, an error of the disk as one line.

    Errors speak of arguments where the command line's speak of options.
    """
    quieten()
    plugins.load([str(plugin)] if isinstance(plugin, str | Path) else map(str, plugin))
    try:
        yield
    except OSError as error:
        if (refused := of_the_disk(error)) is None:
            raise
        raise refused from error
    except BenchError as error:
        error.args = (_of_arguments(str(error)),)
        raise


def _of_arguments(message: str) -> str:
    """`add --set bm25.fields=full` -> `add set={"bm25.fields": "full"}`; commands in backquotes stay as they are."""

    def said(found: re.Match[str]) -> str:
        key, value, option = found.group("key", "value", "option")
        if key:
            read = grid.settings([f"{key}={value}"])[key]
            return f"set={{{json.dumps(key)}: {read!r}}}".replace("'", '"')
        return option.replace("-", "_") if option else found[0]

    from bench.suite import grid

    return re.sub(r"`[^`]*`|--set (?P<key>[\w.]+)=(?P<value>[^\s;,]+)|--(?P<option>[a-z][a-z-]*)", said, message)


def _words(given: Names | Numbers) -> str:
    """As on the command line: several are separated by commas."""
    return ",".join(map(str, given)) if isinstance(given, Iterable) and not isinstance(given, str) else str(given)


def _json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The values as a profile's file could hold them. Raises UserError for others."""
    from bench.record import runs

    found: dict[str, Any] = {}
    for key, value in settings.items():
        try:
            found[str(key)] = runs.plain(value)
        except (TypeError, ValueError) as error:
            raise UserError(f"set {key}={value!r:.60}: {error}; give a number, a text, or a list of these") from None
    return found


@contextmanager
def _without_loop() -> Iterator[None]:
    """Room for the run's own event loop where one is running already, as in a notebook. That one waits."""
    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(outer)
        if outer is not None:
            asyncio.set_event_loop(outer)


@contextmanager
def _without_main() -> Iterator[None]:
    """Keeps the processes that we start from running the user's script again, which need not guard its `__main__`."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
