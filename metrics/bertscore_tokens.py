"""Token ids as bert-score 0.3.13 gets them under transformers 4, which published values come from.

For byte-level BPE a word at the start of a text is another token with a space before it than without. bert-score adds
that space where the tokenizer is a `GPT2Tokenizer` or `RobertaTokenizer` (`bert_score.utils.sent_encode`). Which models
that means has changed with transformers, not with bert-score:

    transformers    RoBERTa, GPT-2    BART, LED
    before 4.17     yes               yes            (LED was a BART, BART a RoBERTa; bert-score's README)
    4.17 to 4.57    yes               no             (BART's and LED's classes stand alone: transformers pull 15461)
    5               no                no             (the option is accepted and ignored)

So ours is the middle line, in which Qwen2.5 can be loaded and the paper's values must have been made. bert-score's
issue 147 shows what the space does: a rescaled F1 of RoBERTa of .33 with it, of .59 without.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metrics import reading

CLASSES = ("GPT2Tokenizer", "RobertaTokenizer")
# Model types whose tokenizer transformers 4.57 names one of these, where tokenizer_config.json names none.
TYPES = (
    "data2vec-text", "gpt2", "gpt_bigcode", "gpt_neo", "gptj", "ibert", "opt", "roberta", "roberta-prelayernorm",
)  # fmt: skip
ALONE = ("bart", "led", "longformer", "mvp")  # whatever is named: transformers 5 keeps theirs as RobertaTokenizer


def adds_space(folder: Path) -> bool:
    """Whether bert-score 0.3.13 under transformers 4.17 to 4.57 puts a space before each text, for this model."""
    config = _read(folder / "config.json")
    own = _read(folder / "tokenizer_config.json")
    if own.get("add_prefix_space") is True:
        return True
    kind, named = config.get("model_type"), own.get("tokenizer_class") or config.get("tokenizer_class")
    if kind in ALONE:
        return False
    return str(named).removesuffix("Fast") in CLASSES if named else kind in TYPES


def _read(file: Path) -> dict[str, Any]:
    found = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return found if isinstance(found, dict) else {}


@dataclass
class Tokens:
    """The part of a tokenizer that bert-score uses. As no class of transformers, it gets no space from bert-score."""

    tokenizer: Any  # of transformers
    space: bool
    model_max_length: int

    def __getattr__(self, name: str) -> Any:
        if name.endswith("_token_id"):
            return getattr(self.tokenizer, name)
        raise AttributeError(name)

    def encode(self, text: str, **how: Any) -> list[int]:
        """`text` is stripped. Ids with special tokens, cut as `how` says: `max_length` and `truncation`."""
        ids: list[int] = self.tokenizer.encode(f" {text}" if self.space else text, **how)
        return ids

    def unread(self, text: str) -> Sequence[str]:
        """The codes of `metrics.reading` for a text that is not blank."""
        ids = self.encode(text.strip(), add_special_tokens=False, verbose=False)
        codes = [] if ids else [reading.NONE]
        if ids and 2 * ids.count(self.tokenizer.unk_token_id) > len(ids):
            codes.append(reading.UNKNOWN)
        special = len(self.tokenizer.encode("", add_special_tokens=True))
        return [*codes, reading.CUT] if len(ids) + special > self.model_max_length else codes
