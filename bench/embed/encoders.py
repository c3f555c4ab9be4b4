"""Frozen text encoders on local folders, in fp32; on a GPU in the type that the profile names.

A model is needed only when it is used: a run that embeds nothing needs none, and a run whose vectors are all stored
needs the files of the model for its identity, but loads no weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bench.config import EncoderConfig
from bench.embed.store import CHUNK
from bench.errors import UserError
from bench.models import attention, folders, release

if TYPE_CHECKING:
    from bench.protocols import Embedder, Vectors

T = TypeVar("T")

WHITENING = Path(__file__).parents[1] / "models" / "whitening"
BATCH, GPU_BATCH = 32, 256
GPU_CHUNK = 4096  # texts between two commits of the store: seconds of a GPU
SHORT = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


NONE = 'vectors are asked for, and the profile names no encoder; add [embedder] to it, or base = "tiny" (docs/gpus.md)'


def dimensions(config: EncoderConfig) -> int:
    """The length of the encoder's vectors, read from its folder. Raises UserError if it is not here."""
    from bench.models.assets import resolve

    if not config.model:
        raise UserError(NONE)
    return int(json.loads((Path(resolve(config.model)) / "config.json").read_text())["hidden_size"])


def create(config: EncoderConfig) -> Embedder:
    """The encoder of this config. Its `identity` and `encode` raise UserError if the model is not on this machine."""
    if not config.model:
        return NoEncoder()
    plain = Bgem3Encoder(config) if config.pooling == "bge-m3" else MeanPoolingEncoder(config)
    return Whitened(plain) if config.whitening else plain


@dataclass(frozen=True)
class NoEncoder:
    """Of a profile that names none: whoever asks for a vector is told so."""

    def identity(self) -> str:
        raise UserError(NONE)

    def encode(self, texts: Sequence[str]) -> Vectors:
        raise UserError(NONE)


@dataclass(frozen=True)
class MeanPoolingEncoder:
    """Mean of the last hidden states over real tokens, of any BERT-like folder.

    Contriever (Izacard et al. 2022) is this without normalisation; MiniLM sentence encoders with it.
    """

    config: EncoderConfig

    def identity(self) -> str:
        return _identity(self.config)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """(n, hidden size) fp32, in the order given."""
        import numpy as np

        _, model = self._loaded
        vectors = np.empty((len(texts), model.config.hidden_size), np.float32)
        # Texts of about the same length share a batch, so that there is little padding. The longest come first, so that
        # a batch that does not fit into memory fails at once.
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        size = GPU_BATCH if model.device.type == "cuda" else BATCH
        for start in range(0, len(texts), size):
            batch = order[start : start + size]
            vectors[batch] = self._pooled([_well_formed(texts[i]) for i in batch])
        return vectors

    @property
    def chunk(self) -> int:
        return _chunk()

    def release(self) -> None:
        """Gives the model's memory back; the next text loads it again."""
        _release(self)

    def _pooled(self, texts: list[str]) -> Vectors:
        import torch

        tokenizer, model = self._loaded
        cut = {"padding": True, "truncation": True, "max_length": self.config.max_tokens}
        inputs = tokenizer(texts, return_tensors="pt", **cut).to(model.device)
        with torch.inference_mode():
            states = model(**inputs).last_hidden_state.float()
        mask = inputs["attention_mask"].unsqueeze(-1).to(states.dtype)
        means = (states * mask).sum(1) / mask.sum(1)
        if self.config.normalize:
            means = torch.nn.functional.normalize(means, dim=-1)
        vectors: Vectors = means.cpu().numpy()
        return vectors

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        import torch
        from transformers import AutoModel, AutoTokenizer

        from bench.models.assets import resolve

        attention.of_any_shape()
        folder, here = resolve(self.config.model), {"local_files_only": True, "trust_remote_code": False}
        with folders.loading(self.config.model):
            tokenizer = AutoTokenizer.from_pretrained(folder, **here)
            model = AutoModel.from_pretrained(folder, dtype=getattr(torch, precision(self.config)), **here)
        _check_positions(self.config, tokenizer, model)
        return tokenizer, model.to(_devices()[0]).eval()


