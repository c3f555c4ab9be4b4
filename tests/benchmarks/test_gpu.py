"""The arithmetic of `make gpu`, and the script itself in a shape that a CPU takes."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.config import load_profile
from benchmarks import gpu
from tests.generate.folders import SMOLLM
from tests.paths import ROOT


def test_parameters_of_qwen_2_5_7b_worked_out_by_hand() -> None:
    """28 layers of q and o 3584 x 3584, k and v 3584 x 512, three MLP matrices 3584 x 18944: 6.53 billion."""
    layer = 2 * 3584 * 3584 + 2 * 3584 * 512 + 3 * 3584 * 18_944
    assert gpu.parameters(gpu.SHAPES["qwen2.5-7b"]) == 28 * layer == 6_525_288_448


def test_operations_before_and_after_the_first_slot() -> None:
    assert gpu.operations(10, tokens=7, before=3) == 2 * 10 * 3 + 4 * 10 * 4
    assert gpu.operations(10, tokens=7, before=0) == 280


@pytest.mark.parametrize("shape", gpu.SHAPES)
def test_the_profile_of_a_shape_loads(shape: str, tmp_path: Path) -> None:
    made = load_profile(str(gpu.profile(tmp_path, Namespace(shape=shape, max_new_tokens=9))))
    assert (made.llm, made.max_new_tokens) == (str(tmp_path / "model"), 9)
    assert made.engine["max_num_seqs"] == (16 if shape == "tiny" else 256)


def test_a_part_that_fails_is_skipped_with_its_reason(tmp_path: Path) -> None:
    options = Namespace(shape="tiny", minutes=30.0, limit=1, samples=1, max_new_tokens=4)
    (tmp_path / "profile.toml").write_text('base = "nothing"')
    found = gpu.measured(tmp_path, options)
    assert found["rate"]["operations_a_second"] > 0
    assert set(found["skipped"]) == {"generate", "train"}
    assert "nothing" in found["skipped"]["train"]


def test_a_part_that_takes_too_long_is_skipped_and_leaves_nothing_running(tmp_path: Path) -> None:
    gpu.profile(tmp_path, Namespace(shape="tiny", max_new_tokens=4))
    found = gpu.measured(tmp_path, Namespace(shape="tiny", minutes=0.01, limit=1, samples=1, max_new_tokens=4))
    assert set(found["skipped"]) == set(gpu.PARTS)
    assert all(reason.startswith("it took more than 0.00") for reason in found["skipped"].values())
    lines = (file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline") if file.exists())
    assert not [line for line in lines if str(tmp_path).encode() in line]


@pytest.mark.gpu
@pytest.mark.skipif(not Path("/dev/nvidiactl").exists(), reason="needs a GPU")
def test_the_whole_on_a_gpu(tmp_path: Path) -> None:
    run(tmp_path, "qwen2.5-7b")


@pytest.mark.models
@pytest.mark.engine
def test_the_whole_in_a_tiny_shape(tmp_path: Path, require_assets: Callable[..., None]) -> None:
    require_assets(SMOLLM, "all-minilm-l6-v2")
    found = run(tmp_path, "tiny", "--limit", "4", "--samples", "4", "--max-new-tokens", "8")
    assert found["skipped"] == {}
    assert set(found["generate"]["tokens_a_second"]) == {"pipeline", "barriers", "engine"}
    assert set(found["generate"]["requests"]) >= {"difference", "summary", "review"}
    assert found["train"]["fraction_of_the_card"] > 0
    assert found["train"]["minutes_an_epoch"] == pytest.approx(found["train"]["seconds_a_step"] / 16 * 3996 / 60)


def run(folder: Path, shape: str, *words: str) -> dict[str, dict[str, float]]:
    command = [sys.executable, "-m", "benchmarks.gpu", "--shape", shape, "--to", str(folder / "gpu.json"), *words]
    subprocess.run(command, check=True, cwd=ROOT)
    found: dict[str, dict[str, float]] = json.loads((folder / "gpu.json").read_text())
    assert {"hardware", "versions", "parameters"} <= set(found)
    return found
