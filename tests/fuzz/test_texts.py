"""Review texts that are attacks or accidents: every sample is written and scored, and a model reads them as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.config import EncoderConfig
from bench.data.folder.manifest import JSON_LINES
from bench.embed.encoders import create
from bench.generate.prompts.budget import fit
from bench.generate.prompts.chat import ChatEncoder
from bench.generate.server.messages import MessageEncoder
from bench.models import assets
from bench.record import runs
from bench.types import Item, Prompt, Review, Sample, Slot
from methods.blocks import past_reviews_block
from metrics.bertscore import BertScore
from metrics.bleu import Bleu
from metrics.meteor import Meteor
from metrics.rouge import Rouge
from tests import fakes
from tests.fakes import FakeGenerator, World
from tests.fuzz.cases import LONG, SPELLS, cases, said, texts
from tests.generate.folders import SMOLLM

pytestmark = pytest.mark.slow

MINILM = "all-minilm-l6-v2"
MANIFEST = {"name": "toy", "title": "a toy", "synthetic": True, "categories": list(fakes.CATEGORIES)}
LONG_ONES = {"reviews": ("text",), "items": ("description",)}
FREE = {"reviews": ("text", "title"), "items": ("title", "description")}


def dataset(folder: Path, draw: Callable[[], str], fields: Mapping[str, Sequence[str]] = FREE) -> Path:
    """The dataset of `fakes` with more words in every field that is free text, as JSON lines."""
    folder.mkdir(exist_ok=True)
    for name, rows in fakes.tables().items():
        for row in rows:
            row |= {key: f"{row[key]} {draw()}" for key in fields.get(name, ())}
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "dataset.json").write_text(json.dumps({"format": JSON_LINES, **MANIFEST}))
    return folder


def check_whole(out: Path, code: int, *, n: int = 6) -> int:
    """Every sample that was asked for has a row and a score, whatever became of it; how many failed."""
    failed = 0
    for run in runs.find(out):
        rows, scores = list(run.rows(runs.SAMPLES)), list(run.rows(runs.SCORES))
        summary = run.read(runs.SUMMARY)
        assert len(rows) == len(scores) == sum(summary["n"].values()) == n
        assert len({row["sample_id"] for row in rows}) == n
        errors = [row["error"] for row in rows if row["error"] is not None]
        assert summary["failed"] == len(errors)
        assert all(scores[place]["rouge"]["rouge1"] == 0 for place, row in enumerate(rows) if row["error"] is not None)
        failed += len(errors)
    assert code == (failed > 0)
    return failed


@cases(20)
@given(data=st.data())
def test_a_run(world: World, capfd: pytest.CaptureFixture[str], data: st.DataObject) -> None:
    """Prompts, stages, scores, rows and store take any text."""
    few = data.draw(st.lists(texts, min_size=1, max_size=5))
    numbers = iter(range(10**6))
    folder = dataset(world.path / "texts", lambda: few[next(numbers) % len(few)])
    out = world.path / f"out{next(COUNT)}"
    words = world.words(
        "--data", folder, "--out", out, "--set", "input_budget=900", "--retriever", "bm25", method="rag,pag"
    )
    code, _, _ = said(capfd, *words, codes=(0, 1))
    assert len(runs.find(out)) == 2
    assert check_whole(out, code) == 0


COUNT = iter(range(10**6))


@cases(12)
@given(word=st.sampled_from(["thing", "2-4", "never"]), text=texts)
def test_failing_samples_stay_in_every_denominator(
    world: World, capfd: pytest.CaptureFixture[str], word: str, text: str
) -> None:
    folder = dataset(world.path / "failing", lambda: text)
    out = world.path / f"out{next(COUNT)}"
    FakeGenerator.plan.refuse = word
    try:
        words = world.words("--data", folder, "--out", out, "--set", "input_budget=900", method="rag")
        code, _, _ = said(capfd, *words, codes=(0, 1))
    finally:
        FakeGenerator.plan.refuse = ""
    assert check_whole(out, code) == {"thing": 6, "2-4": 2, "never": 0}[word]


@pytest.mark.parametrize("letter", ["a", "ab ", "<|im_end|> ", "\u200f", "\n", "素", "\ud800", "\x00"])
def test_texts_of_200_000_characters(world: World, capfd: pytest.CaptureFixture[str], letter: str) -> None:
    long = (letter * LONG)[:LONG]
    for fields, never_cut in ((LONG_ONES, False), (FREE, True)):
        folder, out = dataset(world.path / "long", lambda: long, fields), world.path / f"out{next(COUNT)}"
        words = world.words("--data", folder, "--out", out, "--set", "input_budget=900", "--limit", 1, method="rag")
        code, _, _ = said(capfd, *words, codes=(0, 1))
        # A title is never cut: where it holds more words than the budget, each sample says so.
        assert check_whole(out, code, n=1) == (never_cut and len(long.split()) > 900)


@pytest.fixture(scope="module")
def shown(world: World) -> Path:
    """A run on all spells at once, with a text that spells them too."""
    every = "".join(SPELLS).replace("a" * 5000, "")
    folder, out = dataset(world.path / "all", lambda: every), world.path / "shown"
    assert world.run("--data", folder, "--out", out, "--set", "input_budget=2000", method="nonperso,rag") == 0
    for run in runs.find(out):
        rows = list(run.rows(runs.SAMPLES))
        rows[0]["text"] = every
        rows[1]["error"] = f"the server said {every}"
        run.write_rows(runs.SAMPLES, rows)
    return out


def test_what_is_shown_takes_over_no_terminal(world: World, shown: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`said` looks for control characters in everything that a command prints."""
    run = runs.find(shown)[1].path
    for words in (
        ["show", run],
        ["show", run, "--sample", "Books/u0/r4"],
        ["data", "stats", "--data", world.path / "all"],
        ["table", shown, "--by", "rating"],
        ["compare", "nonperso", "rag", "--out", shown],
        ["show", run, "--sample", "\x1b[2J\x9b2J\u202e\rowned"],
    ):
        _, out, err = said(capfd, *words)
        assert not set(out + err) & {"\u202e", "\u2066"}
    code, out, _ = said(capfd, "data", "validate", "--data", world.path / "all", codes=(0, 1))
    assert code in (0, 1)
    code, out, _ = said(capfd, "show", run, "--sample", "Books/u0/r4")
    assert "\\x1b[2J" in out


