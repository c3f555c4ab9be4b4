"""One training from its manifest to its last epoch: when its state is saved, and how a killed one continues."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from bench import registry, stop
from bench.config import RunConfig
from bench.data.corpus import load
from bench.embed.encoders import dimensions
from bench.errors import UserError
from bench.generate.prompts import chat
from bench.models import assets
from bench.record import provenance
from bench.train import optimizer
from bench.train.checkpoint import MANIFEST, RESUME, STEPS, TRAINING, Checkpoint
from bench.train.examples import ExampleSource, source
from bench.train.lm import FrozenLM
from bench.train.logs import Logs
from bench.train.ranks import Ranks
from bench.train.trainer import Step, Trainer


@dataclass
class Session:
    """Everything that one process needs while it trains."""

    checkpoint: Checkpoint
    config: RunConfig
    ranks: Ranks
    module: Any
    trainer: Trainer
    source: ExampleSource
    logs: Logs
    sizes: dict[str, int]
    saved: float = field(default_factory=time.monotonic)
    per_epoch: int = 0  # steps

    def run(self) -> None:
        count = len(self.source.of_epoch(1))
        if not count:
            raise UserError(
                f"no training sample fits the input budget; first: {next(iter(self.source.failed.values()))}"
            )
        self.per_epoch = -(-count // self.config.profile.train.batch)
        self.trainer.say = self.logs.say
        self._note_attention()
        self.logs.expect(self.per_epoch * self.config.profile.train.epochs, self.trainer.begin)
        self.trainer.after_step, self.trainer.after_epoch = self._after_step, self._after_epoch
        with stop.deferred():
            self.trainer.train(self.source.of_epoch, count)
        if self.ranks.first:
            self.checkpoint.folder.write(TRAINING, self._summary(count))
            (self.checkpoint.path / RESUME).unlink(missing_ok=True)
        self.ranks.wait()

    def _note_attention(self) -> None:
        if self.ranks.first:
            kind = self.trainer.lm.attention
            self.checkpoint.folder.write(MANIFEST, {**self.checkpoint.manifest, "attention": kind})
            self.logs.say(f"{self.config.method}: {kind} attention on {self.ranks.device}")

    def _after_step(self, step: Step) -> None:
        if self.ranks.first:
            self.checkpoint.folder.append(STEPS, step.row())
            self.logs.step(step)
        # An epoch's last step is saved with the epoch's weights, so that neither exists without the other.
        # The first rank's clock decides for all, because saving gathers the state from all ranks.
        due = time.monotonic() - self.saved >= 60 * self.config.profile.train.save_minutes
        if step.step % self.per_epoch and self.ranks.agree(due or stop.asked()):
            self._save(step.step)
            self._stop_if_asked()

    def _after_epoch(self, epoch: int) -> None:
        if self.ranks.first:
            self.checkpoint.write_tensors(self.checkpoint.weights(epoch).name, self.module.state_dict(), {})
        self._save(epoch * self.per_epoch)
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        """Called with the state saved. Raises KeyboardInterrupt on all ranks where the first one is to stop."""
        if self.ranks.agree(stop.asked()):
            raise KeyboardInterrupt

    def _save(self, step: int) -> None:
        state = self.trainer.optimizer.state()
        if self.ranks.first:
            module = {f"module.{name}": value for name, value in self.module.state_dict().items()}
            self.checkpoint.write_tensors(RESUME, module | state, {"step": str(step)})
        self.saved = time.monotonic()

    def _summary(self, count: int) -> dict[str, Any]:
        rows = list(self.checkpoint.folder.rows(STEPS))
        averaged = [key for key in rows[0] if key not in ("step", "epoch", "lr", "tokens", "seconds")]
        epochs = []
        for epoch in sorted({row["epoch"] for row in rows}):
            mine = [row for row in rows if row["epoch"] == epoch]
            means = {key: fmean(row[key] for row in mine) for key in averaged if key != "tokens_per_second"}
            epochs.append({"epoch": epoch, **means, "seconds": round(sum(row["seconds"] for row in mine), 1)})
        parameters = [value for value in self.module.parameters() if value.requires_grad]
        return {
            "epochs": epochs,
            "steps": len(rows),
            "samples": count,
            "left_out": self.source.failed,
            "space": self.sizes,
            "trainable": sum(value.numel() for value in parameters),
            "tokens": sum(row["tokens"] for row in rows),
            "seconds": round(sum(row["seconds"] for row in rows), 1),
            "device": str(self.ranks.device),
            "attention": self.trainer.lm.attention,
            "micro_tokens": self.trainer.micro_tokens,
            "recomputed": self.trainer.lm.recomputes,
            "peak_memory_gib": peak_memory(self.ranks.device),
            "processes": self.ranks.size,
            "finished": provenance.now(),
        }


def prepare(checkpoint: Checkpoint, logs: Logs, *, first: bool) -> ExampleSource:
    """The examples of the training, their texts embedded: before the ranks join, whose barriers wait minutes only."""
    config = checkpoint.config
    corpus = load(config.data)
    if corpus.fingerprint != config.data_fingerprint:
        raise UserError(f"data '{config.data}' has changed since {checkpoint.path} was begun; run again")
    method = registry.create("method", config.method, config.method_options)
    told = config.profile.date or checkpoint.manifest.get("date")  # as the runs of this output folder are told
    profile = config.profile.model_copy(update={"date": told})
    encoder = chat.of_profile(profile, assets.resolve(profile.llm, revision=profile.revision))
    out = checkpoint.path.parent.parent
    return source(config, method, corpus, encoder, out=out, first=first, progress=logs.embedding if first else None)


def open_session(checkpoint: Checkpoint, examples: ExampleSource, ranks: Ranks, logs: Logs) -> Session:
    """Loads the language model and the module, and the saved state if there is one."""
    config = checkpoint.config
    profile, train, method = config.profile, config.profile.train, examples.method
    folder = assets.resolve(profile.llm, revision=profile.revision)
    lm = FrozenLM(
        folder,
        dtype=profile.dtype,
        device=ranks.device,
        slot_id=examples.encoder.slot_id,
        trust_code=profile.trusts_code,
    )
    space = lm.space(dimensions(profile.embedder))
    torch.manual_seed(config.seed)
    module: Any = method.module(space).to(ranks.device).train()
    begin, moments = _resume(checkpoint, module) if (checkpoint.path / RESUME).is_file() else (0, None)
    if ranks.first:
        _take_back(checkpoint, begin)
    adamw = optimizer.create(module, train, ranks)  # after the module is restored, because ZeRO copies it
    if moments:
        adamw.restore(moments, begin)
    trainer = Trainer(lm, module, adamw, train, ranks, config.seed, begin)
    sizes = {"vector_size": space.vector_size, "hidden_size": space.hidden_size}
    return Session(checkpoint, config, ranks, module, trainer, examples, logs, sizes)


def peak_memory(device: torch.device) -> float:
    """GiB: of the GPU, as torch counts it; of the process on a CPU."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**30, 2)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def _resume(checkpoint: Checkpoint, module: Any) -> tuple[int, dict[str, Tensor]]:
    """Restores the module and returns (steps done before, the optimizer's moments)."""
    tensors, about = checkpoint.read_tensors(RESUME)
    own = {name.removeprefix("module."): value for name, value in tensors.items() if name.startswith("module.")}
    module.load_state_dict(own)
    return int(about["step"]), {name: value for name, value in tensors.items() if not name.startswith("module.")}


def _take_back(checkpoint: Checkpoint, begin: int) -> None:
    """Removes rows of steps after the last save, which are done again, and files that a kill left unfinished."""
    kept = [row for row in checkpoint.folder.rows(STEPS) if row["step"] <= begin]
    checkpoint.folder.write_rows(STEPS, kept)
    for part in checkpoint.path.glob(".*.tmp"):
        part.unlink()
