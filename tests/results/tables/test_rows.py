"""Rows keep apart what differs, and say it: settings, source code, and which row a name means."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.errors import UserError
from results.checks import regress
from results.figures import kinds
from results.tables.assemble import leaderboards
from results.tables.compare import compare
from results.tables.finished_runs import FinishedRun
from results.tables.leaderboard import Leaderboard
from tests.results import scored
from tests.results.tables.test_leaderboard import board, labels, runs_of, summary

TRAIN = {"train.lr": 1e-05, "train.epochs": 5, "train.k": 8}
EMBEDDER = {"embedder.model": "BAAI/bge-m3", "embedder.max_tokens": 8192}


def dep(changes: dict[str, Any] | None = None, *, changed: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """DEP with some settings of its row changed. `changed`: the profile's own values of those given by hand."""
    settings = {"revision": None, **TRAIN, **EMBEDDER, **(changes or {})}
    return summary("dep", **{"label": "DEP", "settings": settings, "changed": changed or {}, **more})


# ---------------------------------------------------------------- settings of a row


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("train.lr", 0.001, "train.lr=0.001"),
        ("train.epochs", 2, "train.epochs=2"),
        ("train.k", 4, "train.k=4"),
        ("train.limit", 24, "train.limit=24"),  # that only one of them has
        ("train.unheard_of", "new", "train.unheard_of=new"),
        ("embedder.model", "minilm", "embedder.model=minilm"),
        ("embedder.max_tokens", 512, "embedder.max_tokens=512"),
        ("retrieval_encoder.pooling", "cls", "retrieval_encoder.pooling=cls"),
    ],
)
def test_what_differs_in_a_row_is_another_row_and_says_so(key: str, value: Any, said: str) -> None:
    """Seed 0 of one and seed 1 of the other are not averaged; the untrained row stays one."""
    own = dep().get("settings", {}).get(key)
    runs = [dep(value=0.2), dep({key: value}, changed={key: own}, seed=1, value=0.6), summary(), summary(seed=1)]
    made = board(*runs)
    assert Counter(row.method for row in made.rows) == {"rag": 1, "dep": 2}
    mine = {row.seeds: row for row in made.rows if row.method == "dep"}
    assert set(mine) == {(0,), (1,)}
    assert mine[1,].label.endswith(f" · {said}") and said not in mine[0,].label
    assert mine[1,].values["Books", "rouge1"] == 0.6
    assert any(f"{mine[1,].label}: {key} {value} (" in note for note in made.notes)
    alone = board(runs[1])  # by hand: also where nothing else is in the table
    assert labels(alone) == [f"DEP · {said}"]


def test_weights_of_one_name_are_other_rows(tmp_path: Path) -> None:
    one, two = dep(encoders={"embedder": "a" * 64}), dep(encoders={"embedder": "b" * 64}, seed=1)
    assert labels(board(one, two)) == ["DEP · embedder.weights=aaaaaaaa", "DEP · embedder.weights=bbbbbbbb"]
    named = dep({"embedder.model": "minilm"}, encoders={"embedder": "b" * 64})
    assert labels(board(one, named)) == ["DEP · embedder.model=BAAI/bge-m3", "DEP · embedder.model=minilm"]


def test_an_encoder_that_only_chose_whose_history_it_is_stays_out_of_labels() -> None:
    plain = {"settings": {"revision": None}}
    made = [summary(), *(summary(variant=f"history={kind}") for kind in ("random", "similar", "dissimilar"))]
    for one, settings in zip(made, [{}, {}, EMBEDDER, EMBEDDER], strict=True):
        one["settings"] = {**plain["settings"], **settings}
    assert labels(board(*made)) == [
        "RAG", "RAG · history=dissimilar", "RAG · history=random", "RAG · history=similar",
    ]  # fmt: skip
    other = summary(variant="history=similar")
    other["settings"] = {**made[2]["settings"], "embedder.model": "minilm"}
    assert labels(board(made[0], made[2], other)) == [
        "RAG", "RAG · history=similar · embedder.model=BAAI/bge-m3", "RAG · history=similar · embedder.model=minilm",
    ]  # fmt: skip


def test_two_methods_with_one_label_are_told_apart() -> None:
    assert labels(board(summary("rag"), summary("my_rag", label="RAG"))) == ["RAG · rag", "RAG · my_rag"]


