"""`bench score`: only what was asked for is scored, and a model is loaded once for all runs of a command."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bench import registry
from bench.record import runs
from bench.score.judging import Judges
from bench.types import Column
from metrics.bertscore import BertScore
from metrics.bleu import Bleu
from metrics.rouge import Rouge
from results.checks.verify import Verifier
from tests.fakes import FAKE, World, bench

RUNS = 3


@dataclass
class Heavy:
    """A metric with a model that is slow to load."""

    scale: float = 1.0
    columns = (Column("heavy", "Heavy"),)
    loaded: ClassVar[list[float]] = []
    released: ClassVar[list[float]] = []
    _model: list[float] = field(default_factory=list, init=False)

    def score(self, predictions: Sequence[str], references: Sequence[str]) -> list[dict[str, Any]]:
        if not self._model:
            self._model.append(self.scale)
            self.loaded.append(self.scale)
        return [{"heavy": self._model[0]} for _ in predictions]

    def release(self) -> None:
        self.released.extend(self._model)
        self._model.clear()

    def aggregate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return {"heavy": sum(row["heavy"] for row in rows) / len(rows)}

    def versions(self) -> dict[str, str]:
        return {"heavy": str(self.scale)}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", FAKE)
    monkeypatch.setitem(registry.BUILTIN["metric"], "heavy", "tests.score.test_again:Heavy")
    monkeypatch.setattr(Heavy, "loaded", [])
    monkeypatch.setattr(Heavy, "released", [])
    yield World(tmp_path)


@pytest.fixture
def scored(world: World) -> World:
    """Runs with the profile's metrics: ROUGE and BLEU."""
    assert world.run("--seed", "0,1,2") == 0
    return world


def refuse(*args: object) -> Any:
    raise AssertionError("nobody asked for this metric")


def test_a_model_is_loaded_once_for_all_runs_of_a_command_and_then_released(scored: World) -> None:
    assert bench("score", scored.out, "--metric", "heavy") == 0
    assert (Heavy.loaded, Heavy.released) == ([1.0], [1.0])
    assert all(folder.summary()["scores"]["Books"]["heavy"] == 1.0 for folder in runs.find(scored.out))
    assert bench("score", scored.out, "--set", "heavy.scale=2.0") == 0  # another model is another instance
    assert (Heavy.loaded, Heavy.released) == ([1.0, 2.0], [1.0, 2.0])


def test_a_run_and_verify_load_it_once_too(world: World) -> None:
    assert world.run("--seed", "0,1,2", "--metric", "heavy") == 0
    assert (Heavy.loaded, Heavy.released) == ([1.0], [1.0])
    with Verifier() as verifier:
        for folder in runs.find(world.out):
            assert {check.name: check.holds for check in verifier.verify(folder)}["scores"]
    assert (Heavy.loaded, Heavy.released) == ([1.0, 1.0], [1.0, 1.0])


def test_only_the_named_metric_is_scored(scored: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scores and versions of the others stay, also where they could not be made today."""
    before = [folder.summary() for folder in runs.find(scored.out)]
    monkeypatch.setattr(Bleu, "score", refuse)
    monkeypatch.setattr(Bleu, "versions", refuse)
    calls = 0
    score = Rouge.score

    def counted(self: Rouge, *pairs: Any) -> Any:
        nonlocal calls
        calls += 1
        return score(self, *pairs)

    monkeypatch.setattr(Rouge, "score", counted)
    assert bench("score", scored.out, "--metric", "rouge") == 0
    assert calls == RUNS == len(before)
    after = [folder.summary() for folder in runs.find(scored.out)]
    assert after == before


def test_without_a_name_all_are_scored(scored: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bleu, "score", refuse)
    with pytest.raises(AssertionError, match="nobody asked"):
        bench("score", scored.out)


def spoil_scores(folder: runs.RunFolder) -> None:
    folder.write_rows(runs.SCORES, reversed(list(folder.rows(runs.SCORES))))


def spoil_texts(folder: runs.RunFolder) -> None:
    folder.write_rows(runs.SAMPLES, [{**row, "text": "another"} for row in folder.rows(runs.SAMPLES)])


@pytest.mark.parametrize("spoil", [spoil_scores, spoil_texts])
def test_scores_of_other_texts_do_not_stay(
    scored: World, spoil: Callable[[runs.RunFolder], None], capfd: pytest.CaptureFixture[str]
) -> None:
    folder = runs.find(scored.out)[0]
    spoil(folder)
    assert bench("score", folder.path, "--metric", "rouge") == 2
    said = capfd.readouterr().err.splitlines()[-1]
    assert said.endswith(f"changed since it was scored; `bench score {folder.path}` without --metric scores it by all "
                         "its metrics")  # fmt: skip
    assert bench("score", folder.path) == 0
    assert bench("score", folder.path, "--metric", "rouge") == 0


@pytest.mark.models
def test_bertscore_is_loaded_once_and_gives_its_memory_back(
    monkeypatch: pytest.MonkeyPatch, require_assets: Callable[..., None]
) -> None:
    require_assets("all-minilm-l6-v2")
    from metrics import bertscore

    loads: list[str] = []
    make = bertscore._scorer

    def counted(folder: str, *more: Any) -> Any:
        loads.append(folder)
        return make(folder, *more)

    monkeypatch.setattr(bertscore, "_scorer", counted)
    with Judges() as judges:
        one = judges._held("bertscore", BertScore("all-minilm-l6-v2", device="cpu"))
        other = judges._held("bertscore", BertScore("all-minilm-l6-v2", device="cpu"))
        first = one.score(["a cat"], ["a dog"])
        assert other.score(["a cat"], ["a dog"]) == first
        assert len(loads) == 1
    assert "_loaded" not in vars(one)
