"""The cells of a grid: configurations with their run folders, samples and checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import registry
from bench.config import RunConfig, identity
from bench.context import comparing
from bench.data import swap
from bench.data.corpus import Corpus
from bench.embed.encoders import create as create_encoder
from bench.errors import UserError
from bench.generate.service import GenerationService
from bench.protocols import Method, SoftPromptMethod
from bench.record import contents, provenance, runs
from bench.record.runs import RunFolder
from bench.record.sources import source_hash
from bench.score import keep
from bench.train import checkpoint as checkpoints
from bench.train.checkpoint import Checkpoint
from bench.types import Sample


@dataclass
class Cell:
    """One run: its configuration, its folder and its samples."""

    config: RunConfig
    folder: RunFolder
    identity: str
    sources: dict[str, str]
    method: Method
    samples: list[Sample]
    checkpoint: Checkpoint | None = None  # of a trained method
    epoch: int | None = None  # of a validation cell; a test cell has the best one
    pending: list[Sample] = field(default_factory=list)
    is_locked: bool = False  # by this process

    @property
    def name(self) -> str:
        if self.checkpoint is None or self.epoch is None:
            return self.folder.path.name
        return f"{self.checkpoint.path.name}, epoch {self.epoch}"

    @property
    def state(self) -> str:
        if self.folder.done:
            return "finished"
        return "new" if not self.folder.path.exists() else "started"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder, unless it is held already. Raises UserError where another process holds it."""
        if self.is_locked:
            yield
            return
        with self.folder.locked():
            self.is_locked = True
            try:
                yield
            finally:
                self.is_locked = False

    def open(self, service: GenerationService) -> Cell:
        """Records how the run starts, and finds out what is left: finished samples stay, the rest is pending."""
        (self.folder.path / runs.SUMMARY).unlink(missing_ok=True)
        origins = {"generator": service.identity, "sources": self.sources}
        about = {"format": contents.FORMAT, "identity": self.identity, **origins, "date": service.told_date}
        self._check_date(service.told_date)
        self.folder.write(runs.CONFIG, {**about, "config": self.config.model_dump(mode="json")})
        origin = provenance.collect(service.identity, service.details())
        if (self.folder.path / runs.PROVENANCE).is_file():
            origin = provenance.continued(self.folder.read(runs.PROVENANCE), origin)
        self.folder.write(runs.PROVENANCE, origin)
        finished = self.folder.keep_finished()
        self.pending = [sample for sample in self.samples if sample.sample_id not in finished]
        if self.pending:  # else the run keeps the time at which it was finished
            (self.folder.path / keep.EARLIER).unlink(missing_ok=True)
        return self

    def _check_date(self, date: str) -> None:
        """Raises UserError where the run was begun with another date: its prompts would be of two days."""
        if (self.folder.path / runs.CONFIG).is_file():
            begun = self.folder.read(runs.CONFIG).get("date") or date
            if begun != date:
                raise UserError(
                    f"{self.folder.path} was begun with the date {begun}, and this command has {date}; add --set "
                    f"date={begun}, or choose another --out"
                )

    def lacks_metrics(self) -> dict[str, dict[str, Any]]:
        """The metrics, with their options, that the profile asks for and a finished run was not scored with."""
        if not self.folder.done:
            return {}
        has, profile = self.folder.summary()["metric_versions"], self.config.profile
        return {name: dict(profile.options.get(name, {})) for name in profile.metrics if name not in has}

    def show(self, samples: list[Sample]) -> None:
        """Takes the same samples with the histories that were chosen for them."""
        known = {sample.sample_id: sample for sample in samples}
        self.samples = samples
        self.pending = [known[sample.sample_id] for sample in self.pending]

    def note(self, **about: Any) -> None:
        """Adds these keys to config.json."""
        self.folder.write(runs.CONFIG, {**self.folder.read(runs.CONFIG), **about})

    def written(self, service: GenerationService) -> Cell:
        """Records the engine's arguments where they changed: an engine that ran out of memory starts again smaller."""
        origin, ended = self.folder.read(runs.PROVENANCE), {**service.identity, **service.details()}
        latest = [origin, *origin.get("continued", [])]
        if ended != next(start["generator"] for start in reversed(latest) if "generator" in start):
            self.folder.write(runs.PROVENANCE, {**origin, "ended": {"generator": ended}})
        return self


