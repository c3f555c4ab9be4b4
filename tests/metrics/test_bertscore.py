"""BERTScore against cosines matched one pair at a time with plain transformers and numpy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import UserError
from bench.models import assets
from metrics.bertscore import BertScore

MINILM = "all-minilm-l6-v2"
TEXTS = [
    ("A great album with warm songs.", "This record is wonderful, and its songs are warm."),
    ("word", "word"),
    ("word", "sentence"),
    ("Это хороший альбом", "Хороший альбом, советую"),
    ("素晴らしい映画", "良い映画です"),
    ("\u200b", "nothing that the tokenizer keeps, against words"),
    ("The sound is clear. " * 1250, "Clear sound, and long. " * 40),
]


def plain_f1(folder: str, layer: int, longest: int, prediction: str, reference: str) -> float:
    """Greedy matching of the layer's unit vectors; [CLS] and [SEP] may be matched but are not averaged."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    model = model.get_encoder() if model.config.is_encoder_decoder else model

    def vectors(text: str) -> Any:
        ids = tokenizer(text.strip(), truncation=True, max_length=longest, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            states = model(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True).hidden_states
        rows = states[layer][0].numpy().astype(np.float64)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    ours, theirs = vectors(prediction), vectors(reference)
    if len(ours) == 2 or len(theirs) == 2:
        return 0.0
    cosines = ours @ theirs.T
    precision, recall = cosines.max(axis=1)[1:-1].mean(), cosines.max(axis=0)[1:-1].mean()
    return float(2 * precision * recall / (precision + recall))


@pytest.fixture(scope="module")
def led(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer LED of 64 positions with random weights, whose tokenizer states no limit."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import LEDConfig, LEDModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("led")
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(["good songs"], trainers.BpeTrainer(special_tokens=special, initial_alphabet=alphabet))
    raw.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    names = dict(zip(["cls_token", "pad_token", "sep_token", "unk_token"], special, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=raw, **names).save_pretrained(folder)
    torch.manual_seed(0)
    config = LEDConfig(
        vocab_size=raw.get_vocab_size(),
        d_model=16,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_encoder_position_embeddings=64,
        max_decoder_position_embeddings=64,
        attention_window=8,
        init_std=1.0,
    )
    LEDModel(config).save_pretrained(folder)
    return folder


@pytest.mark.models
@pytest.mark.parametrize("layer", [6, 3])
def test_every_pair_equals_plain_matching(require_assets: Callable[..., None], layer: int) -> None:
    require_assets(MINILM)
    metric = BertScore(model=MINILM, layer=layer, batch_size=4)
    rows = metric.score([text for text, _ in TEXTS], [text for _, text in TEXTS])
    folder = str(assets.path(MINILM))
    expected = [plain_f1(folder, layer, 512, *pair) for pair in TEXTS]
    assert [row["bertscore"] for row in rows] == pytest.approx(expected, abs=2e-6)
    assert rows[1]["bertscore"] == pytest.approx(1, abs=1e-6)
    assert metric.aggregate(rows)["bertscore"] == pytest.approx(np.mean(expected), abs=2e-6)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


@pytest.mark.parametrize("layer", [1, 2])
def test_an_led_uses_its_encoder_up_to_its_last_position(led: Path, layer: int) -> None:
    pairs = [("good songs here", "songs so good"), ("good " * 5000, "songs and good sounds " * 30)]
    rows = BertScore(model=str(led), layer=layer).score([text for text, _ in pairs], [text for _, text in pairs])
    expected = [plain_f1(str(led), layer, 64, *pair) for pair in pairs]
    assert [row["bertscore"] for row in rows] == pytest.approx(expected, abs=2e-6)
    assert 0.05 < expected[0] < 0.999


@pytest.mark.parametrize("empty", ["", " \n\t "])
def test_an_empty_text_scores_zero_and_stays_in_the_mean(led: Path, empty: str) -> None:
    metric = BertScore(model=str(led), layer=1)
    rows = metric.score([empty, "same", "same"], ["words", empty, "same"])
    assert [row["bertscore"] for row in rows] == [0.0, 0.0, pytest.approx(1, abs=1e-6)]
    assert metric.aggregate(rows) == {"bertscore": pytest.approx(1 / 3, abs=1e-6)}
    assert metric.score([empty], [empty]) == [{"bertscore": 0.0}]
    assert metric.score([], []) == []


def test_rows_do_not_depend_on_what_else_is_scored(led: Path) -> None:
    texts = [" ".join(["good", "songs", "sound"][: 1 + i % 3] * (1 + i % 7)) for i in range(23)]
    metric = BertScore(model=str(led), layer=2, batch_size=6)
    together = [row["bertscore"] for row in metric.score(texts, texts[::-1])]
    alone = [metric.score([a], [b])[0]["bertscore"] for a, b in zip(texts, texts[::-1], strict=True)]
    assert together == pytest.approx(alone, abs=1e-6)


def test_unusable_models_and_layers_are_named(led: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"bertscore\.layer=9: .*between 0 and 2"):
        BertScore(model=str(led), layer=9).score(["a"], ["a"])
    taken_for_t5 = shutil.copytree(led, tmp_path / "art5" / "led")
    with pytest.raises(UserError, match="without 't5'"):
        BertScore(model=str(taken_for_t5), layer=1).score(["a"], ["a"])
    with pytest.raises(UserError, match="bench models pull"):
        BertScore(model="nobody/nothing").score(["a"], ["a"])
    truncated = shutil.copytree(led, tmp_path / "truncated")
    (truncated / "model.safetensors").write_bytes((led / "model.safetensors").read_bytes()[:-99])
    with pytest.raises(UserError, match="truncated' cannot be loaded"):
        BertScore(model=str(truncated), layer=1).score(["a"], ["a"])


def test_lists_of_different_length_and_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        BertScore().score(["one"], ["one", "two"])
    with pytest.raises(ValueError, match="no rows"):
        BertScore().aggregate([])


def test_versions_name_the_model_and_layer(led: Path) -> None:
    versions = BertScore(model=str(led), layer=1).versions()
    assert versions["bertscore"] == f"{led} {assets.fingerprint(led)[:12]} layer 1 no-idf no-rescaling no-prefix-space"
    assert versions["bert-score"] == "0.3.13"
