"""A trained module on disk, with everything that identifies it.

    manifest.json          identity, what it was trained on and how (`spec`), configuration, versions
    steps.jsonl            a row for each step: losses, gradient norm, learning rate, tokens a second
    resume.safetensors     module, optimizer and step, from which a killed training continues
    epoch-N.safetensors    the module after epoch N, frozen buffers (DEP's markers) included
    training.json          written last: losses by epoch, sizes, times; its presence means trained
    selection-ID.json      validation METEOR by epoch and the best epoch, for one engine and sampling
    validation-ID/epoch-N  the run folders of these validations

All files are safetensors and JSON, so that loading a checkpoint runs no code from it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.config import RunConfig, fingerprint
from bench.embed.encoders import create as create_encoder
from bench.errors import UserError, mistake
from bench.models import assets
from bench.protocols import Space
from bench.record import files, provenance, runs
from bench.record.runs import RunFolder
from bench.record.sources import source_hash

if TYPE_CHECKING:
    import torch

    from bench.context.context import SlotEncoder
    from bench.protocols import SoftPromptMethod, Vectors
    from bench.types import Slot

FORMAT = 3
MANIFEST, STEPS, TRAINING, RESUME = "manifest.json", "steps.jsonl", "training.json", "resume.safetensors"
FOLDER = "checkpoints"


def spec(config: RunConfig) -> dict[str, Any]:
    """Everything that decides the weights, as flat JSON values that can be compared key by key.

    The run's K is not in it: a checkpoint is trained with `train.k` and serves every K.
    """
    profile, method = config.profile, registry.load("method", config.method)
    k = profile.k if profile.train.k is None else profile.train.k
    found: dict[str, Any] = {
        "format": FORMAT,
        "method": config.method,
        **{f"{config.method}.{key}": value for key, value in config.method_options.items()},
        "retriever": config.retriever,
        **{f"{config.retriever}.{key}": value for key, value in config.retriever_options.items()},
        "llm": assets.fingerprint(assets.resolve(profile.llm, revision=profile.revision)),
        "dtype": profile.dtype,
        **{key: value for key, value in profile.chat.items() if key != "stop"},
        "embedder": create_encoder(profile.embedder).identity(),
        "data": config.data_fingerprint,
        "seed": config.seed,
        "input_budget": profile.input_budget,
        "max_new_tokens": profile.max_new_tokens,
        **{f"train.{key}": value for key, value in profile.train.what().items()},
        "train.k": k if config.retriever else 0,
        "source.method": source_hash(method),
    }
    if config.retriever:
        retriever = registry.load("retriever", config.retriever)
        found["source.retriever"] = source_hash(retriever)
        if retriever.uses_embeddings:  # type: ignore[attr-defined]
            found["encoder"] = create_encoder(profile.retrieval_encoder).identity()
    values: dict[str, Any] = runs.plain(found)
    return values


@dataclass(frozen=True)
class Checkpoint:
    """A folder; `launch.ensure` fills it."""

    path: Path

    @cached_property
    def folder(self) -> RunFolder:
        return RunFolder(self.path)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Raises UserError where the folder is no checkpoint, is damaged or has another format."""
        manifest = self.folder.read(MANIFEST)
        spec = manifest.get("spec")
        if not isinstance(spec, dict) or spec.get("format") != FORMAT or not isinstance(spec.get("train.k"), int):
            raise UserError(f"{self.path} is no checkpoint of this version; train it again")
        return manifest

    @cached_property
    def config(self) -> RunConfig:
        """The configuration it is trained for. Raises UserError where the manifest does not hold one."""
        from pydantic import ValidationError

        try:
            return RunConfig.model_validate(self.manifest.get("config"))
        except ValidationError as error:
            where = f"{self.path / MANIFEST}, config"
            raise UserError(f"{where}: {mistake(error)}; delete {self.path} and train again") from error

    @property
    def trained(self) -> bool:
        return (self.path / TRAINING).is_file()

    @cached_property
    def training(self) -> dict[str, Any]:
        """Raises UserError where the file is damaged, also at a key that it lacks."""
        return self.folder.read(TRAINING)

    def weights(self, epoch: int) -> Path:
        return self.path / f"epoch-{epoch}.safetensors"

    def write_tensors(self, name: str, tensors: Mapping[str, torch.Tensor], about: Mapping[str, str]) -> None:
        """Writes a safetensors file whole or not at all, also if power fails. Raises UserError where it cannot."""
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        try:
            with files.replacing(self.path / name) as part:
                save_file(plain, part, dict(about))
                with part.open("rb") as file:
                    os.fsync(file.fileno())
        except SafetensorError as error:  # safetensors wraps an OSError
            raise UserError(f"{self.path / name} cannot be written ({error}); make room, then run again") from error

    def read_tensors(self, name: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        """(tensors, metadata). Raises UserError for a file that is missing or damaged."""
        from safetensors import SafetensorError, safe_open

        path = self.path / name
        try:
            with safe_open(path, framework="pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path} cannot be read ({error}); delete {self.path} and train again") from error

    def slot_encoder(self, method: SoftPromptMethod, epoch: int) -> SlotEncoder:
        """The module after this epoch, ready to make soft prompt embeddings."""
        tensors, _ = self.read_tensors(self.weights(epoch).name)
        return TrainedSlotEncoder(load_module(method, self.training["space"], tensors))


def load_module(method: SoftPromptMethod, sizes: Mapping[str, int], tensors: Mapping[str, torch.Tensor]) -> Any:
    """A module of these sizes with these tensors, in evaluation mode. Raises UserError where they do not fit."""
    import numpy as np

    try:
        nothing = np.zeros(sizes["hidden_size"], np.float32)
        module = method.module(Space(sizes["vector_size"], sizes["hidden_size"], nothing, nothing, 1.0))
        module.load_state_dict(dict(tensors))
    except (RuntimeError, ValueError) as error:
        raise UserError(f"the checkpoint's tensors do not fit the method: {str(error).splitlines()[0]}") from error
    return module.eval()


@dataclass(frozen=True)
class TrainedSlotEncoder:
    """A module as a `bench.context.context.SlotEncoder`."""

    module: Any

    def __call__(self, slots: Sequence[Slot]) -> Vectors:
        import torch

        with torch.inference_mode():
            made, _ = self.module(slots)
        embeds: Vectors = made.float().cpu().numpy()
        return embeds


def identity(config: RunConfig) -> str:
    """The fingerprint of the weights that a configuration trains."""
    return fingerprint(spec(config))


def open_for(config: RunConfig, out: Path) -> Checkpoint:
    """The checkpoint that this run needs, below `out`. It may be untrained or not exist yet."""
    retriever = f"-{config.retriever}" if config.retriever else ""
    name = f"{Path(config.data).name}-{config.method}{retriever}-seed{config.seed}-{identity(config)[:8]}"
    return Checkpoint(out / FOLDER / name)


def describe(config: RunConfig) -> dict[str, Any]:
    """The manifest of a new checkpoint."""
    wanted = spec(config)
    about = {"versions": provenance.versions(), "git": provenance.commit(), "started": provenance.now()}
    return {"identity": fingerprint(wanted), "spec": wanted, "config": config.model_dump(mode="json"), **about}


def named(path: Path, out: Path) -> Checkpoint:
    """The checkpoint in a folder that the user names, or of that name below `out`. Raises UserError for none."""
    listed = out / FOLDER / path
    found = listed if listed.is_dir() and not path.is_dir() else path
    if not (found / MANIFEST).is_file():
        raise UserError(f"{found} is no checkpoint; name a folder, or a name that `bench ls checkpoints` lists")
    return Checkpoint(found)


def with_settings(found: Checkpoint, values: Mapping[str, Any]) -> dict[str, Any]:
    """The user's settings by dotted key, and the `train.*` that the checkpoint knows: nobody has to repeat them.

    Raises UserError for one that contradicts what the weights were trained with.
    """
    trained, kept = found.manifest["spec"], found.config.profile.train
    decided = {**kept.what(), "k": trained["train.k"] if trained.get("retriever") else kept.k}
    for name, theirs in decided.items():
        if (ours := values.get(f"train.{name}", theirs)) != theirs:
            raise UserError(
                f"--set train.{name}={_short(ours)}: checkpoint {found.path} was trained with {_short(theirs)}; "
                "leave out the setting or --checkpoint"
            )
    own = {f"train.{name}": value for name, value in {**kept.model_dump(), **decided}.items()}
    return {**own, **values}


def given(found: Checkpoint, config: RunConfig) -> Checkpoint:
    """A checkpoint that the user names. Raises UserError that names every key that does not fit."""
    path = found.path
    theirs, ours = found.manifest["spec"], spec(config)
    differing = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
    if differing:
        pairs = "; ".join(f"{key}: {_short(theirs.get(key))} there, {_short(ours.get(key))} here" for key in differing)
        raise UserError(f"checkpoint {path} does not fit this run: {pairs}; change the run, or leave out --checkpoint")
    if not found.trained:
        raise UserError(f"checkpoint {path} is not trained to its end; run `bench train` with the same options first")
    method = registry.create("method", config.method, config.method_options)
    for epoch in range(1, config.profile.train.epochs + 1):
        found.slot_encoder(method, epoch)  # damaged weights raise now, before the engine starts
    return found


def _short(value: Any) -> str:
    """Long values, such as hashes, by their first characters."""
    text = runs.dump(value)
    return text if len(text) <= 40 else f"{text[:13]}..."


def find(out: Path) -> list[Checkpoint]:
    """All checkpoints below an output folder, sorted by name."""
    return [Checkpoint(manifest.parent) for manifest in sorted((out / FOLDER).glob(f"*/{MANIFEST}"))]