def test_profiles_of_one_name_with_other_training_are_told_apart() -> None:
    """Nothing was given by hand: the file of the profile was edited."""
    assert labels(board(dep(), dep({"train.epochs": 2}))) == ["DEP · train.epochs=2", "DEP · train.epochs=5"]


# ---------------------------------------------------------------- settings of a table


@pytest.mark.parametrize(
    ("change", "key", "title"),
    [
        ({"settings": {"engine.quantization": "fp8"}}, "engine.quantization", "engine.quantization=fp8"),
        ({"settings": {"engine.kv_cache_dtype": "fp8"}}, "engine.kv_cache_dtype", "engine.kv_cache_dtype=fp8"),
        ({"settings": {"engine.speculative_config": {"n": 2}}}, "engine.speculative_config", 'g={"n": 2}'),
        ({"settings": {"engine.unheard_of": 1}}, "engine.unheard_of", "engine.unheard_of=1"),
        ({"settings": {"revision": "v2"}}, "revision", "revision v2"),
        ({"settings": {"system_role": "merge"}}, "system_role", "system role merge"),
        ({"settings": {"generator.api": "chat"}}, "", "generator.api=chat"),
        ({"metric_settings": {"rouge": {"model": "m"}}}, "rouge.model", "rouge.model=m"),
        ({"metric_settings": {"rouge": {"unheard_of": [1, 2]}}}, "rouge.unheard_of", "rouge.unheard_of=[1, 2]"),
        ({"stage_input_budget": 4096}, "stage_input_budget", "stage input budget 4096"),
        ({"input_budget": 512}, "input_budget", "input budget 512"),
        ({"data": {**summary()["data"], "limit": 5, "limit_seed": 3}}, "", "limit seed 3"),
    ],
)
def test_what_differs_in_a_table_is_another_table_and_says_so(change: dict[str, Any], key: str, title: str) -> None:
    by_hand = {**change, "changed": {key: None} if key else {}, "seed": 1}
    made = leaderboards(runs_of(summary(), summary(**by_hand)))
    assert [row.seeds for one in made for row in one.rows] == [(0,), (1,)]
    assert title in made[1].title and title not in made[0].title
    if key:
        (alone,) = leaderboards(runs_of(summary(**by_hand)))
        assert alone.title == f"toy · smollm · {made[1].distinction}" and title in alone.title
        assert any(
            note.startswith("Set by hand, the own value of profile tiny") and key in note for note in alone.notes
        )


# ---------------------------------------------------------------- source code


def test_seeds_of_other_source_code_are_not_averaged() -> None:
    """The newest code's seeds are the row; the note counts the others."""
    old = [summary(seed=seed, source="old", value=0.1, finished=f"2030-01-0{seed + 1}") for seed in (0, 1, 2)]
    new = summary(seed=0, source="new", value=0.7, finished="2030-02-01")
    for order in ([*old, new], [new, *old]):
        made = board(*order)
        assert [(row.seeds, row.values["Books", "rouge1"]) for row in made.rows] == [((0,), 0.7)]
        assert "3 older runs of the same cells are left out." in made.notes


# ---------------------------------------------------------------- any mixture

VALUES = {
    "method": ["rag", "dep", "my_dep"],
    "label": ["RAG", "DEP"],
    "retriever": [None, "bm25", "recency"],
    "k": [0, 4],
    "variant": ["", "dep.text=False"],
    "seed": [0, 1],
    "source": ["a", "b"],
    "encoders": [{}, {"embedder": "a" * 64}, {"embedder": "b" * 64}],
    "settings": [
        {},
        {"train.lr": 1},
        {"train.lr": 2, "train.k": 1},
        {"engine.quantization": "fp8"},
        {"embedder.model": "x"},
    ],
    "changed": [{}, {"train.lr": 3}, {"engine.quantization": None}],
    "metric_settings": [{"rouge": {}}, {"rouge": {"x": 1}}],
    "input_budget": [1024, 512],
    "generator": ["a", "b"],
}


MINIMAL = {key: values[0] for key, values in VALUES.items() if key not in ("method", "retriever", "k")}
# With K but no retriever: no method of ours is so, and two rows are all the same.
NO_RETRIEVER = [{"method": "dep", "retriever": None, "k": k, **MINIMAL} for k in (0, 4)]