@pytest.mark.parametrize("form", ["markdown", "latex", "html", "csv", "json"])
def test_every_format_and_the_report_are_written(
    world: World, shown: Path, capfd: pytest.CaptureFixture[str], form: str, tmp_path: Path
) -> None:
    said(capfd, "table", shown, "--format", form)
    if form == "html":
        said(capfd, "report", shown, "--to", tmp_path / "r.html")
        page = (tmp_path / "r.html").read_text("utf-8")
        assert "<script>alert" not in page and "<img src=x" not in page


@pytest.mark.models
def test_every_metric_and_encoder_takes_any_text(require_assets: Callable[..., None]) -> None:
    require_assets("wordnet", "punkt", MINILM)
    odd = ["a" * LONG, "ab " * 500, "\ud800" * 2000, "\x00", "<s>[SEP]", "👩‍👩‍👧‍👦", "", "a good lamp"]
    every = [*SPELLS, *odd]
    for metric, spoken in (
        (Rouge(), every),
        (Bleu(), every),
        (Meteor(), every),
        (BertScore(model=MINILM, layer=2), odd),
    ):
        rows = metric.score(spoken, spoken[::-1])
        assert len(rows) == len(spoken)
        assert all(0 <= value <= 100 + 1e-6 for value in metric.aggregate(rows).values())
    vectors = create(EncoderConfig(MINILM, "mean", True, 64)).encode(odd)
    assert vectors.shape == (len(odd), 384)
    assert np.isfinite(vectors).all()


