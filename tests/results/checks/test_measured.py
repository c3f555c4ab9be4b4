"""What a run did with soft prompts, as the gate compares it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from results.checks import measured
from results.checks.measured import relative


def row(**soft: dict[str, float]) -> dict[str, Any]:
    return {"soft": soft}


def used(features: float, embeds: float) -> dict[str, float]:
    return {"slots": 1, "vectors": 3, "features": features, "embeds": embeds}


def test_vectors_are_compared_sample_by_sample_and_embeddings_as_a_whole_by_their_logarithm() -> None:
    found = measured._soft([row(user=used(1.0, 2.0)), row(user=used(3.0, 6.0)), row()])
    assert found["soft user features"].value == 2.0
    samples = found["soft user features"].samples
    assert samples is not None and samples[:2].tolist() == [1.0, 3.0] and math.isnan(samples[2])
    embeds = found["soft user log embeds"]
    assert embeds.samples is None and embeds.value == pytest.approx(math.log(4.0))


def test_nothing_sent_and_nothing_learnt_are_far_from_any_size() -> None:
    (sent,) = [one for key, one in measured._soft([row(user=used(1.0, 0.0))]).items() if key.endswith("embeds")]
    assert sent.value == measured._size(0.0).value < math.log(1e-9)


def test_runs_without_soft_prompts_have_no_such_values() -> None:
    assert measured._soft([row(), row()]) == {}


@pytest.mark.parametrize(
    ("group", "key", "expected"),
    [("run", "train gen", True), ("run", "train log update", False), ("all", "rouge1", False)],
)
def test_which_noise_is_in_proportion_to_its_value(group: str, key: str, expected: bool) -> None:
    assert relative(group, key) is expected
