"""What only a GPU can show: running out of its memory, its types, and that its memory comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.config import EncoderConfig, TrainConfig
from bench.data.corpus import load
from bench.embed.encoders import create
from bench.models import release
from bench.types import Request, Sampling
from tests.embed.folders import write_xlm_roberta
from tests.generate.folders import SMOLLM, tiny_llama
from tests.paths import ROOT

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.models,
    pytest.mark.skipif(not Path("/dev/nvidiactl").exists(), reason="needs a GPU"),
]


@pytest.fixture
def llama(tmp_path: Path, require_assets: Callable[..., None]) -> Path:
    require_assets(SMOLLM)
    return tiny_llama(tmp_path / "llama")


def held() -> int:
    """Bytes of the card that torch has taken from the driver, without the matrix library's workspace of each thread."""
    import torch

    torch._C._cuda_clearCublasWorkspaces()
    release.memory()
    return torch.cuda.memory_reserved()


@pytest.fixture
def small_card() -> Iterator[Callable[[float], None]]:
    """Leaves this process so many bytes of the card."""
    import torch

    def leave(size: float) -> None:
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(size / torch.cuda.get_device_properties(0).total_memory)

    yield leave
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_training_goes_on_in_smaller_passes_when_the_card_is_full(
    llama: Path, small_card: Callable[[float], None]
) -> None:
    """The real error, half of the way into a pass: the same weights as with room, and lines that say it."""
    import torch

    from bench.train.lm import FrozenLM
    from bench.train.optimizer import create as optimizer
    from bench.train.ranks import Ranks
    from bench.train.trainer import Trainer
    from tests.train.test_lm import SLOT_ID, example
    from tests.train.test_memory import Rows

    device = torch.device("cuda")
    examples = [example(400, 4, 100, 200 + n, seed=n) for n in range(16)]
    lm = FrozenLM(str(llama), dtype="float32", device=device, slot_id=SLOT_ID)

    def trained(micro_tokens: int, said: list[str]) -> tuple[torch.Tensor, int]:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        module, ranks = Rows(64).to(device), Ranks(0, 1, device)
        config = TrainConfig(epochs=1, batch=8, lr=0.05, micro_tokens=micro_tokens)
        trainer = Trainer(lm, module, optimizer(module, config, ranks), config, ranks, seed=3, say=said.append)
        trainer.train(lambda epoch: examples, len(examples))
        return module.row.detach().cpu(), torch.cuda.max_memory_allocated()

    said: list[str] = []
    trained(800, [])  # kernels and their workspaces
    _, least = trained(800, said)
    plain, most = trained(8 * 800, said)
    assert said == []
    assert most > 1.5 * least
    small_card((least + most) / 2)
    again, peak = trained(8 * 800, said)
    assert said
    assert all(line.startswith("out of memory: passes of at most") for line in said)
    assert peak <= (least + most) / 2
    assert torch.allclose(again, plain, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["minilm", "m3"])
def test_encoders_in_half_precision_agree_with_fp32(
    name: str, dtype: Any, tmp_path: Path, require_assets: Callable[..., None]
) -> None:
    from tests.embed.test_encoders import HALF, cosines

    texts = [review.text for sample in load("bundled").samples("test")[:100] for review in sample.history[:3]]
    if name == "m3":
        folder = write_xlm_roberta(tmp_path / "xlmr")
        config = EncoderConfig(str(folder), pooling="bge-m3", normalize=True, max_tokens=62)
    else:
        require_assets("all-minilm-l6-v2")
        config = EncoderConfig("all-minilm-l6-v2", pooling="mean", normalize=True, max_tokens=256)
    exact = create(replace(config, dtype="float32")).encode(texts)
    half = create(replace(config, dtype=dtype)).encode(texts)
    assert not (exact == half).all()  # it was computed in another type
    assert cosines(exact, half).min() > HALF[dtype] - (0.001 if name == "m3" else 0)


def test_an_encoder_gives_the_card_back(require_assets: Callable[..., None]) -> None:
    import torch

    require_assets("all-minilm-l6-v2")
    before = held()
    encoder: Any = create(EncoderConfig("all-minilm-l6-v2", pooling="mean", normalize=True, max_tokens=256))
    encoder.encode(["a text", "another one"])
    assert torch.cuda.memory_allocated() > before + 40 * 2**20
    encoder.release()
    assert held() <= before + 2**20


def test_bertscore_gives_the_card_back(require_assets: Callable[..., None]) -> None:

    from metrics.bertscore import BertScore

    require_assets("all-minilm-l6-v2")
    before = held()
    (row,) = BertScore(model="all-minilm-l6-v2", layer=4).score(["a slow book"], ["a slow book"])
    assert row["bertscore"] == pytest.approx(1.0, abs=1e-3)
    assert held() <= before + 2**20


def test_transformers_writes_on_the_gpu_what_it_writes_on_the_cpu(llama: Path) -> None:

    from tests.generate.engine.test_transformers import PROMPTS, generate, greedy_by_hand

    before = held()
    answers = generate(llama, [Request(ids, Sampling(0.0, 1.0, 8), 0) for ids in PROMPTS])
    assert held() <= before + 2**20
    for ids, answer in zip(PROMPTS, answers, strict=True):
        assert list(answer.ids) == greedy_by_hand(llama, ids, 8)[: len(answer.ids)]


def test_a_run_of_dep_trains_and_writes(llama: Path, tmp_path: Path, require_assets: Callable[..., None]) -> None:
    """Encoder, training and generator, one after another on one card, as a user starts them."""
    require_assets("all-minilm-l6-v2", "wordnet")
    profile = tmp_path / "p.toml"
    profile.write_text(
        f'base = "tiny"\nllm = {json.dumps(str(llama))}\ndtype = "bfloat16"\nmax_new_tokens = 8\nmetrics = ["bleu"]\n'
        '[train]\nepochs = 1\nbatch = 8\nlimit = 16\n[embedder]\ndtype = "float16"\n'
    )
    words = ["--method", "dep", "--profile", profile, "--limit", "8", "--out", tmp_path / "runs"]
    bench = [sys.executable, "-c", "from bench.cli import main; main()"]
    command = [*bench, "run", "--generator", "transformers", *map(str, words)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ)
    assert run.returncode == 0, run.stdout + run.stderr
    (summary,) = (json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/summary.json"))
    assert (summary["users"], summary["failed"]) == (8, 0)
