"""Encoders that metrics compare texts with: the profile's embedder, or a model of the metric's own.

Vectors go through the output folder's vector store, so that scoring again computes none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from bench.config import EncoderConfig, Profile
from bench.context.prefetch import vector_store
from bench.embed import encoders
from bench.embed.store import StoredEmbedder
from bench.errors import UserError
from bench.models.assets import resolve
from metrics.authorship.choice import Chosen


@runtime_checkable
class ComparingMetric(Protocol):
    """A metric with scorers of authorship. `model` is an option of it: an encoder's name or folder, "" for none."""

    model: str
    model_tokens: int

    @property
    def chosen(self) -> Chosen: ...


@dataclass
class Encoders:
    """Each encoder once for each output folder, with the vectors that it has given."""

    _made: dict[tuple[Path, EncoderConfig], StoredEmbedder] = field(default_factory=dict)

    def bind(self, metric: object, profile: Profile, *, out: Path) -> None:
        """Gives the metric the encoders of its scorers; nothing is loaded yet. Raises UserError for an unfit model."""
        if isinstance(metric, ComparingMetric):
            if "model" in metric.chosen.names:
                refuse_other_pooling(metric.model)
            configs = {"embedder": profile.embedder, "model": own(metric.model, metric.model_tokens)}
            metric.chosen.encoders = {
                name: self._of(config, out) for name, config in configs.items() if name in metric.chosen.names
            }

    def _of(self, config: EncoderConfig, out: Path) -> StoredEmbedder:
        if (out, config) not in self._made:
            self._made[out, config] = StoredEmbedder(vector_store(out), encoders.create(config))
        return self._made[out, config]


def own(model: str, tokens: int) -> EncoderConfig:
    """Mean pooling, which StyleDistance's and Wegmann's models use."""
    return EncoderConfig(model, "mean", normalize=True, max_tokens=tokens)


def refuse_other_pooling(model: str) -> None:
    """Raises UserError for a folder of sentence-transformers whose vector is not the mean of hidden states, for a model
    that brings code of its own, and for one that is not on this machine.
    """
    folder = Path(resolve(model))
    if "auto_map" in _json(folder / "config.json"):
        raise UserError(f"model {model} brings code of its own, which bench does not run; choose another encoder")
    for part in _modules(folder):
        kind = str(part.get("type", "")).rpartition(".")[2]
        pooling = _json(folder / str(part.get("path", "")) / "config.json") if kind == "Pooling" else {}
        other = [
            key for key, used in pooling.items() if key.startswith("pooling_mode_") and used and "mean_t" not in key
        ]
        if kind not in ("Transformer", "Pooling", "Normalize") or other:
            raise UserError(f"model {model}: its vectors are made by {', '.join(other) or kind}, and bench takes means")


def _modules(folder: Path) -> list[dict[str, Any]]:
    """The parts of a model of sentence-transformers; none for other models."""
    file = folder / "modules.json"
    found: list[dict[str, Any]] = json.loads(file.read_text("utf-8")) if file.is_file() else []
    return found


def _json(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return found
