"""What a method is told of other users through its context, and what it may put on a sample's row."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.context.context import CellResources, SampleContext
from bench.data.corpus import Corpus, load
from bench.protocols import Context
from bench.run.writing import write_sample
from bench.types import Sample, Sampling
from tests.data.toy import write_toy


def resources(corpus: Corpus) -> CellResources:
    nothing: Any = None
    return CellResources(corpus, nothing, {}, nothing, Sampling(), input_budget=100, stage_budget=200, seed=0)


def test_of_its_own_user_a_sample_sees_its_history_alone(tmp_path: Path) -> None:
    """bob's training sample on i3 comes before his review of i2, and is its own target."""
    corpus = load(str(write_toy(tmp_path)))
    later, target = corpus.samples("train")
    assert (later.sample_id, target.sample_id) == ("train:A/bob/i2", "train:A/bob/i3")
    assert SampleContext(target, resources(corpus)).reviews_of("A", "bob") == ()
    assert SampleContext(later, resources(corpus)).reviews_of("A", "bob") == later.history != ()
    seen = SampleContext(corpus.samples("test")[0], resources(corpus)).reviews_of("A", "bob")
    assert [review.review_id for review in seen] == ["A/bob/i2", "A/bob/i3"]


@dataclass(frozen=True)
class Noting:
    label = "Noting"
    uses_retriever = False
    uses_embeddings = False

    async def write(self, sample: Sample, ctx: Context) -> str:
        ctx.note("without_peers", ["r1"])
        return "text"


def test_a_note_ends_up_on_the_sample_s_row(tmp_path: Path) -> None:
    corpus = load(str(write_toy(tmp_path)))
    row = asyncio.run(write_sample(Noting(), corpus.samples("test")[0], resources(corpus)))
    assert row["error"] is None
    assert row["notes"] == {"without_peers": ["r1"]}