@example(NO_RETRIEVER)
@given(st.lists(st.fixed_dictionaries({key: st.sampled_from(values) for key, values in VALUES.items()}), min_size=1))
def test_no_mixture_of_runs_is_averaged_or_named_twice(chosen: list[dict[str, Any]]) -> None:
    found = [summary(**{**one, "finished": f"2030-{number:04}"}) for number, one in enumerate(chosen)]
    boards = leaderboards(runs_of(*found), intervals=False)
    assert len({one.title for one in boards}) == len(boards)
    for one in boards:
        assert len(set(labels(one))) == len(one.rows)
        assert all(len(set(row.seeds)) == len(row.seeds) for row in one.rows)
    apart = (
        "method",
        "retriever",
        "k",
        "variant",
        "encoders",
        "settings",
        "metric_settings",
        "input_budget",
        "generator",
    )
    cells = {json.dumps([one[key] for key in apart], sort_keys=True) for one in chosen}
    assert sum(len(one.rows) for one in boards) == len(cells)


# ---------------------------------------------------------------- what else reads rows


def finished(out: Path, **cells: dict[str, Any]) -> list[FinishedRun]:
    return [
        scored.finished(out / name, cell, scored.rows(0.3 + 0.1 * number, users=8))
        for number, (name, cell) in enumerate(cells.items())
    ]


def test_a_k_sweep_joins_no_points_of_other_training(tmp_path: Path) -> None:
    """No two points share K, so that the labels in the table would differ by K alone."""
    found = finished(tmp_path, a=dep(k=0), b=dep(k=4), c=dep({"train.lr": 0.1}, k=8), d=dep({"train.lr": 0.1}, k=2))
    (made,) = leaderboards(found)
    lines = kinds._lines(made)
    assert {name: [row.k for row in rows] for name, rows in lines.items()} == {
        "DEP · train.lr=1e-05": [0, 4],
        "DEP · train.lr=0.1": [2, 8],
    }
    weights = finished(tmp_path / "w", a=dep(k=0, encoders={"embedder": "a"}), b=dep(k=4, encoders={"embedder": "b"}))
    assert kinds._lines(leaderboards(weights)[0]) == {}


def test_a_baseline_of_values_keeps_other_training_apart(tmp_path: Path) -> None:
    by_hand = {"changed": {"train.lr": 1e-05}}
    found = finished(tmp_path / "runs", a=dep(), b=dep({"train.lr": 0.1}, **by_hand))
    file = tmp_path / "baseline.json"
    regress.write(file, found)
    cells = json.loads(file.read_text())["cells"]
    assert sorted(cells) == [
        "toy · smollm · dep · bm25 · K=4",
        "toy · smollm · dep · bm25 · K=4 · train.lr=0.1",
    ]
    assert [cells[name]["settings"]["train.lr"] for name in sorted(cells)] == [1e-05, 0.1]
    assert regress.compare(file, found).moved == ()
    edited = finished(tmp_path / "edited", a=dep({"train.epochs": 1}))  # the profile's file was edited
    with pytest.raises(UserError, match=r"train\.epochs=1, not 5"):
        regress.compare(file, edited)
    quantized = finished(tmp_path / "q", a=dep({"engine.quantization": "fp8"}))
    with pytest.raises(UserError, match=r"engine\.quantization=fp8, not none"):
        regress.compare(file, quantized)


# ---------------------------------------------------------------- which row a name means


@pytest.fixture
def rag_and_soft(tmp_path: Path) -> Path:
    finished(
        tmp_path,
        one=summary("nonperso"),
        two=summary("rag"),
        three=summary("rag_soft", label="RAG + soft prompt"),
    )
    return tmp_path


def test_a_method_s_name_wins_over_the_start_of_another_label(rag_and_soft: Path) -> None:
    assert (compare("nonperso", "rag", rag_and_soft).a, compare("nonperso", "rag", rag_and_soft).b) == (
        "Non-Perso",
        "RAG",
    )
    for name, label in (("RAG", "RAG"), ("rag_soft", "RAG + soft prompt"), ("rag +", "RAG + soft prompt")):
        assert compare("nonperso", name, rag_and_soft).b == label
    with pytest.raises(UserError) as error:
        compare("nonperso", "ra", rag_and_soft)
    assert "'ra' matches 2 rows of" in str(error.value)
    assert "two (RAG), three (RAG + soft prompt)" in str(error.value)
    with pytest.raises(UserError, match="no run or row 'pag'"):
        compare("nonperso", "pag", rag_and_soft)


