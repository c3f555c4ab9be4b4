"""Names on the command line: in any case and by their start, of everything that has a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench import registry
from bench.config import load_profile
from bench.data.corpus import resolve
from bench.errors import UserError, match, matches
from bench.record import runs
from bench.suite import grid, suite
from results.tables import slices
from tests import fakes
from tests.fakes import World, bench


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    return World(tmp_path)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("rag", ["rag"]),  # in full, though it starts another
        ("RAG", ["rag"]),
        ("RAG_", ["rag_soft"]),
        ("r", ["rag", "rag_soft"]),
        ("x", []),
        ("", []),
        ("\u212aIWI", ["kiwi"]),  # the sign of kelvin
    ],
)
def test_what_a_name_means(name: str, found: list[str]) -> None:
    assert matches(name, ["rag", "rag_soft", "kiwi"]) == found


def test_case_alone_is_unclear_where_two_names_differ_in_it() -> None:
    assert matches("Mine", ["mine", "Mine"]) == ["Mine"]
    with pytest.raises(UserError, match="method 'MINE' may be mine, Mine; write more of the name"):
        match("method", "MINE", ["mine", "Mine"])


def test_an_unclear_name_lists_no_more_than_fit_a_line() -> None:
    with pytest.raises(UserError, match=r"run 'a' may be a00, .*a07 \(and 92 more\); write more of the name"):
        match("run", "a", [f"a{number:02}" for number in range(100)])


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (lambda: grid.named("NonPerso,RAG,pp", "method"), ["nonperso", "rag", "pplug"]),
        (lambda: grid.named("BM,contr", "retriever"), ["bm25", "contriever"]),
        (lambda: grid.metrics("Rouge, met"), ["rouge", "meteor"]),
        (lambda: "oracle" in grid.named("ALL", "method"), False),
        (lambda: grid.server("OpenAI", base_url="", model="m"), {"model": "m"}),
        (lambda: load_profile("TINY").name, "tiny"),
        (lambda: suite.load("smo").name, "smoke"),
        (lambda: resolve("Drift"), "drifting"),
        (lambda: slices.parse("Hist:3") is not None, True),
    ],
)
def test_every_kind_of_name(call: Callable[[], object], meant: object) -> None:
    assert call() == meant


def test_an_unclear_method_names_the_candidates(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert world.run(method="ra") == 2
    assert capfd.readouterr().err == "bench: method 'ra' may be rag, rag_soft; write more of the name\n"
    assert world.run(method="dpp") == 2
    assert "no method 'dpp'; did you mean 'dpl'?" in capfd.readouterr().err


def test_a_run_by_short_names_is_the_same_run(world: World) -> None:
    assert world.run("--retriever", "bm25", "--metric", "rouge", method="rag") == 0
    before = [folder.path.name for folder in runs.find(world.out)]
    assert world.run("--retriever", "BM", "--metric", "ROU", method="Rag") == 0
    assert [folder.path.name for folder in runs.find(world.out)] == before


def test_runs_and_rows_by_their_start(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert world.run(method="nonperso,rag") == 0
    capfd.readouterr()
    assert bench("show", "DATA-rag", "--out", world.out) == 0
    assert capfd.readouterr().out.startswith("data-rag-")
    assert bench("verify", "data", "--out", world.out) == 2
    assert "run 'data' may be data-nonperso-seed0-" in capfd.readouterr().err
    assert bench("compare", "nonp", "Ra", "--out", world.out) == 0  # the start of a method's name, and of a label
    assert "Non-Perso  minus  RAG" in capfd.readouterr().out
    assert bench("compare", "data-rag", "NONPERSO", "--out", world.out) == 0  # a run by the start of its name
    assert "minus  Non-Perso" in capfd.readouterr().out