def plan(
    configs: Iterable[RunConfig],
    corpus: Corpus,
    out: Path,
    *,
    generator: Mapping[str, Any],
    checkpoint: Path | None = None,
) -> list[Cell]:
    """Turns configurations into cells, with folders named by label and identity. Equal cells appear once.

    Trained methods use `checkpoint` where one is given, which must fit them; else the checkpoint of their identity.
    """
    cells: dict[str, Cell] = {}
    for config in configs:
        method = registry.create("method", config.method, config.method_options)
        check_truth(config, corpus, method)
        trained = _checkpoint(config, checkpoint, out) if isinstance(method, SoftPromptMethod) else None
        if not (own := swap.own(config, corpus)):
            raise UserError(f"data '{config.data}' has no samples in split '{config.split}'")
        comparing.check(config, own)
        sources = _sources(config, method, trained)
        if getattr(method, "sees_truth", False):
            sources["truth"] = corpus.truth_digest
        name = identity(config, generator=generator, sources=sources)
        folder = RunFolder(out / f"{config.label}-{name[:8]}")
        samples = swap.planned(config, corpus, folder)
        cells.setdefault(name, Cell(config, folder, name, sources, method, samples, trained))
    if checkpoint is not None and all(cell.checkpoint is None for cell in cells.values()):
        names = ", ".join(dict.fromkeys(cell.config.method for cell in cells.values()))
        raise UserError(f"--checkpoint {checkpoint}: {names} takes none; name a trained method, or leave it out")
    return list(cells.values())


def check_truth(config: RunConfig, corpus: Corpus, method: Method | None = None) -> None:
    """Raises UserError where a ceiling or a metric needs to know what is planted, and nothing is."""
    ceiling = [f"method '{config.method}'"] if getattr(method, "sees_truth", False) else []
    metrics = [name for name in config.profile.metrics if getattr(registry.load("metric", name), "needs_truth", False)]
    asking = [*ceiling, *(f"metric '{name}'" for name in metrics)]
    if asking and not corpus.is_world:
        raise UserError(f"{asking[0]} needs a planted world, and data '{config.data}' is none; see `bench data world`")
    if asking:
        corpus.truth(corpus.samples(config.split, limit=1)[0])  # its key is there


def unfinished(cells: Sequence[Cell], *, retry: bool) -> list[Cell]:
    return [cell for cell in cells if not cell.folder.done or (retry and cell.folder.summary()["failed"])]


def lock(cells: Sequence[Cell], stack: ExitStack) -> None:
    """Holds the cells until the stack is closed. Raises UserError where another process has one."""
    for cell in cells:
        stack.enter_context(cell.locked())


def without_scores(cells: Sequence[Cell], todo: Sequence[Cell]) -> list[Cell]:
    """The cells to score: those that are open, and finished ones that lack metrics."""
    return [*todo, *(cell for cell in cells if cell.lacks_metrics())]


def _checkpoint(config: RunConfig, path: Path | None, out: Path) -> Checkpoint:
    if path is None:
        return checkpoints.open_for(config, out)
    return checkpoints.given(checkpoints.named(path, out), config)


def _sources(config: RunConfig, method: Method, checkpoint: Checkpoint | None) -> dict[str, str]:
    """What decides a cell's texts besides its configuration: its components' code and its encoders' weights."""
    sources = {"method": source_hash(type(method))}
    if method.uses_embeddings or config.chooses_by_vectors:
        sources["embedder"] = create_encoder(config.profile.embedder).identity()
    if checkpoint is not None:
        sources["checkpoint"] = checkpoints.identity(config)
        sources["validation"] = str(config.profile.train.val_limit)
    if config.retriever:
        retriever = registry.load("retriever", config.retriever)
        sources["retriever"] = source_hash(retriever)
        if retriever.uses_embeddings:  # type: ignore[attr-defined]
            sources["encoder"] = create_encoder(config.profile.retrieval_encoder).identity()
    return sources