@dataclass(frozen=True)
class Bgem3Encoder:
    """Dense vector of `BAAI/bge-m3` by its authors' FlagEmbedding: [CLS], no instruction."""

    config: EncoderConfig

    def identity(self) -> str:
        return _identity(self.config)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """(n, hidden size) fp32, in the order given; FlagEmbedding sorts by length itself."""
        import numpy as np

        if not texts:
            return np.empty((0, self._loaded.model.model.config.hidden_size), np.float32)
        well_formed = [_well_formed(text) for text in texts]
        size = BATCH if _devices() == ["cpu"] else GPU_BATCH
        output = self._loaded.encode(well_formed, batch_size=size, max_length=self.config.max_tokens)
        return np.asarray(output["dense_vecs"], np.float32)

    @property
    def chunk(self) -> int:
        return _chunk()

    def release(self) -> None:
        """Gives the model's memory back, and ends the processes of several GPUs; the next text loads it again."""
        if "_loaded" in vars(self):
            self._loaded.stop_self_pool()
        _release(self)

    @cached_property
    def _loaded(self) -> Any:
        _silence()
        attention.of_any_shape()
        from FlagEmbedding import BGEM3FlagModel

        from bench.models.assets import resolve

        with folders.loading(self.config.model):
            flag = BGEM3FlagModel(
                resolve(self.config.model),
                normalize_embeddings=self.config.normalize,
                use_fp16=precision(self.config) == "float16",
                use_bf16=precision(self.config) == "bfloat16",
                trust_remote_code=False,
                devices=_devices(),
            )
        _check_positions(self.config, flag.tokenizer, flag.model.model)
        return flag


@dataclass(frozen=True)
class Whitened:
    """The vectors of another encoder, less a mean, times a matrix: `EncoderConfig.whitening`."""

    plain: MeanPoolingEncoder | Bgem3Encoder

    def identity(self) -> str:
        return f"{self.plain.identity()} whitened {hashlib.sha256(self._file.read_bytes()).hexdigest()[:12]}"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """(n, d) fp32, in the order given. Raises UserError where the file is not of this encoder."""
        import numpy as np

        vectors = self.plain.encode(texts)
        mean, whiten = self._map
        if whiten.shape != (vectors.shape[1],) * 2 or mean.shape != vectors.shape[1:]:
            raise UserError(f"{self._file} whitens {len(mean)} dimensions, and {self._of} has {vectors.shape[1]}")
        whitened: Vectors = np.asarray((vectors - mean) @ whiten, np.float32)
        return whitened

    @property
    def chunk(self) -> int:
        return self.plain.chunk

    def release(self) -> None:
        self.plain.release()

    @property
    def _of(self) -> str:
        return self.plain.config.model

    @property
    def _file(self) -> Path:
        """Raises UserError where there is none. Shipped files are named after the encoder that they were fitted on."""
        shipped = {path.stem: path for path in WHITENING.glob("*.safetensors")}
        name = self.plain.config.whitening
        file = shipped.get(name, Path(name))
        if not file.is_file():
            raise UserError(
                f"no whitening '{name}' for {self._of}; name a file or a shipped one: {', '.join(sorted(shipped))}"
            )
        if name in shipped and name != self._of:
            raise UserError(f"whitening '{name}' was fitted on the vectors of {name}, not of {self._of}; leave it out")
        return file

    @cached_property
    def _map(self) -> tuple[Vectors, Vectors]:
        """mean (d,), matrix (d, d). Raises UserError for another file."""
        import numpy as np
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            found = load_file(self._file)
            return found["mean"].astype(np.float32), found["whiten"].astype(np.float32)
        except (SafetensorError, KeyError, OSError) as error:
            raise UserError(f"{self._file} is no whitening ({error}); `bench models make micro` makes one") from error


def _release(encoder: Embedder) -> None:
    vars(encoder).pop("_loaded", None)
    release.memory()


def _identity(config: EncoderConfig) -> str:
    """By fingerprint, not by name: the same weights under another path keep their vectors."""
    from bench.models.assets import fingerprint, resolve

    length = "l2" if config.normalize else "raw"
    limits = f"{length} {config.max_tokens} {SHORT[precision(config)]}"
    return f"{fingerprint(resolve(config.model))} {config.pooling} {limits}"


def _check_positions(config: EncoderConfig, tokenizer: Any, model: Any) -> None:
    limit = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    if config.max_tokens > limit:
        raise UserError(f"{config.model}: max_tokens={config.max_tokens} exceeds its {limit} positions; set {limit}")


def precision(config: EncoderConfig) -> str:
    """What this machine computes in."""
    return config.dtype if config.dtype == "float32" or _devices() != ["cpu"] else "float32"


def _devices() -> list[str]:
    """Every GPU, or the CPU."""
    import torch

    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["cpu"]


def _chunk() -> int:
    """Texts between two commits of the store: enough for all GPUs, few enough on a CPU that little is lost."""
    devices = _devices()
    return CHUNK if devices == ["cpu"] else GPU_CHUNK * len(devices)


def _silence() -> None:
    """The store has one bar for all texts; FlagEmbedding would draw several for each chunk."""
    for name in ("abc.inference.AbsEmbedder", "inference.embedder.encoder_only.m3"):
        module = import_module(f"FlagEmbedding.{name}")
        module.tqdm, module.trange = _items, _numbers  # type: ignore[attr-defined]


def _items(items: T, **options: Any) -> T:
    return items


def _numbers(*bounds: int, **options: Any) -> range:
    return range(*bounds)


def _well_formed(text: str) -> str:
    """The text for a tokenizer: lone surrogates become U+FFFD, and surrogate pairs become the character they spell."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
