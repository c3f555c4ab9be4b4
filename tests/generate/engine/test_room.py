"""The memory that Qwen2.5's models need, worked out by hand, and what is said of a card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.generate.engine import room
from bench.generate.engine.room import Needs
from bench.record import provenance

# layers, key-value heads, head size, bytes of the weights in bf16 (parameters x 2)
QWEN = {
    "7B": (28, 4, 28, 3584, 15_231_233_024),
    "32B": (64, 8, 40, 5120, 65_527_752_704),
    "72B": (80, 8, 64, 8192, 145_412_407_296),
}
CARD = 81_559 * 2**20  # an H100 of "80 GB", as nvidia-smi has it
LENGTH = 8192 + 2048


def folder(path: Path, size: str, **more: Any) -> str:
    layers, kept, heads, width, weights = QWEN[size]
    config = {
        "num_hidden_layers": layers, "num_key_value_heads": kept, "num_attention_heads": heads, "hidden_size": width,
        "torch_dtype": "bfloat16", **more,
    }  # fmt: skip
    (path / "config.json").write_text(json.dumps(config))
    with (path / "model.safetensors").open("wb") as file:
        file.truncate(weights)  # a hole: no disk is used
    return str(path)


@pytest.mark.parametrize(("size", "token"), [("7B", 57_344), ("32B", 262_144), ("72B", 327_680)])
def test_what_a_model_needs(size: str, token: int, tmp_path: Path) -> None:
    found = room.needs(folder(tmp_path, size), dtype="bfloat16")
    assert found == Needs(QWEN[size][-1], token)
    assert room.needs(str(tmp_path), dtype="float32") == Needs(2 * QWEN[size][-1], 2 * token)
    assert room.needs(str(tmp_path), dtype="auto") == found


def said(size: str, cards: int, tmp_path: Path, memory: float = CARD) -> str:
    found = room.needs(folder(tmp_path, size), dtype="bfloat16")
    assert found is not None
    return room.warning(found, length=LENGTH, memory=memory, share=0.9, cards=cards)


def test_the_paper_s_models_on_cards_of_80_gb(tmp_path: Path) -> None:
    assert said("7B", 1, tmp_path) == ""
    # 79.6 GiB x 0.9 - 2 - 61.0 = 8.7 GiB of cache: 35,500 tokens, three prompts
    assert said("32B", 1, tmp_path) == (
        "weights of 61.0 GiB on 1 x 80 GiB leave room for 3 prompts at once of 10,240 tokens; better: --set "
        "engine.tensor_parallel_size=2"
    )
    assert said("32B", 2, tmp_path) == ""
    assert "leave no room for a prompt of 10,240 tokens; better: --set engine.tensor_parallel_size=4" in said(
        "72B", 1, tmp_path
    )
    assert said("72B", 4, tmp_path) == ""


def test_the_paper_s_models_on_other_cards(tmp_path: Path) -> None:
    assert said("32B", 1, tmp_path, memory=143_771 * 2**20) == ""  # an H200
    assert "tensor_parallel_size=2" in said("7B", 1, tmp_path, memory=24 * 2**30)
    assert said("72B", 1, tmp_path, memory=2 * 2**30).endswith("better: a larger card, or a smaller model")


@pytest.mark.parametrize(
    "config", ["{", "[]", "{}", '{"num_hidden_layers": "x"}', '{"text_config": 3}', '{"num_attention_heads": 0}']
)
def test_a_folder_that_does_not_say_is_not_warned_of(config: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "model.safetensors").write_bytes(b"x" * 100)
    assert room.needs(str(tmp_path), dtype="bfloat16") is None
    assert room.needs(str(tmp_path / "nowhere"), dtype="bfloat16") is None


def test_the_language_model_s_part_of_a_configuration_counts(tmp_path: Path) -> None:
    folder(tmp_path, "7B")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({"text_config": config, "head_dim": 1}))
    found = room.needs(str(tmp_path), dtype="bfloat16")
    assert found is not None
    assert found.token == 2 * 28 * 4 * 1 * 2


def test_the_memory_of_cards_is_read_from_nvidia_smi(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["NVIDIA H100 80GB HBM3, 81559 MiB, 550.54.15", "Odd card, [N/A], 1"]
    monkeypatch.setattr(provenance, "_gpus", lambda: lines)
    assert provenance.gpu_memory() == [81559 * 2**20]
