"""Anchors: their texts by hand and by brute force, their values by the metrics themselves, what is missing, formats."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import registry
from bench.data.corpus import Corpus, load
from bench.data.folder import jsonl
from bench.data.synthetic import world
from bench.record import runs
from bench.score import score_arrays, scoring
from bench.types import Column, StageCost
from metrics.bleu import Bleu
from metrics.rouge import Rouge
from results.statistics import inference
from results.tables import anchor_texts, significance
from results.tables.leaderboard import Leaderboard, Row
from retrievers.bm25 import Bm25
from tests import fakes
from tests.fakes import FAKE, World, bench
from tests.results import valid
from tests.results.statistics.test_shares import estimate

MANIFEST = {"name": "toy", "title": "a toy", "synthetic": True, "categories": ["Books", "Films"]}
FORMATS = ("terminal", "markdown", "latex", "csv", "json", "html")


@pytest.fixture
def lonely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The toy world, in which u0's target item in Books is nobody else's. Scored runs of Non-Perso and RAG."""
    made = fakes.tables()
    made["items"].append({"category": "Books", "item_id": "solo", "title": "Solo", "description": "for one"})
    for row in (*made["reviews"], *made["samples"]):
        if row["category"] == "Books" and row["user_id"] == "u0" and row.get("review_id") == "Books/u0/r4":
            row["item_id"] = "solo"
    found = World(tmp_path)
    jsonl.write(tmp_path / "lonely", MANIFEST, made)
    found.data = tmp_path / "lonely"
    monkeypatch.setattr("results.tables.anchors._corpus", load)
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", FAKE)
    return found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    path = tmp_path_factory.mktemp("world")
    world.write(path, world.Knobs(users=40, items=20, categories=2), name="w")
    return load(str(path))


# ---------------------------------------------------------------- texts


def test_a_peer_is_the_nearest_in_rating_of_all_others_on_the_item_held_out_ones_too(corpus: Corpus) -> None:
    samples = corpus.samples("test")
    held_out = {review.text for review in corpus.held_out()}
    chosen = anchor_texts.texts(samples, corpus)["peer"]
    for sample, text in zip(samples, chosen, strict=True):
        others = [
            one
            for one in corpus.reviews()
            if (one.category, one.item.item_id) == (sample.category, sample.item.item_id)
            and one.user_id != sample.user_id
        ]
        nearest = min((abs(one.rating - sample.rating) for one in others), default=None)
        assert (text is None) == (nearest is None)
        assert text is None or text in {one.text for one in others if abs(one.rating - sample.rating) == nearest}
        assert text != corpus.reference(sample.sample_id)
    assert held_out & set(chosen)


def test_no_user_is_the_peer_of_all(corpus: Corpus) -> None:
    by_text = {one.text: one.user_id for one in corpus.reviews()}
    users = [by_text[text] for text in anchor_texts.texts(corpus.samples("test"), corpus)["peer"] if text]
    assert max(users.count(user) for user in users) < len(users) / 4


def test_a_copy_is_the_first_of_the_retriever_bm25(corpus: Corpus) -> None:
    samples = corpus.samples("test")
    for sample, text in zip(samples, anchor_texts.texts(samples, corpus)["copy"], strict=True):
        assert text == Bm25(fields="full").rank(sample, 1, None)[0].text  # type: ignore[arg-type]


def test_the_reference_is_the_target(corpus: Corpus) -> None:
    samples = corpus.samples("val", limit=9)
    assert anchor_texts.texts(samples, corpus)["reference"] == [corpus.target(one.sample_id).text for one in samples]


# ---------------------------------------------------------------- rows


