"""The faults of `make mutants`: each is one place of today's source, compiles, and touches cells of the quick assay."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

from bench import registry
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


def test_the_suite_of_a_fault_is_a_part_of_the_quick_assay(tmp_path: object, cells: set[str]) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "cells.toml"
    mutants._suite(path, ["rag bm25 own", "nonperso - own", "dep recency swapped"])
    corpus = fakes.corpus(Path(str(tmp_path)) / "data")
    quick, _ = suites.expand(suites.load("assay").quickened(), lambda name: corpus, suites.Given())
    made, failures = suites.expand(suites.load(str(path)), lambda name: corpus, suites.Given())
    assert failures == [] and len(made) == 3
    assert {config.model_dump_json() for config in made} <= {config.model_dump_json() for config in quick}
    assert registry.names("method")
