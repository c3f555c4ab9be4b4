"""Frozen text encoders on local folders, in fp32.

A model is needed only when it is used: a run that embeds nothing needs none, and a run whose vectors are all stored
needs the files of the model for its identity, but loads no weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.config import EncoderConfig
from bench.errors import UserError
from bench.models import folders, release

if TYPE_CHECKING:
    from bench.protocols import Embedder, Vectors

BATCH = 32


def dimensions(config: EncoderConfig) -> int:
    """The length of the encoder's vectors, read from its folder. Raises UserError if it is not here."""
    from bench.models.assets import resolve

    return int(json.loads((Path(resolve(config.model)) / "config.json").read_text())["hidden_size"])


def create(config: EncoderConfig) -> Embedder:
    """The encoder of this config. Its `identity` and `encode` raise UserError if the model is not on this machine."""
    return Bgem3Encoder(config) if config.pooling == "bge-m3" else MeanPoolingEncoder(config)


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
        for start in range(0, len(texts), BATCH):
            batch = order[start : start + BATCH]
            vectors[batch] = self._pooled([_well_formed(texts[i]) for i in batch])
        return vectors

    def release(self) -> None:
        """Gives the model's memory back; the next text loads it again."""
        _release(self)

    def _pooled(self, texts: list[str]) -> Vectors:
        import torch

        tokenizer, model = self._loaded
        cut = {"padding": True, "truncation": True, "max_length": self.config.max_tokens}
        inputs = tokenizer(texts, return_tensors="pt", **cut).to(model.device)
        with torch.inference_mode():
            states = model(**inputs).last_hidden_state
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

        folder, here = resolve(self.config.model), {"local_files_only": True, "trust_remote_code": False}
        with folders.loading(self.config.model):
            tokenizer = AutoTokenizer.from_pretrained(folder, **here)
            model = AutoModel.from_pretrained(folder, dtype=torch.float32, **here)
        _check_positions(self.config, tokenizer, model)
        return tokenizer, model.to(_device()).eval()


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
        output = self._loaded.encode(well_formed, batch_size=BATCH, max_length=self.config.max_tokens)
        return np.asarray(output["dense_vecs"], np.float32)

    def release(self) -> None:
        """Gives the model's memory back; the next text loads it again."""
        _release(self)

    @cached_property
    def _loaded(self) -> Any:
        from FlagEmbedding import BGEM3FlagModel

        from bench.models.assets import resolve

        with folders.loading(self.config.model):
            flag = BGEM3FlagModel(
                resolve(self.config.model),
                normalize_embeddings=self.config.normalize,
                use_fp16=False,
                trust_remote_code=False,
                devices=[_device()],
            )
        _check_positions(self.config, flag.tokenizer, flag.model.model)
        return flag


def _release(encoder: Embedder) -> None:
    vars(encoder).pop("_loaded", None)
    release.memory()


def _identity(config: EncoderConfig) -> str:
    """By fingerprint, not by name: the same weights under another path keep their vectors."""
    from bench.models.assets import fingerprint, resolve

    length = "l2" if config.normalize else "raw"
    return f"{fingerprint(resolve(config.model))} {config.pooling} {length} {config.max_tokens} fp32"


def _check_positions(config: EncoderConfig, tokenizer: Any, model: Any) -> None:
    limit = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    if config.max_tokens > limit:
        raise UserError(f"{config.model}: max_tokens={config.max_tokens} exceeds its {limit} positions; set {limit}")


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _well_formed(text: str) -> str:
    """The text for a tokenizer: lone surrogates become U+FFFD, and surrogate pairs become the character they spell."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