def table(out: Path, *words: str, capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capfd.readouterr()
    assert bench("table", out, "--format", "json", *words) == 0
    (found,) = json.loads(capfd.readouterr().out)
    return {**found, "rows": {row["label"]: row for row in found["rows"]}}


def test_values_and_counts_are_those_of_the_metrics_on_the_texts_that_there_are(
    lonely: World, capfd: pytest.CaptureFixture[str]
) -> None:
    assert lonely.run(method="nonperso,rag") == 0
    board = table(lonely.out, "--anchors", "--all", "--baseline", "nonperso", capfd=capfd)
    data = load(str(lonely.data))
    samples = data.samples("test")
    texts = anchor_texts.texts(samples, data)
    assert [text is None for text in texts["peer"]] == [True, False, False, False, False, False]
    assert list(board["rows"])[-3:] == ["Anchor: peer", "Anchor: copy", "Anchor: reference"]
    for name, own in texts.items():
        row = board["rows"][f"Anchor: {name}"]
        assert (row["kind"], row["n"]) == ("anchor", sum(text is not None for text in own))
        for category in data.categories:
            pairs = [
                (text, data.reference(one.sample_id))
                for one, text in zip(samples, own, strict=True)
                if text is not None and one.category == category
            ]
            for metric in (Rouge(), Bleu()):
                expected = metric.aggregate(metric.score(*zip(*pairs, strict=True)))  # type: ignore[arg-type]
                values = {key: row["values"][category][key]["value"] for key in expected}
                assert values == pytest.approx(expected)
    (said,) = [note for note in board["notes"] if note.startswith("Anchor peer is of")]
    assert "5 of the 6 samples" in said
    assert "no daggers: 1 have no other user's review" in said
    daggers = {
        one["significance"] for values in board["rows"]["Anchor: peer"]["values"].values() for one in values.values()
    }
    assert daggers == {""}
    assert board["rows"]["Anchor: reference"]["values"]["Films"]["rouge1"]["value"] == 1


def test_samples_without_a_text_add_nothing_to_any_sum() -> None:
    texts, real = ["", "a b c d e", "the cat sat on it"], ["a b c d", "a b c x e", "the cat sat on a mat"]
    rows = [
        {"sample_id": str(at), "category": "c", "user_id": str(at), "rouge": rouge, "bleu": bleu, "properties": {}}
        for at, (rouge, bleu) in enumerate(zip(Rouge().score(texts, real), Bleu().score(texts, real), strict=True))
    ]
    made = score_arrays.of_rows(rows, left_out=[0])
    for metric in (Rouge(), Bleu()):
        name = type(metric).__name__.lower()
        values = score_arrays.values(name, made.statistics(name).sum(axis=0), made.keys[name])
        expected = metric.aggregate(metric.score(texts[1:], real[1:]))
        assert {key: float(value) for key, value in values.items()} == pytest.approx(expected)
        assert expected != metric.aggregate(metric.score(texts, real))


def test_a_row_of_fewer_samples_has_no_daggers_and_is_no_baseline() -> None:
    rng = np.random.default_rng(0)
    rows = [
        Row(name, name, None, 0, (0,), 30, 0, {}, StageCost(), kind="anchor", missing=missing)
        for name, missing in (("nonperso", 0), ("copy", 0), ("peer", 3))
    ]
    found = {
        (place, "c", "rouge1"): estimate(base + rng.normal(0, 0.01, 30)) for place, base in enumerate((0.2, 0.5, 0.5))
    }
    board = Leaderboard("t", ("c",), (Column("rouge1", "R-1", higher_is_better=True),), tuple(rows), ())
    made = significance._with_daggers(board, found, "nonperso")
    assert [row.significance.get(("c", "rouge1"), "") for row in made.rows] == ["", "†", ""]
    assert "over the 1 comparisons" in made.notes[-1]
    assert not any(row.significance for row in significance._with_daggers(board, found, "peer").rows)


def test_intervals_are_of_the_same_draws_of_users(lonely: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert lonely.run() == 0
    board = table(lonely.out, "--anchors", capfd=capfd)
    data = load(str(lonely.data))
    films = [one for one in data.samples("test") if one.category == "Films"]
    texts = anchor_texts.texts(films, data)["copy"]
    rows = Rouge().score([str(text) for text in texts], [data.reference(one.sample_id) for one in films])
    values = np.array([row["rouge1"] for row in rows])  # a user has one sample, in order
    low, high = inference.interval(inference.counts(3) @ values / 3, 3)
    found = board["rows"]["Anchor: copy"]["values"]["Films"]["rouge1"]
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_marks_them_and_none_is_best(lonely: World, form: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert lonely.run(method="nonperso,rag") == 0
    capfd.readouterr()
    for words in (["--anchors"], ["--normalized", "--baseline", "nonperso"], ["--anchors", "--by", "history:2"]):
        assert bench("table", lonely.out, "--format", form, *words) == 0
        out = capfd.readouterr().out
        assert out.count("Anchor: ") >= 3
        assert form != "html" or valid.document(out) is not None
        (line,) = [one for one in out.splitlines() if "Anchor: reference" in one][:1]
        for best in ("**", "<b>", r"\textbf", "<u>", r"\underline"):
            assert best not in line
        kinds = {
            "html": 'tr class="anchor"',
            "csv": ",anchor,",
            "json": '"kind": "anchor"',
            "latex": "\\midrule\nAnchor",
        }
        assert kinds.get(form, "") in out


def test_scores_are_kept_and_read_again(
    lonely: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lonely.run() == 0
    first = table(lonely.out, "--anchors", capfd=capfd)
    kept = sorted((lonely.out / ".store" / "anchors").iterdir())
    assert len(kept) == 3 * 2
    assert [one.path.name for one in runs.find(lonely.out)] == [lonely.folder().path.name]  # no run of anybody
    kept[0].write_text(kept[0].read_text()[:-20])
    asked: list[str] = []
    real = scoring.score

    def counting(metrics: Any, *given: Any, **more: Any) -> Any:
        asked.extend(metrics)
        return real(metrics, *given, **more)

    monkeypatch.setattr("bench.score.scoring.score", counting)
    assert table(lonely.out, "--anchors", capfd=capfd) == first
    assert asked == ["bleu"]  # the damaged file


def test_metrics_that_cannot_give_what_the_runs_have_are_named(
    lonely: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lonely.run() == 0
    monkeypatch.setattr(Bleu, "versions", lambda self: {"sacrebleu": "another"})
    board = table(lonely.out, "--anchors", capfd=capfd)
    assert any("no value of bleu, which has other versions now" in note for note in board["notes"])
    row = board["rows"]["Anchor: copy"]["values"]["Films"]
    assert row["bleu"]["value"] is None
    assert row["rouge1"]["value"] is not None


def test_changed_data_are_refused(lonely: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert lonely.run() == 0
    shutil.rmtree(lonely.data)
    jsonl.write(lonely.data, MANIFEST, fakes.tables())
    assert bench("table", lonely.out, "--anchors") == 2
    assert "no anchors can be scored" in capfd.readouterr().err


def test_a_judge_is_asked_only_by_name(lonely: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert lonely.run("--metric", "rouge,judge") == 0
    board = table(lonely.out, "--anchors", capfd=capfd)
    assert any("no value of judge, which asks a language model" in note for note in board["notes"])
    named = table(lonely.out, "--anchors", "--metric", "judge", capfd=capfd)
    assert not any("no value of judge" in note for note in named["notes"])


# ---------------------------------------------------------------- normalized


def test_normalized_values_and_intervals_by_hand(lonely: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert lonely.run(method="nonperso,rag") == 0
    board = table(lonely.out, "--normalized", capfd=capfd)
    by_user = {
        folder.summary()["method"]: np.array(
            [row["rouge"]["rouge1"] for row in folder.rows(runs.SCORES) if row["category"] == "Films"]
        )
        for folder in runs.find(lonely.out)
    }
    draws = inference.counts(3)
    floor, rag = (draws @ by_user[name] / 3 for name in ("nonperso", "rag"))
    low, high = inference.interval((rag - floor) / (1 - floor), 3)
    value = (by_user["rag"].mean() - by_user["nonperso"].mean()) / (1 - by_user["nonperso"].mean())
    found = board["rows"]["RAG"]["values"]["Films"]["rouge1"]
    assert (found["value"], found["low"], found["high"]) == pytest.approx((value, low, high), abs=1e-5)
    ends = [board["rows"][name]["values"]["Films"]["rouge1"]["value"] for name in ("Non-Perso", "Anchor: reference")]
    assert ends == pytest.approx([0, 1])
    assert board["title"].endswith("normalized")
    assert any("does not show how personal a text is" in note for note in board["notes"])
    assert not any("smallest true difference" in note for note in board["notes"])  # it is of values, not of shares
    plain = table(lonely.out, "--anchors", capfd=capfd)
    assert any("smallest true difference" in note for note in plain["notes"])


def test_daggers_are_those_of_the_values(lonely: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert lonely.run(method="nonperso,rag") == 0

    def daggers(*words: str) -> dict[tuple[str, str], str]:
        board = table(lonely.out, "--baseline", "nonperso", *words, capfd=capfd)
        return {
            (label, group): values["rouge1"]["significance"]
            for label, row in board["rows"].items()
            for group, values in row["values"].items()
        }

    plain = daggers("--anchors")
    assert "†" in plain.values()
    assert daggers("--normalized") == plain


def test_columns_without_a_better_end_are_left_out_and_said(lonely: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert lonely.run("--metric", "rouge,length") == 0
    board = table(lonely.out, "--normalized", "--all", capfd=capfd)
    assert [column["key"] for column in board["columns"]] == ["rouge1", "rougeL"]
    assert any("Left out of the normalized table: LEN., |LEN.|" in note for note in board["notes"])


def test_without_a_floor_the_values_stay_and_the_command_that_adds_it_works(
    lonely: World, capfd: pytest.CaptureFixture[str]
) -> None:
    assert lonely.run("--set", "max_new_tokens=9", method="rag") == 0
    board = table(lonely.out, "--normalized", capfd=capfd)
    assert any(note.startswith("Not normalized: this table has no one row of Non-Perso") for note in board["notes"])
    plain = table(lonely.out, "--anchors", capfd=capfd)
    assert {label: row["values"] for label, row in board["rows"].items()} == {
        label: row["values"] for label, row in plain["rows"].items()
    }
    (note,) = [note for note in plain["notes"] if note.startswith("The floor")]
    words = shlex.split(note.split("`")[1])
    words[words.index("--profile") + 1] = str(lonely.profile)  # a profile of a file is known by its name
    assert bench(*words[1:]) == 0
    after = table(lonely.out, "--normalized", capfd=capfd)
    assert after["title"].endswith("normalized")
    assert not any(note.startswith("The floor") for note in after["notes"])


def test_shares_are_not_set_beside_the_papers_values(lonely: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert lonely.run() == 0
    assert bench("table", lonely.out, "--normalized", "--paper") == 2
    assert "--paper has values and --normalized shares" in capfd.readouterr().err


# ---------------------------------------------------------------- the note on copying


def test_a_row_that_copies_is_named_with_its_share(lonely: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert lonely.run("--metric", "rouge,copying", method="nonperso,rag") == 0
    assert not any(note.startswith("More than 10 %") for note in table(lonely.out, capfd=capfd)["notes"])
    data = load(str(lonely.data))
    history = {one.sample_id: one.history for one in data.samples("test")}
    (rag,) = [one for one in runs.find(lonely.out) if one.summary()["method"] == "rag"]
    copies = {"Films/u0/r4": "u0 wrote this as number 3", "Films/u1/r4": "u1 wrote this as something quite new"}
    assert all(any(text[:17] == one.text[:17] for one in history[name]) for name, text in copies.items())
    rag.write_rows(runs.SAMPLES, [{**row, "text": copies.get(row["sample_id"], "")} for row in rag.rows(runs.SAMPLES)])
    assert bench("score", rag.path) == 0
    # Two of two 5-grams of one text, none of three of the other; the texts of Books are empty, and have no share.
    notes = table(rag.path, "--metric", "rouge", capfd=capfd)["notes"]
    assert any(note.startswith("More than 10 %") and ": RAG CP-H 50 %." in note for note in notes)
    (note,) = [one for one in table(lonely.out, capfd=capfd)["notes"] if "more than 10 points above Non-Perso" in one]
    assert ": RAG CP-H 50 %." in note
    # As often as that in texts that saw no review, and nothing is said.
    (floor,) = [one for one in runs.find(lonely.out) if one.summary()["method"] == "nonperso"]
    texts = {row["sample_id"]: row["text"] for row in rag.rows(runs.SAMPLES)}
    floor.write_rows(runs.SAMPLES, [{**row, "text": texts[row["sample_id"]]} for row in floor.rows(runs.SAMPLES)])
    assert bench("score", floor.path) == 0
    assert not any("word for word elsewhere" in note for note in table(lonely.out, capfd=capfd)["notes"])
