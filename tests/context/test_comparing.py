"""Retrievers that have nothing to compare: counted on rows, in summaries and under tables; refused where it is all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.data.folder import jsonl
from bench.protocols import ComparingRetriever, RetrievalContext, Retriever
from bench.record import runs
from bench.registry import create
from bench.types import Review, Sample
from tests.fakes import CATEGORIES, FAKE, FakeGenerator, Plan, World, tables
from tests.retrievers.samples import review, sample

NO_TARGET = "the target has no text in the compared fields"
NO_REVIEW = "no past review has text in the compared fields"
NO_WORD = "the target shares no word with any past review"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", FAKE)
    monkeypatch.setattr(FakeGenerator, "plan", Plan())
    return World(tmp_path)


def without_texts(world: World, *, but: str = "") -> None:
    """The toy without descriptions and review titles, but for the titles of the reviews whose id starts so."""
    made = tables()
    for item in made["items"]:
        item["description"] = ""
    for row in made["reviews"]:
        row["title"] = row["title"] if but and row["review_id"].startswith(but) else " "
    manifest = {"name": "toy", "title": "a toy", "synthetic": True, "categories": list(CATEGORIES)}
    jsonl.write(world.data, manifest, made)


@pytest.mark.parametrize("retriever", ["bm25", "contriever"])
def test_a_run_without_anything_to_compare_is_refused_with_the_option_that_mends_it(
    world: World, retriever: str, capfd: pytest.CaptureFixture[str]
) -> None:
    without_texts(world)
    for words in ((), ("--dry-run",)):
        assert world.run("--retriever", retriever, *words, method="rag") == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert line == (
            f"bench: retriever '{retriever}' has nothing to compare in all 6 samples with past reviews: "
            f"{NO_TARGET} (6); add --set {retriever}.fields=full"
        )
    assert FakeGenerator.plan.requests == []
    assert not runs.find(world.out) if world.out.exists() else True
    if retriever == "bm25":
        assert world.run("--retriever", retriever, "--set", "bm25.fields=full", method="rag") == 0
        assert world.folder().summary()["uncompared"] == {}


def test_without_retrieved_reviews_nothing_is_refused(world: World) -> None:
    without_texts(world)
    assert world.run("--retriever", "bm25", "-k", "0", method="rag") == 0


def test_some_samples_are_counted_on_the_row_in_the_summary_and_under_the_table(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    without_texts(world, but="Books/u0/")
    assert world.run("--retriever", "bm25", method="rag") == 0
    out, err = capfd.readouterr()
    rows = {row["sample_id"]: row["uncompared"] for row in world.folder().rows(runs.SAMPLES)}
    assert rows.pop("Books/u0/r4") is None
    assert set(rows.values()) == {NO_TARGET} and len(rows) == 5
    assert world.folder().summary()["uncompared"] == {NO_TARGET: 5}
    assert f"bm25 has nothing to compare for 5 of 6 samples: {NO_TARGET} (5)" in err
    said = f"Nothing to compare, so that no choice is the retriever's: RAG: 5 of 6 samples: {NO_TARGET} (5)."
    assert said in " ".join(out.split())


def test_a_run_that_goes_on_is_judged_by_all_its_samples(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    """What is left after a stop has nothing to compare; the whole run has."""
    without_texts(world, but="Books/u0/")
    assert world.run("--retriever", "bm25", method="rag") == 0
    folder = world.folder()
    (folder.path / runs.SUMMARY).unlink()
    kept = [row for row in folder.rows(runs.SAMPLES) if row["sample_id"] == "Books/u0/r4"]
    folder.write_rows(runs.SAMPLES, kept)
    assert world.run("--retriever", "bm25", method="rag") == 0
    assert folder.summary()["uncompared"] == {NO_TARGET: 5}


def test_methods_without_retrieval_have_nothing_to_count(world: World) -> None:
    assert world.run() == 0
    assert [row["uncompared"] for row in world.folder().rows(runs.SAMPLES)] == [None] * 6
    assert world.folder().summary()["uncompared"] == {}


# ---------------------------------------------------------------- the built-in ones


@pytest.mark.parametrize(
    ("target", "reviews", "why"),
    [
        (("a lamp", ""), [("lamp", "")], ""),
        (("", " "), [("lamp", "")], NO_TARGET),
        (("a lamp", ""), [("", " "), ("", "")], NO_REVIEW),
        (("a lamp", ""), [("", ""), ("lamp", "")], ""),
        (("a lamp", ""), [("chair", "of wood")], NO_WORD),
    ],
)
def test_why_bm25_and_contriever_have_nothing_to_compare(
    target: tuple[str, str], reviews: list[tuple[str, str]], why: str
) -> None:
    """(review title, item description) of the target and of each past review."""
    history = [review(number, title=title, description=about) for number, (title, about) in enumerate(reviews)]
    made = sample(*history, title=target[0], description=target[1])
    assert create("retriever", "bm25").uncompared(made) == why
    assert create("retriever", "contriever").uncompared(made) == ("" if why == NO_WORD else why)


@pytest.mark.parametrize("name", ["bm25", "contriever"])
def test_the_remedy_is_the_option_that_compares_more(name: str) -> None:
    asking: ComparingRetriever = create("retriever", name)
    assert asking.remedy == {"fields": "full"}
    assert create("retriever", name, asking.remedy).remedy == {}
    lacking = sample(review(0))
    assert asking.uncompared(lacking) == NO_TARGET
    assert create("retriever", "contriever", asking.remedy).uncompared(lacking) == ""


# ---------------------------------------------------------------- of a plug-in


@dataclass(frozen=True)
class Picky:
    """Compares nothing for the samples of `users`; says so in its own words."""

    uses_embeddings = False
    users: str = "u0,u1,u2"
    broken: bool = False

    @property
    def remedy(self) -> Mapping[str, Any]:
        return {"users": "u0"}

    def texts(self, samples: Sequence[Sample]) -> Iterable[str]:
        return ()

    def rank(self, sample: Sample, k: int, ctx: RetrievalContext) -> tuple[Review, ...]:
        return sample.history[:k]

    def uncompared(self, sample: Sample) -> str:
        if self.broken and sample.user_id == "u0":
            return None  # type: ignore[return-value]
        return "nothing to my taste" if sample.user_id in self.users.split(",") else ""


@pytest.fixture
def picky(monkeypatch: pytest.MonkeyPatch) -> Retriever:
    monkeypatch.setitem(registry.BUILTIN["retriever"], "picky", "tests.context.test_comparing:Picky")
    made: Retriever = create("retriever", "picky")
    return made


def test_a_plug_in_is_counted_and_refused_by_the_same_rule(
    world: World, picky: Retriever, capfd: pytest.CaptureFixture[str]
) -> None:
    assert world.run("--retriever", "picky", method="rag") == 2
    says = "'picky' has nothing to compare in all 6 samples with past reviews: nothing to my taste (6)"
    assert f"{says}; add --set picky.users=u0" in capfd.readouterr().err
    assert world.run("--retriever", "picky", "--set", "picky.users=u1", method="rag") == 0
    assert world.folder().summary()["uncompared"] == {"nothing to my taste": 2}


def test_a_wrong_answer_fails_its_sample_alone(world: World, picky: Retriever) -> None:
    assert world.run("--retriever", "picky", "--set", "picky.users=", "--set", "picky.broken=true", method="rag") == 1
    errors = [row["error"] for row in world.folder().rows(runs.SAMPLES) if row["error"]]
    assert len(errors) == 2
    assert "uncompared() gave NoneType, not a text" in errors[0]
