"""Tiny randomly initialised models, written as the folders that a hub would give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def write_bert(folder: Path) -> Path:
    """A BERT of 2 layers and 32 dimensions with 64 positions; every letter is a token."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    _save(BertModel, BertConfig(vocab_size=len(words), max_position_embeddings=64, **_SIZES), folder)
    return folder


def write_xlm_roberta(folder: Path) -> Path:
    """The shape of bge-m3: an XLM-RoBERTa with <s> as [CLS] and 62 usable positions; letters are tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    words = ["<s>", "<pad>", "</s>", "<unk>", *LETTERS]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", model_max_length=62, **names
    ).save_pretrained(folder)
    config = XLMRobertaConfig(vocab_size=len(words), max_position_embeddings=64, pad_token_id=1, **_SIZES)
    _save(XLMRobertaModel, config, folder)
    return folder


_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def _save(model: Any, config: Any, folder: Path) -> None:
    import torch

    # The usual initialisation is so narrow that all texts look alike: 20 times wider tells them apart.
    config.initializer_range = 0.4
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model(config).save_pretrained(folder)
