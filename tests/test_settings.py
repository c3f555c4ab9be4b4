"""Which settings can change a number, asked of configurations and of runs that were really made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import config, registry, settings
from bench.record import runs
from bench.suite import grid
from results.tables.assemble import leaderboards
from results.tables.finished_runs import find_finished
from tests import fakes
from tests.fakes import FAKE, FakeGenerator, World, corpus


def configured(tmp_path: Path, method: str, *, retriever: str = "bm25", **values: Any) -> config.RunConfig:
    given = {key.replace("__", "."): value for key, value in values.items()}
    (made,) = grid.expand(
        corpus(tmp_path / "data"), data=str(tmp_path / "data"), methods=[method], retrievers=[retriever], ks=None,
        seeds=[0], profile=str(fakes.profile_file(tmp_path)), set_values=given, generator="echo",
    )  # fmt: skip
    return made


def test_only_what_a_method_uses_counts(tmp_path: Path) -> None:
    heads = {
        method: {key.partition(".")[0] for key in settings.of(configured(tmp_path / method, method)) if "." in key}
        for method in ("nonperso", "rag", "dpl", "soft", "dep")
    }
    assert heads == {
        "nonperso": set(), "rag": set(), "dpl": {"embedder"}, "soft": {"train"}, "dep": {"train", "embedder"},
    }  # fmt: skip
    contriever = settings.of(configured(tmp_path, "rag", retriever="contriever"))
    assert contriever["retrieval_encoder.model"] == "none"
    plain = settings.of(configured(tmp_path, "rag"))
    assert set(plain) == {
        "dtype", "revision", "temperature", "top_p", "max_new_tokens", "input_budget", "stage_input_budget",
        "system_role", "reasoning", "date",
    }  # fmt: skip


def test_what_changes_no_result_does_not_count(tmp_path: Path) -> None:
    own = settings.of(configured(tmp_path, "dep"))
    fast = {"train__micro_tokens": 1, "train__processes": 2, "train__save_minutes": 3.0}
    engine = {f"engine__{name}": 7 for name in settings.ONLY_SPEED}
    assert settings.of(configured(tmp_path, "dep", **fast, **engine)) == own
    assert not any("micro_tokens" in key or "processes" in key for key in own)


@pytest.mark.parametrize(
    "name",
    [
        "quantization",
        "dtype",
        "kv_cache_dtype",
        "speculative_config",
        "max_model_len",
        "tensor_parallel_size",
        "no_such",
    ],
)
def test_any_other_engine_argument_counts(tmp_path: Path, name: str) -> None:
    changed = configured(tmp_path, "rag", **{f"engine__{name}": "x"})
    assert settings.of(changed)[f"engine.{name}"] == "x"
    assert changed.changed == {f"engine.{name}": None}


def test_train_k_is_the_effective_one(tmp_path: Path) -> None:
    assert settings.of(configured(tmp_path, "dep"))["train.k"] == 2
    assert settings.of(configured(tmp_path, "dep", k=1))["train.k"] == 1
    assert settings.of(configured(tmp_path, "dep", train__k=5))["train.k"] == 5
    assert settings.of(configured(tmp_path, "soft"))["train.k"] == 0
    assert configured(tmp_path, "dep", k=1).changed == {"train.k": 2}


def test_what_was_given_by_hand_is_kept_with_the_profile_s_own_value(tmp_path: Path) -> None:
    given = {"train__lr": 0.5, "temperature": 0, "input_budget": 200, "embedder__max_tokens": 8, "bertscore__layer": 3}
    made = configured(tmp_path, "dep", metrics=["rouge", "bertscore"], **given)
    own = config.TrainConfig().lr
    assert made.changed == {"train.lr": own, "temperature": 0.8, "embedder.max_tokens": 16, "bertscore.layer": 6}
    assert configured(tmp_path, "rag", train__lr=0.5).changed == {}  # no part of an untrained run
    assert configured(tmp_path, "rag", input_budget=100).changed == {"input_budget": 200, "stage_input_budget": 200}
    plain, same = configured(tmp_path, "rag"), configured(tmp_path, "rag", temperature=0.8)
    assert plain == same and plain.changed == {}


def test_by_hand_is_no_part_of_a_run_s_identity(tmp_path: Path) -> None:
    made = configured(tmp_path, "rag", temperature=0.5)
    bare = made.model_copy(update={"changed": {}})
    about: dict[str, Any] = {"generator": {"backend": "fake"}, "sources": {}}
    assert config.identity(made, **about) == config.identity(bare, **about)


def test_a_profile_that_is_complete_with_settings_by_hand_only_still_runs(tmp_path: Path) -> None:
    text = fakes.PROFILE.replace('llm = "none"\n', "")
    file = fakes.profile_file(tmp_path, text)
    (made,) = grid.expand(
        corpus(tmp_path / "data"), data="d", methods=["rag"], retrievers=["bm25"], ks=None, seeds=[0],
        profile=str(file), set_values={"llm": "none", "temperature": 0}, generator="echo",
    )  # fmt: skip
    assert made.changed == {}


def test_metric_options_count_but_for_those_of_speed(tmp_path: Path) -> None:
    made = configured(tmp_path, "rag", metrics=["bertscore"], bertscore__batch_size=1, bertscore__device="cpu")
    assert made.changed == {}
    found = settings.of_metrics(made.profile, ["rouge", "bertscore"], {"bertscore": {"layer": 2}})
    assert found == {"rouge": {}, "bertscore": {"model": "allenai/led-base-16384", "layer": 2, "prefix_space": None}}


def test_scoring_with_the_profile_s_own_option_again_is_no_change(tmp_path: Path) -> None:
    made = configured(tmp_path, "rag", metrics=["bertscore"], bertscore__layer=3, temperature=0)
    kept = {"temperature": 0.8}
    scored = {
        layer: settings.of_metrics(made.profile, ["bertscore"], {"bertscore": {"layer": layer}}) for layer in (2, 3, 6)
    }
    found = {layer: settings.with_metrics(made, metrics) for layer, metrics in scored.items()}
    assert found == {2: {**kept, "bertscore.layer": 6}, 3: {**kept, "bertscore.layer": 6}, 6: kept}


# ---------------------------------------------------------------- runs


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A fake engine that says of itself what vLLM does."""
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", FAKE)
    first = FakeGenerator.__init__

    def init(self: FakeGenerator, profile: config.Profile, **options: Any) -> None:
        first(self, profile, **options)
        self.profile = profile  # type: ignore[attr-defined]

    def identity(self: FakeGenerator) -> dict[str, Any]:
        return {"backend": "fake", "version": "1", "weights": "f" * 64, "engine": dict(self.profile.engine)}  # type: ignore[attr-defined]

    monkeypatch.setattr(FakeGenerator, "__init__", init)
    monkeypatch.setattr(FakeGenerator, "identity", identity)
    return World(tmp_path)


