"""BERTScore F1 by the package bert-score: one layer of a local model, no idf, no rescaling.

The paper's setting is layer 6 of `allenai/led-base-16384`; bert-score uses its encoder alone. Token ids are those of
transformers 4 (`metrics.bertscore_tokens`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UserError
from bench.models import assets, attention, folders, release
from bench.types import Column
from metrics import reading
from metrics.bertscore_tokens import Tokens, adds_space
from metrics.pairs import blank, mean, pairs

if TYPE_CHECKING:
    import torch

UNLIMITED = 1 << 20
WHY = {
    reading.NONE: "hold no token of its model, and score 0",
    reading.UNKNOWN: "are more than half unknown tokens, which are all alike",
    reading.CUT: "are longer than its model reads, and cut",
}


@dataclass(frozen=True)
class BertScore:
    """Rows: {"bertscore": F1}. Texts are cut at the model's own limit of tokens.

    `model` is a name or a folder that `bench.models.assets.resolve` finds. `device` "" is the GPU, if there is one.
    `prefix_space` says whether a space stands before each text; None: as bert-score has it under transformers 4.
    """

    model: str = "allenai/led-base-16384"
    layer: int = 6
    batch_size: int = 32
    device: str = ""
    prefix_space: bool | None = None
    columns = (Column("bertscore", "BS.", higher_is_better=True),)
    only_speed = ("batch_size", "device")

    @property
    def uses_gpu(self) -> bool:
        """Whether the model goes to a GPU, where an engine at work leaves no room for it."""
        return self.device != "cpu" and Path("/dev/nvidiactl").exists()

    def score(self, predictions: Sequence[str], references: Sequence[str]) -> list[dict[str, Any]]:
        """Raises UserError for a model that is absent or unfit, ValueError for lists of different length."""
        compared, scorer = pairs(predictions, references), self._loaded
        rows: list[dict[str, Any]] = [{"bertscore": 0.0} for _ in compared]
        filled = [index for index, pair in enumerate(compared) if not blank(*pair)]
        # Texts of similar length together need less padding. Calls are small: the package keeps a call's vectors.
        filled.sort(key=lambda index: max(map(len, compared[index])))
        half = max(1, self.batch_size // 2)
        for start in range(0, len(filled), half):
            batch = filled[start : start + half]
            texts, targets = zip(*(map(_well_formed, compared[index]) for index in batch), strict=True)
            _, _, f1 = scorer.score(list(texts), list(targets), batch_size=self.batch_size)
            for index, value in zip(batch, f1.tolist(), strict=True):
                rows[index]["bertscore"] = value
        tokens: Tokens = scorer._tokenizer
        formed = [(_well_formed(text), _well_formed(reference)) for text, reference in compared]
        return [reading.add(row, tokens.unread, *pair) for row, pair in zip(rows, formed, strict=True)]

    def release(self) -> None:
        """Gives the model's memory back, which the next engine may need; the next call loads it again."""
        vars(self).pop("_loaded", None)
        release.memory()

    @cached_property
    def _loaded(self) -> Any:
        return _scorer(assets.resolve(self.model), self.layer, self.device, self._space)

    @property
    def _space(self) -> bool:
        return adds_space(Path(assets.resolve(self.model))) if self.prefix_space is None else self.prefix_space

    def unread(self, row: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
        return reading.words(row, WHY)

    def aggregate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return {"bertscore": mean(rows, "bertscore")}

    def versions(self) -> dict[str, str]:
        """Raises UserError for a model whose files `score` would refuse, so that a run can ask before it starts."""
        folder = assets.resolve(self.model)
        _refuse_look_alikes(folder)
        weights = assets.fingerprint(folder)[:12]
        packages = {name: version(name) for name in ("bert-score", "transformers", "torch")}
        space = "prefix-space" if self._space else "no-prefix-space"
        return {**packages, "bertscore": f"{self.model} {weights} layer {self.layer} no-idf no-rescaling {space}"}


def _well_formed(text: str) -> str:
    """Replaces lone surrogates, which no tokenizer accepts."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _scorer(folder: str, layer: int, device: str, space: bool) -> Any:
    _refuse_look_alikes(folder)
    from bert_score import BERTScorer

    attention.of_any_shape()
    with folders.loading(folder):
        try:
            # transformers 5 has fast tokenizers only; the other path of bert-score fails with it.
            scorer = BERTScorer(model_type=folder, num_layers=layer, device=device or None, use_fast_tokenizer=True)
        except AssertionError as error:
            raise UserError(f"bertscore.layer={layer}: {error}; choose another layer") from error
    scorer._model.float()
    longest = _longest(scorer._model, scorer._tokenizer.model_max_length, folder)
    scorer._tokenizer = Tokens(scorer._tokenizer, space, longest)
    return scorer


def _refuse_look_alikes(folder: str) -> None:
    """Raises UserError for paths that bert-score misreads: "t5" in a path means T5, "scibert" at its start SciBERT."""
    config = json.loads((Path(folder) / "config.json").read_text())
    if "auto_map" in config:  # transformers would ask on the terminal whether to run the code
        raise UserError(f"bertscore.model: {folder} contains code, which bench does not run; choose another model")
    kind = config.get("model_type", "")
    if folder.startswith("scibert") or ("t5" in folder and "t5" not in kind):
        raise UserError(f"bertscore.model: bert-score misreads the path {folder}; move the folder to one without 't5'")


def _longest(model: torch.nn.Module, stated: int, folder: str) -> int:
    """The number of tokens that fit: the tokenizer's limit, at most the model's number of positions.

    Some tokenizers state 10**30, where truncation overflows. Some models count positions from 2.
    """
    limits = [stated] if stated < UNLIMITED else []
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in ("position_embeddings", "embed_positions") and hasattr(module, "num_embeddings"):
            first = getattr(module, "offset", 0) + (0 if module.padding_idx is None else module.padding_idx + 1)
            limits.append(module.num_embeddings - first)
    if not limits:
        raise UserError(
            f"bertscore.model: {folder} states no longest input; set model_max_length in its tokenizer_config"
        )
    return min(limits)
