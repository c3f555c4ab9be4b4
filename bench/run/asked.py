"""What `bench run` is asked for, in the words of its options, as the command line and the Python API give them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from bench.config import RunConfig
from bench.console.progress import Progress
from bench.data.corpus import NO_PEERS, Corpus, load, resolve
from bench.errors import match
from bench.generate.service import GenerationService
from bench.run import runner
from bench.run.cells import Cell, plan
from bench.suite import grid
from bench.train import checkpoint as checkpoints


@dataclass(frozen=True)
class Asked:
    """Options of `bench run`. Several names or numbers are separated by commas."""

    method: str
    retriever: str
    k: str
    data: str
    profile: str
    limit: int | None
    seed: str
    split: str
    history: str
    generator: str
    base_url: str
    model_name: str
    metric: str
    deterministic: bool
    checkpoint: Path | None
    out: Path
    settings: Mapping[str, Any] = field(default_factory=dict)  # --set

    def words(self) -> list[str]:
        """The command line that asks for this, after `bench`."""
        found = ["run"]
        for name, value in {one.name: getattr(self, one.name) for one in fields(self)}.items():
            option = "-k" if name == "k" else f"--{name.replace('_', '-')}"
            if name == "settings":
                found += [word for key, given in value.items() for word in ("--set", f"{key}={json.dumps(given)}")]
            elif value is True:
                found.append(option)
            elif value not in (None, False, ""):
                found += [option, str(value)]
        return found

    def corpus(self, say: Callable[[str], None]) -> Corpus:
        corpus = load(self.data)
        if categories := corpus.without_peers():
            say(f"note: {NO_PEERS.format(', '.join(categories))}")
        return corpus

    def expand(self, corpus: Corpus) -> list[RunConfig]:
        """The configuration of every cell. Raises UserError for an option that is wrong."""
        methods = grid.named(self.method, "method")
        return grid.expand(
            corpus,
            data=resolve(self.data),
            methods=methods,
            retrievers=grid.named(self.retriever, "retriever"),
            ks=grid.integers(self.k, option="-k") if self.k else None,
            seeds=grid.integers(self.seed, option="--seed"),
            profile=self.profile,
            set_values=self._set(methods),
            split=cast("Any", match("split", self.split, ("test", "val"))),
            limit=self.limit,
            history=grid.history(self.history),
            generator=self.generator,
            generator_options=grid.server(self.generator, base_url=self.base_url, model=self.model_name),
            deterministic=self.deterministic,
        )

    def _set(self, methods: list[str]) -> Mapping[str, Any]:
        """What --set, --metric and the checkpoint's training say."""
        values = {**self.settings, **({"metrics": grid.metrics(self.metric)} if self.metric else {})}
        if self.checkpoint is None or not grid.trained(methods):
            return values
        return checkpoints.with_settings(checkpoints.named(self.checkpoint, self.out), values)

    def plan(
        self, corpus: Corpus, configs: list[RunConfig], progress: Progress
    ) -> tuple[list[Cell], GenerationService]:
        """The cells with their folders, and the engine that they wait for, not started yet."""
        service = runner.open_service(configs[0], self.out, progress=progress)
        return plan(configs, corpus, self.out, generator=service.identity, checkpoint=self.checkpoint), service
