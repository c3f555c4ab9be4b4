"""A soft-prompt method of a few numbers, a tiny random language model and a few users, for the trainer's tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.config import RunConfig, load_profile
from bench.data.corpus import load
from bench.data.folder import jsonl
from bench.protocols import Context, Space
from bench.train import checkpoint as checkpoints
from bench.train.checkpoint import MANIFEST, Checkpoint
from bench.types import Prompt, Sample, Slot
from tests.generate.folders import tiny_llama

PROFILE = """\
title = "Toy"
llm = "{llm}"
dtype = "float32"
k = 2
input_budget = 500
max_new_tokens = 12
metrics = ["rouge"]

[retrieval_encoder]
model = "{llm}"
pooling = "mean"
normalize = false
max_tokens = 16

[embedder]
model = "{llm}"
pooling = "mean"
normalize = true
max_tokens = 16

[train]
epochs = 2
lr = 0.01
batch = 3
save_minutes = 0
"""


@dataclass(frozen=True)
class ToySoft:
    """One embedding for the user (from the number of their reviews), one for everybody, and an auxiliary loss."""

    label = "Toy"
    uses_retriever = False
    uses_embeddings = False
    varies = False

    @property
    def training(self) -> Mapping[str, Any]:
        return {}

    def texts(self, sample: Sample, ctx: Context) -> Iterable[str]:
        return ()

    def module(self, space: Space) -> Any:
        import torch

        class Module(torch.nn.Module):
            loss_weights: Mapping[str, float] = {"size": 0.5}

            def __init__(self) -> None:
                super().__init__()
                self.user = torch.nn.Linear(1, space.hidden_size)
                self.everybody = torch.nn.Parameter(torch.randn(space.hidden_size) * 0.02)
                self.register_buffer("marker", torch.as_tensor(space.mean))

            def forward(self, slots: Sequence[Slot]) -> Any:
                embeds = [self._embed(slot) for slot in slots]
                together = torch.stack(embeds) if embeds else self.everybody.new_zeros((0, space.hidden_size))
                return together, {"size": self.everybody.pow(2).mean()}

            def _embed(self, slot: Slot) -> Any:
                if slot.name == "user":
                    return self.user(torch.as_tensor(slot.features[0]).to(self.everybody))
                return self.marker if slot.name == "marker" else self.everybody

        return Module()

    def prompt(self, sample: Sample, ctx: Context, *, variation: int = 0) -> Prompt:
        features = (np.array([len(sample.history)], np.float32),)
        slots = (Slot("marker"), Slot("everybody"), Slot("user", features))
        return Prompt("Write.", (f"[Title]: {sample.title} ", *slots, f" of {sample.item.title}."))

    async def write(self, sample: Sample, ctx: Context) -> str:
        return await ctx.generate(self.prompt(sample, ctx), stage="review")


def dataset(folder: Path, *, users: int = 7) -> Path:
    """Users with four reviews each: a test, a validation, a training sample and one more in the history."""
    tables: dict[str, list[dict[str, Any]]] = {"items": [], "reviews": [], "samples": []}
    for i in range(4):
        tables["items"].append({"category": "Toys", "item_id": f"i{i}", "title": f"thing {i}", "description": ""})
    for u in range(users):
        ids = [f"u{u}/r{number}" for number in (3, 2, 1, 0)]
        who = {"category": "Toys", "user_id": f"u{u}"}
        for place, review_id in enumerate(ids):
            about = {"item_id": f"i{place}", "rating": 4.0, "title": f"title {u} {place}", "timestamp": 4 - place}
            tables["reviews"].append({"review_id": review_id, **who, **about, "text": f"user {u} likes {place} " * 2})
        for place, split in enumerate(("test", "val", "train")):
            target = {"sample_id": ids[place], "split": split, "item_id": f"i{place}", "review_id": ids[place]}
            tables["samples"].append({**who, **target, "history": ids[place + 1 :]})
    jsonl.write(folder, {"name": "toys", "title": "toys", "synthetic": True, "categories": ["Toys"]}, tables)
    return folder


@dataclass(frozen=True)
class World:
    """All of it below one folder."""

    path: Path

    def __post_init__(self) -> None:
        if not (self.path / "profile.toml").exists():
            llm = tiny_llama(self.path / "llm")
            (self.path / "profile.toml").write_text(PROFILE.format(llm=llm))
            dataset(self.path / "data")

    @property
    def profile(self) -> Path:
        return self.path / "profile.toml"

    def config(self, **train: Any) -> RunConfig:
        overrides = {f"train.{key}": value for key, value in train.items()}
        data = self.path / "data"
        return RunConfig(
            method="toy",
            k=0,
            data=str(data),
            data_fingerprint=load(str(data)).fingerprint,
            profile=load_profile(str(self.profile), overrides),
        )

    def checkpoint(self, name: str, config: RunConfig) -> Checkpoint:
        """A new checkpoint's folder with its manifest, ready for the worker."""
        found = Checkpoint(self.path / name / checkpoints.FOLDER / "toy")
        found.path.mkdir(parents=True)
        found.folder.write(MANIFEST, checkpoints.describe(config))
        return found