def summaries(world: World) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(world.out.glob(f"*/{runs.SUMMARY}"))]


def test_engine_arguments_of_speed_leave_one_row_and_others_make_another_table(world: World) -> None:
    commands = [["--seed", 0], ["--seed", 1, "--set", "engine.max_num_seqs=4"], ["--set", "engine.quantization=fp8"]]
    for words in commands:
        assert world.run(*words, method="rag") == 0
    boards = leaderboards(find_finished([world.out]))
    assert sorted(([row.seeds for row in board.rows], board.distinction) for board in boards) == [
        ([(0,)], "engine.quantization=fp8"),
        ([(0, 1)], "no engine.quantization"),
    ]
    notes = {board.distinction: "\n".join(board.notes) for board in boards}
    assert (
        "Set by hand, the own value of profile fake in brackets: engine.quantization fp8 (none)."
        in notes["engine.quantization=fp8"]
    )
    assert "Set by hand" not in notes["no engine.quantization"]
    assert {one["settings"]["generator.weights"] for one in summaries(world)} == {"f" * 64}


def test_scoring_with_other_options_is_another_table(world: World) -> None:
    assert world.run(method="rag,nonperso") == 0
    first, _ = sorted(world.out.glob("data-*"))
    summary = json.loads((first / runs.SUMMARY).read_text())
    assert summary["metric_settings"] == {"rouge": {}, "bleu": {}}
    (first / runs.SUMMARY).write_text(json.dumps({**summary, "metric_settings": {"rouge": {"x": 1}, "bleu": {}}}))
    boards = leaderboards(find_finished([world.out]))
    assert sorted(board.distinction for board in boards) == ["no rouge.x", "rouge.x=1"]


def test_the_kept_reviews_are_those_of_the_rows(world: World) -> None:
    assert world.run("--set", "input_budget=90", method="rag,nonperso") == 0
    found = {one["method"]: one for one in summaries(world)}
    assert found["nonperso"]["kept"] is None
    rows = [row for folder in runs.find(world.out) for row in folder.rows(runs.SAMPLES) if "rag" in folder.path.name]
    kept = [row["kept"] for row in rows]
    assert 0 < sum(kept) < 2 * len(rows)  # the budget does not hold both reviews everywhere
    full = sum(row["kept"] == len(row["retrieved"]) for row in rows) / len(rows)
    assert found["rag"]["kept"] == {"mean": sum(kept) / len(kept), "full": full, "n": len(rows)}


def test_samples_without_a_fitted_prompt_are_not_counted_as_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.score import summary as made

    row: dict[str, Any] = {"retrieved": ["a", "b"]}
    rows = [{**row, "kept": 2}, {**row, "kept": 1}, {**row, "kept": None}, {"retrieved": [], "kept": 0}]
    assert made._kept(rows) == {"mean": 1.0, "full": 2 / 3, "n": 3}
    assert made._kept([{**row, "kept": None}]) is None