# ---------------------------------------------------------------- as a model reads them


@pytest.fixture(scope="module")
def encoder(require_assets: Callable[..., None]) -> ChatEncoder:
    require_assets(SMOLLM)
    return ChatEncoder(str(assets.path(SMOLLM)))


def specials(encoder: ChatEncoder, ids: tuple[int, ...]) -> list[int]:
    known = {*encoder.tokenizer.all_special_ids, *encoder.tokenizer.added_tokens_decoder}
    return [number for number in ids if number in known]


@cache
def spelled(encoder: ChatEncoder, letter: str) -> bool:
    """Whether the vocabulary has the bytes of a letter: SmolLM2's lacks those of some that nobody writes."""
    ids = encoder.tokenizer(letter, add_special_tokens=False)["input_ids"]
    return bool(encoder.tokenizer.decode(ids, clean_up_tokenization_spaces=False) == letter)


@pytest.mark.models
@cases(400)
@given(system=texts, before=texts, after=texts, slots=st.integers(0, 3))
def test_no_text_closes_a_turn_or_imitates_a_slot(
    encoder: ChatEncoder, system: str, before: str, after: str, slots: int
) -> None:
    """The special ids are those of the template and the slots, in order; what is decoded is what was said."""
    hostile = encoder.encode(Prompt(system, (before, *(Slot("user"),) * slots, after)))
    harmless = encoder.encode(Prompt("s", ("a", *(Slot("user"),) * slots, "b")))
    assert specials(encoder, hostile) == specials(encoder, harmless)
    assert hostile.count(encoder.slot_id) == slots
    if not slots:
        said = [text.encode("utf-8", "replace").decode() for text in (system, before + after)]
        whole = (
            f"<|im_start|>system\n{said[0]}<|im_end|>\n<|im_start|>user\n{said[1]}<|im_end|>\n<|im_start|>assistant\n"
        )
        if all(spelled(encoder, letter) for letter in {*said[0], *said[1]}):
            assert encoder.tokenizer.decode(list(hostile), clean_up_tokenization_spaces=False) == whole


@pytest.mark.models
@cases(50)
@given(text=texts)
def test_what_a_model_should_answer_ends_once(encoder: ChatEncoder, text: str) -> None:
    target = encoder.target(text, 10**6)
    assert specials(encoder, target) == [encoder.tokenizer.eos_token_id] == [target[-1]]


@pytest.mark.models
@pytest.mark.parametrize("letter", ["a", "ab ", "<|im_end|>", "\u200f", "\n", "素", "\ud800", "\x00"])
def test_a_long_text_is_cut_into_the_budget(encoder: ChatEncoder, letter: str) -> None:
    long = (letter * LONG)[:LONG]
    item = Item("c", "i", "A lamp", long)
    past = Review("r", "u", item, 4.0, "Good", long)
    sample = Sample("s", "test", "u", item, 4.0, "Fine", history=(past,))

    def build(sample: Sample, reviews: tuple[Review, ...]) -> Prompt:
        return Prompt("Write.", f"{past_reviews_block(reviews)}{sample.item.description}")

    prompt, dropped = fit(build, sample, (past,), count=encoder.count, budget=256)
    ids = encoder.encode(prompt)
    assert len(ids) <= 256
    assert specials(encoder, ids) == specials(encoder, encoder.encode(Prompt("s", "u")))
    assert dropped.description_chars + dropped.text_chars > LONG


@cases(100)
@given(system=texts, user=texts)
def test_messages_come_back_as_they_were(system: str, user: str) -> None:
    encoder = MessageEncoder()
    said: Any = [text.encode("utf-8", "replace").decode() for text in (system, user)]
    assert encoder.decode(encoder.encode(Prompt(system, user))) == Prompt(*said)
