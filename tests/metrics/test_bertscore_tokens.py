"""Token ids of BERTScore against byte-level BPE worked out by hand, as bert-score had them under transformers 4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metrics.bertscore import BertScore, _scorer
from metrics.bertscore_tokens import adds_space

# The letters of the texts, "Ġ" for a space, and merges in order; "Ġgood" and "good" are two tokens.
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
ALPHABET = [*"dgonsĠ"]
MERGES = ["o o", "g oo", "goo d", "s o", "so n", "son g", "Ġ song", "Ġ good"]
VOCAB = [*SPECIAL, *ALPHABET, *(merge.replace(" ", "") for merge in MERGES)]
ID = {token: place for place, token in enumerate(VOCAB)}


def folder(path: Path, kind: str, **tokenizer: Any) -> Path:
    """A tokenizer and a model as allenai/led-base-16384 keeps them: vocab.json and merges.txt, no tokenizer.json."""
    import torch
    from transformers import LEDConfig, LEDModel, RobertaConfig, RobertaModel

    path.mkdir(parents=True)
    torch.manual_seed(0)
    if kind == "led":
        sides = {f"{side}_{what}": 2 for side in ("encoder", "decoder") for what in ("layers", "attention_heads")}
        led = LEDConfig(
            vocab_size=len(VOCAB), d_model=8, encoder_ffn_dim=8, decoder_ffn_dim=8, attention_window=4,
            max_encoder_position_embeddings=16, max_decoder_position_embeddings=16, **sides,
        )  # fmt: skip
        LEDModel(led).save_pretrained(path)
    else:
        roberta = RobertaConfig(
            vocab_size=len(VOCAB), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8,
            max_position_embeddings=18, bos_token_id=0, pad_token_id=1, eos_token_id=2,
        )  # fmt: skip
        RobertaModel(roberta).save_pretrained(path)
    (path / "vocab.json").write_text(json.dumps(ID))
    (path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n")
    (path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 16, **tokenizer}))
    return path


def ids(metric: BertScore, text: str) -> list[int]:
    """What bert-score itself gives to the model for this text."""
    from bert_score import utils

    found: list[int] = utils.sent_encode(_scorer(metric.model, metric.layer, "cpu", metric._space)._tokenizer, text)
    return found


def expected(*tokens: str) -> list[int]:
    return [ID["<s>"], *(ID[token] for token in tokens), ID["</s>"]]


@pytest.mark.parametrize(
    ("kind", "option", "first"),
    [
        ("led", None, "good"),  # transformers 4.17 to 4.57: LED's tokenizer is neither GPT-2's nor RoBERTa's
        ("led", True, "Ġgood"),  # before 4.17, as in bert-score's README
        ("led", False, "good"),
        ("roberta", None, "Ġgood"),
        ("roberta", False, "good"),
    ],
)
def test_ids_are_those_of_bert_score_s_own_era(tmp_path: Path, kind: str, option: bool | None, first: str) -> None:
    metric = BertScore(model=str(folder(tmp_path / "m", kind)), layer=1, device="cpu", prefix_space=option)
    assert ids(metric, "good song") == expected(first, "Ġsong")
    assert ids(metric, "  good song \n") == expected(first, "Ġsong")  # stripped, as bert-score does
    assert ids(metric, "songgood") == expected("Ġsong" if first.startswith("Ġ") else "song", "good")
    assert ids(metric, "good " * 99) == expected(first, *["Ġgood"] * 13)  # cut at 16, special tokens included
    said = metric.versions()["bertscore"]
    assert said.endswith(" prefix-space" if first.startswith("Ġ") else " no-prefix-space")


def test_the_space_moves_the_value_and_is_what_the_scorer_uses(tmp_path: Path) -> None:
    model = str(folder(tmp_path / "m", "led"))
    values = {
        option: BertScore(model=model, layer=1, device="cpu", prefix_space=option).score(["good song"], ["song good"])
        for option in (None, False, True)
    }
    assert values[None] == values[False]
    assert values[True] != values[False]


@pytest.mark.parametrize(
    ("config", "tokenizer", "space"),
    [
        ({"model_type": "led"}, {}, False),
        ({"model_type": "bart"}, {}, False),
        ({"model_type": "longformer"}, {}, False),
        ({"model_type": "led"}, {"tokenizer_class": "LEDTokenizer"}, False),
        ({"model_type": "led"}, {"tokenizer_class": "RobertaTokenizer"}, False),  # as transformers 5 saves it
        ({"model_type": "led"}, {"add_prefix_space": True}, True),  # the tokenizer's own setting
        ({"model_type": "led"}, {"add_prefix_space": False}, False),
        ({"model_type": "roberta"}, {}, True),
        ({"model_type": "roberta"}, {"tokenizer_class": "RobertaTokenizerFast"}, True),
        ({"model_type": "roberta"}, {"tokenizer_class": "BertweetTokenizer"}, False),
        ({"model_type": "gpt2"}, {}, True),
        ({"model_type": "bert"}, {}, False),
        ({"model_type": "bert", "tokenizer_class": "RobertaTokenizer"}, {}, True),
        ({"model_type": "mpnet"}, {"tokenizer_class": "MPNetTokenizer"}, False),
        ({"model_type": "deberta-v2"}, {}, False),
    ],
)
def test_whose_texts_get_a_space(tmp_path: Path, config: Any, tokenizer: Any, space: bool) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    assert adds_space(tmp_path) is space
