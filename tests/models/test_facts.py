"""A model folder's end tokens, whichever of its files names them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.generate.prompts.chat import ChatEncoder
from bench.models import facts
from tests.generate.folders import SMOLLM, tokenizer_folder


@pytest.mark.parametrize(
    ("config", "generation", "ends"),
    [
        ({"eos_token_id": 2}, {"eos_token_id": [5, 3]}, (2, 3, 5)),
        ({"eos_token_id": 2}, {"eos_token_id": 2}, (2,)),
        ({"eos_token_id": [2, 1]}, {}, (1, 2)),
        ({"eos_token_id": None}, {"eos_token_id": None}, ()),
        ({}, None, ()),
        (None, {"eos_token_id": 7}, (7,)),
        ({"text_config": {"eos_token_id": 106}}, {"eos_token_id": [1, 106]}, (1, 106)),
        ({"eos_token_id": "2", "text_config": 3}, {"eos_token_id": [True, -1, 4.0, 9]}, (9,)),
    ],
)
def test_every_end_token_that_a_file_names_counts(config: Any, generation: Any, ends: Any, tmp_path: Path) -> None:
    for name, values in (("config.json", config), ("generation_config.json", generation)):
        if values is not None:
            (tmp_path / name).write_text(json.dumps(values))
    assert facts.read(str(tmp_path)).end_tokens == ends


def test_a_damaged_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    (tmp_path / "generation_config.json").write_text("[1]")
    assert facts.read(str(tmp_path)).end_tokens == ()


@pytest.mark.models
def test_an_answer_ends_and_a_target_ends_with_the_token_of_the_turn(
    tmp_path: Path, require_assets: Callable[..., None]
) -> None:
    """Here the tokenizer's end token is that of the document, as in many base models' folders."""
    require_assets(SMOLLM)
    folder = tokenizer_folder(tmp_path / "model", eos_token="<|endoftext|>")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [0, 17]}))
    encoder = ChatEncoder(str(folder))
    end_of_turn = encoder.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert encoder.tokenizer.eos_token_id != end_of_turn == encoder.turn_end
    assert encoder.end_tokens == tuple(sorted({0, 17, end_of_turn, encoder.tokenizer.eos_token_id}))
    assert encoder.target("It shines.", 99)[-1] == end_of_turn
    assert encoder.target("It shines.", 2)[-1] != end_of_turn


@pytest.mark.models
@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}\n{% endfor %}",
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{{ raise_exception('no') }}{% endif %}"
        "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}",
    ],
)
def test_a_template_that_ends_no_turn_leaves_the_tokenizer_s_end(
    template: str, tmp_path: Path, require_assets: Callable[..., None]
) -> None:
    require_assets(SMOLLM)
    encoder = ChatEncoder(str(tokenizer_folder(tmp_path / "model", template)))
    assert encoder.turn_end == encoder.tokenizer.eos_token_id