def test_a_method_means_its_row_with_the_users_own_histories(tmp_path: Path) -> None:
    """`bench swap rag` adds rows of the same method: the commands of the pages go on meaning what they meant."""
    found = finished(
        tmp_path, one=summary("nonperso"), two=summary("rag"), three=summary("rag", variant="history=random")
    )
    for name in ("rag", "RAG", "ra"):
        assert compare("nonperso", name, tmp_path).b == "RAG"
        assert baseline_of(leaderboards(found, baseline=name)) == ["RAG"]
    assert compare("nonperso", "RAG history=random", tmp_path).b == "RAG · history=random"


def baseline_of(made: list[Leaderboard]) -> list[str]:
    said = (note for one in made for note in one.notes if note.startswith("†"))
    return [note.partition("worse than ")[2].partition(": t-test")[0] for note in said]


def test_a_baseline_is_found_by_the_same_rule_in_each_table(rag_and_soft: Path, tmp_path: Path) -> None:
    from results.tables.finished_runs import find_finished

    found = find_finished([rag_and_soft])
    assert baseline_of(leaderboards(found, baseline="rag")) == ["RAG"]
    assert baseline_of(leaderboards(found, baseline="rag +")) == ["RAG + soft prompt"]
    with pytest.raises(UserError, match=r"'ra' matches 2 rows of table toy · smollm: 'RAG', 'RAG . soft prompt'; give"):
        leaderboards(found, baseline="ra")
    with pytest.raises(UserError, match="no baseline 'pag'"):
        leaderboards(found, baseline="pag")
    other = finished(tmp_path / "other", p=summary("nonperso", model="big"), r=summary("rag", model="big"))
    assert baseline_of(leaderboards([*found, *other], baseline="rag")) == ["RAG", "RAG"]
    only = finished(tmp_path / "only", p=summary("nonperso", model="big"))  # a table without it has no daggers
    assert baseline_of(leaderboards([*found, *only], baseline="rag")) == ["RAG"]


def test_a_method_with_two_retrievers_is_no_one_baseline(tmp_path: Path) -> None:
    found = finished(tmp_path, a=summary(), b=summary(retriever="recency"))
    with pytest.raises(UserError, match=r"'rag' matches 2 rows of table .*'RAG · recency', 'RAG · bm25'"):
        leaderboards(found, baseline="rag")
    assert baseline_of(leaderboards(found, baseline="RAG · bm25")) == ["RAG · bm25"]


def test_pairs_need_the_same_metric_options(tmp_path: Path) -> None:
    finished(tmp_path, a=summary(), b=summary("nonperso", metric_settings={"rouge": {"x": 1}}))
    with pytest.raises(UserError, match="differ in the versions or options of a metric"):
        compare("rag", "nonperso", tmp_path)


# ---------------------------------------------------------------- names of models


@pytest.mark.parametrize("model", ["/home/me/models/qwen", "./qwen", "~/qwen", "models/more/qwen", "C:\\models\\qwen"])
def test_a_model_in_a_folder_is_named_by_its_profile_s_title(model: str) -> None:
    made = board(summary(model=model, profile={"name": "mine", "title": "Qwen at home"}))
    assert made.title == "toy · Qwen at home"
    assert any("Model: Qwen at home (" in note for note in made.notes)
    assert not any(model in note for note in (made.title, *made.notes))


@pytest.mark.parametrize("model", ["micro", "Qwen/Qwen2.5-7B-Instruct"])
def test_a_model_of_the_hub_is_named_by_its_name(model: str) -> None:
    assert board(summary(model=model)).title == f"toy · {model}"


def test_a_chat_template_of_one_s_own_is_named_by_the_start_of_its_digest() -> None:
    one, two = summary(settings={"chat_template": "a" * 64}), summary(settings={"chat_template": "plain"})
    assert [made.title for made in leaderboards(runs_of(one, two))] == [
        "toy · smollm · chat template aaaaaaaa", "toy · smollm · chat template plain",
    ]  # fmt: skip
