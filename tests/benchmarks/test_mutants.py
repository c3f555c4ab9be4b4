"""The faults of `make mutants`: each is one place of today's source, compiles, and touches cells of the quick assay."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from bench.suite import suite as suites
from benchmarks import mutants
from benchmarks.mutants import NONE, ROOT, Fault
from tests import fakes


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    corpus = fakes.corpus(tmp_path_factory.mktemp("data"))
    configs, failures = suites.expand(suites.load("assay").quickened(), lambda name: corpus, suites.Given())
    assert failures == []
    return {f"{config.method} {config.retriever or NONE} {config.history}" for config in configs}


def test_there_are_enough_and_no_two_have_a_name() -> None:
    names = Counter(fault.name for fault in mutants.faults())
    assert len(names) >= 24 and max(names.values()) == 1


@pytest.mark.parametrize("fault", mutants.faults(), ids=lambda fault: fault.name)
def test_a_fault_is_one_change_of_running_code(fault: Fault, cells: set[str]) -> None:
    before = (ROOT / fault.file).read_text()
    after = fault.patched(before)
    assert ast.dump(ast.parse(after)) != ast.dump(ast.parse(before))
    assert fault.cells and set(fault.cells) <= cells


def test_a_place_that_is_gone_is_named() -> None:
    fault = mutants.faults()[0]
    with pytest.raises(ValueError, match=rf"mutant {fault.name}: {fault.file} has 0 places"):
        fault.patched("something else")


def test_the_suite_of_a_fault_is_a_part_of_the_quick_assay(tmp_path: Path) -> None:
    path = tmp_path / "cells.toml"
    mutants.write_suite(path, ["rag bm25 own", "nonperso - own", "dep recency random"])
    corpus = fakes.corpus(tmp_path / "data")
    quick, _ = suites.expand(suites.load("assay").quickened(), lambda name: corpus, suites.Given())
    made, failures = suites.expand(suites.load(str(path)), lambda name: corpus, suites.Given())
    assert failures == [] and len(made) == 3
    assert {config.model_dump_json() for config in made} <= {config.model_dump_json() for config in quick}


def test_a_run_that_stops_is_not_caught_by_the_gate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fault = mutants.faults()[0]
    monkeypatch.setattr(mutants, "OUT", tmp_path)
    monkeypatch.setattr(mutants, "moved", lambda out: ("a cell: gone",))
    asked = []
    monkeypatch.setattr(mutants, "_run_cells", lambda fault, place, clean: asked.append(fault.name) or "it broke")
    for _ in range(2):  # the second time its runs are kept
        assert mutants.run(fault, tmp_path / "clean").said == "stopped"
    assert asked == [fault.name]
