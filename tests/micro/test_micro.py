"""The shipped micro model is what its card says, and `bench models make` makes such a model from seeds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.config import load_profile
from bench.generate.prompts.chat import ChatEncoder
from bench.micro import card, lessons
from bench.micro.make import CARD, digests, make
from bench.micro.training import ABOUT, Recipe, batches, encoded
from bench.models import assets
from bench.types import Prompt
from tests.fakes import bench

SHIPPED = assets.SHIPPED["micro"]
SMALL = Recipe(vocabulary=600, width=32, hidden=64, layers=1, heads=1, steps=3, tokens=4000, for_tokenizer=60)


def test_it_is_small_and_its_files_are_those_of_its_card() -> None:
    about = json.loads((SHIPPED / ABOUT / CARD).read_text())
    assert sum(file.stat().st_size for file in SHIPPED.rglob("*") if file.is_file()) < 8_000_000
    assert {name: about[name] for name in ("weights", "tokenizer")} == digests(SHIPPED)
    assert json.loads((SHIPPED / ABOUT / "recipe.json").read_text()) == asdict(Recipe())
    curve = [json.loads(line)["loss"] for line in (SHIPPED / ABOUT / "curve.jsonl").read_text().splitlines()]
    assert len(curve) == Recipe().steps // 50
    assert curve[-1] < curve[0] / 5


def test_its_card_shows_a_model_that_uses_a_history_and_no_other() -> None:
    about = json.loads((SHIPPED / ABOUT / CARD).read_text())
    assert (about["world"], about["n"], about["k"]) == ("mixed", 300, 4)
    assert about["recovered"]["own"] >= 0.65
    assert about["recovered"]["swapped"] <= 0.05


def test_its_tokenizer_is_fit_for_every_prompt() -> None:
    encoder = ChatEncoder(assets.resolve("micro"))
    text = "Größe, 日本語 and 😀 <|im_end|>"
    ids = encoder.encode(Prompt("Write.", text))
    assert encoder.slot_id not in ids
    assert text in encoder.tokenizer.decode(ids)
    assert encoder.decode(encoder.target("Here we go again! Fine.", 99)) == "Here we go again! Fine."


def test_a_batch_holds_lessons_of_a_length_within_its_tokens() -> None:
    encoder = ChatEncoder(assets.resolve("micro"))
    found = batches((encoded(one, encoder, 0.2) for one in lessons.endless(1)), 5000, 1)
    for _ in range(40):
        batch = next(found)
        longest = max(len(one.ids) for one in batch)
        assert longest * len(batch) <= 5000 or len(batch) == 1
        for one in batch:
            assert len(one.ids) == len(one.weights)
            assert {one.weights[place] for place in one.slots} <= {0.0}
            assert one.weights[-1] == 1.0
            assert one.weights[0] == 0.0


@pytest.mark.slow
def test_it_is_made_again_from_its_seeds(tmp_path: Path) -> None:
    """In a smaller shape: two runs of the whole command's work give the same files, another seed gives others."""
    said: list[str] = []
    first = make(tmp_path / "a", recipe=SMALL, n=6, say=said.append)
    again = make(tmp_path / "b", recipe=SMALL, n=6, say=said.append)
    assert first == again
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert set(first["shown"]) == {*card.WAYS, "reference"}
    assert load_profile("micro", {"llm": str(tmp_path / "a")}).llm == str(tmp_path / "a")


@pytest.mark.slow
@pytest.mark.models
def test_it_shows_a_user_s_habits_given_their_history() -> None:
    """A few of the card's samples, with wide margins: the files that ship are those that were measured."""
    found = card.measured(load_profile("micro"), n=36)["shown"]
    assert found["own"]["habits"] > found["nothing"]["habits"] + 0.2
    assert found["key"]["habits"] > found["nothing"]["habits"] + 0.25
    assert found["swapped"]["habits"] < found["nothing"]["habits"] + 0.1


def test_another_model_cannot_be_made(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("models", "make", "macro", "--out", tmp_path / "m") == 2
    assert "no model to make 'macro'; did you mean 'micro'?" in capfd.readouterr().err
    assert not (tmp_path / "m").exists()


def test_it_is_listed_and_needs_no_fetching(capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("ls", "models") == 0
    assert "micro" in capfd.readouterr().out
    assert bench("models", "pull", "micro") == 0
    assert str(SHIPPED) in capfd.readouterr().out


@pytest.mark.parametrize("name", ["micro"])
def test_a_revision_of_it_is_refused(name: str, require_assets: Callable[..., None]) -> None:
    from bench.errors import UserError

    with pytest.raises(UserError, match=r"revision 'x' is for a hub model, but 'micro' is a folder here"):
        assets.resolve(name, revision="x")
