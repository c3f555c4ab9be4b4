"""No model but the engine's outlives its use: the next engine may need the memory."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.config import EncoderConfig, RunConfig, load_profile
from bench.embed.encoders import create
from bench.embed.store import VectorStore
from bench.score.judging import Judges
from bench.types import Request, Sampling
from tests.embed import folders
from tests.generate.engine.test_transformers import profile
from tests.generate.folders import SMOLLM, tiny_llama

pytestmark = pytest.mark.models
MINILM = "all-minilm-l6-v2"


def models() -> int:
    """How many parts of models are in memory."""
    import torch

    gc.collect()
    return sum(isinstance(found, torch.nn.Module) for found in gc.get_objects())


def score(folder: Path) -> Any:
    with Judges() as judges:  # which keep it for all runs of a command
        metric = judges.metrics(RunConfig.model_construct(profile=load_profile("tiny")), ["bertscore"], out=folder)
        before = models()
        metric["bertscore"].score(["a lamp"], ["the lamp"])
        assert models() > before
    return metric


def embed(config: EncoderConfig, folder: Path) -> Any:
    encoder = create(config)
    vectors = VectorStore(folder / "vectors.sqlite").ensure(encoder, ["a lamp", "the lamp"])
    assert len(vectors) == 2
    return encoder


def embed_by_minilm(folder: Path) -> Any:
    return embed(EncoderConfig(MINILM, pooling="mean", normalize=True, max_tokens=512), folder)


def embed_by_m3(folder: Path) -> Any:
    model = folders.write_xlm_roberta(folder / "m3")
    return embed(EncoderConfig(str(model), pooling="bge-m3", normalize=True, max_tokens=62), folder)


def generate(folder: Path) -> Any:
    from bench.generate.engine.transformers import TransformersGenerator

    generator = TransformersGenerator(profile(tiny_llama(folder / "llama")))

    async def use() -> None:
        await generator.start()
        await generator.generate(Request((5, 6, 7), Sampling(0.0, 1.0, max_new_tokens=2), seed=0))
        assert models() > before
        await generator.close()

    before = models()
    asyncio.run(use())
    return generator


@pytest.mark.parametrize("use", [score, embed_by_minilm, embed_by_m3, generate])
def test_nothing_holds_a_model_after_its_use(
    use: Callable[[Path], Any], tmp_path: Path, require_assets: Callable[..., None]
) -> None:
    require_assets(MINILM)
    require_assets(SMOLLM)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    others = models()  # of other tests
    first = use(tmp_path / "first")
    before = models()  # what libraries themselves keep is there by now
    second = use(tmp_path / "second")
    assert first is not second  # both are still there, but for their models
    assert models() == before
    assert before - others < 40  # a cache of one model would be as large before as after
