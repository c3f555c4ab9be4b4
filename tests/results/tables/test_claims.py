"""Claims of a suite: which hold, which are open, and what is not run. A claim must be able to fail."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from bench import registry
from bench.errors import UserError
from bench.suite import suite as suites
from bench.suite.suite import Claim, Side, Suite
from results.tables import claims
from results.tables.finished_runs import FinishedRun
from tests.results import scored
from tests.results.tables.test_leaderboard import summary

Make = Callable[..., FinishedRun]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A finished run of a method whose texts keep `skill` of the real words."""
    configs: dict[Path, Any] = {}
    monkeypatch.setattr(claims, "read_config", lambda folder: configs[folder.path])

    def made(method: str, skill: float, *, retriever: str = "recency", users: int = 30, **about: Any) -> FinishedRun:
        seed, history, options = about.get("seed", 0), about.get("history", "own"), about.get("set", {})
        folder = tmp_path / f"{method}-{retriever}-{seed}-{history}-{len(configs)}"
        component = registry.create("method", method, options)
        configs[folder] = SimpleNamespace(
            method=method,
            retriever=retriever if component.uses_retriever else None,
            history=history,
            data=about.get("data", "plain"),
            seed=seed,
            method_options={name: getattr(component, name) for name in registry.options_of("method", method)},
        )
        return scored.finished(folder, summary(method, seed=seed), scored.rows(skill, users=users, seed=seed))

    return made


def claim(better: dict[str, Any], worse: dict[str, Any], **more: Any) -> Claim:
    about = {"says": "so it is", "data": ("plain",), "value": "rouge1", **more}
    return Claim(better=Side(**better), worse=Side(**worse), **about)


def checked(found: list[FinishedRun], *made: Claim) -> list[claims.Finding]:
    return claims.check(Suite(name="s", title="t", claims=made), found)


def states(found: list[FinishedRun], *made: Claim) -> list[str]:
    return [one.state for one in checked(found, *made)]


def test_a_claim_holds_where_the_difference_shows_and_is_open_where_not(make: Make) -> None:
    found = [make("nonperso", 0.3), make("rag", 0.7), make("pag", 0.3)]
    nonperso = {"method": "nonperso"}
    above = [claim({"method": name}, nonperso) for name in ("rag", "pag")]
    assert states(found, *above) == ["holds", "open"]
    assert states(found, claim(nonperso, {"method": "rag"})) == ["open"]  # the wrong way round, however certain
    one = checked(found, above[0])[0]
    assert one.difference is not None and 0.3 < one.difference.value < 0.5
    assert one.p == pytest.approx(one.difference.p)  # the only one of its kind


def test_at_most_holds_only_where_the_interval_says_so(make: Make) -> None:
    found = [make("nonperso", 0.3), make("pag", 0.3), make("rag", 0.7)]
    few = [make("nonperso", 0.31, users=3, data="mixed"), make("pag", 0.3, users=3, data="mixed")]
    sides = {"method": "pag"}, {"method": "nonperso"}
    assert states(found, claim(*sides, at_most=0.1)) == ["holds"]
    assert states(found, claim({"method": "rag"}, {"method": "nonperso"}, at_most=0.1)) == ["open"]
    assert states(few, claim(*sides, at_most=0.1, data=("mixed",))) == ["open"]  # too few samples show nothing


def test_sides_are_told_apart_by_retriever_history_options_and_data(make: Make) -> None:
    found = [
        make("rag", 0.7),
        make("rag", 0.3, retriever="bm25"),
        make("rag", 0.3, history="random"),
        make("rag", 0.3, set={"order": "chronological"}),
        make("rag", 0.3, data="drifting"),
    ]
    rag = {"method": "rag"}
    others = [{"retriever": "bm25"}, {"history": "random"}, {"set": {"rag.order": "chronological"}}]
    assert states(found, *(claim(rag, rag | other) for other in others)) == ["holds"] * 3
    assert states(found, claim(rag, rag | {"retriever": "contriever"})) == ["not run"]
    assert states(found, claim(rag, rag, data=("contextual",))) == ["not run"]
    said = [(one.better, one.worse) for one in checked(found, *(claim(rag, rag | other) for other in others))]
    assert said == [
        ("rag recency", f"rag {words}") for words in ("bm25", "recency history=random", "recency order=chronological")
    ]


def test_methods_fill_the_open_sides_and_p_is_corrected_over_all(make: Make) -> None:
    names = ("rag", "pag", "dpl")
    swapped = [make(name, 0.55, history="random") for name in names]
    found = checked([*(make(name, 0.6) for name in names), *swapped], claim({}, {"history": "random"}, methods=names))
    assert [one.better for one in found] == [f"{name} recency" for name in names]
    assert all(one.p >= one.difference.p for one in found if one.difference is not None)
    assert min(one.p for one in found) == pytest.approx(3 * min(one.difference.p for one in found if one.difference))


def test_seeds_are_paired_and_the_newest_run_counts(make: Make) -> None:
    found = [make("nonperso", 0.3), make("rag", 0.3), make("rag", 0.8, seed=1), make("nonperso", 0.8, seed=2)]
    one = checked(found, claim({"method": "rag"}, {"method": "nonperso"}))[0]
    assert one.state == "open" and one.difference is not None  # seed 0 alone is on both sides
    assert checked(found[2:], claim({"method": "rag"}, {"method": "nonperso"}))[0].state == "not run"


def test_runs_of_other_samples_are_not_paired(make: Make) -> None:
    found = [make("nonperso", 0.3), make("rag", 0.7), make("rag", 0.7, users=10)]  # the newest on fewer samples
    one = checked(found, claim({"method": "rag"}, {"method": "nonperso"}))[0]
    assert one.state == "holds" and one.estimates is not None and one.estimates[0].n == 120


def test_the_table_shows_every_claim_and_counts_what_was_not_run(make: Make) -> None:
    found = [make("nonperso", 0.3), make("rag", 0.7)]
    made = [claim({"method": "rag"}, {"method": "nonperso"}), claim({"method": "pag"}, {"method": "nonperso"})]
    out = io.StringIO()
    claims.show(Console(file=out, width=200), checked(found, *made))
    assert "1 of 1 claims hold, 1 were not run" in out.getvalue()
    assert out.getvalue().count("so it is") == 2


def test_a_value_that_no_run_has_and_an_option_that_no_method_has(make: Make) -> None:
    found = [make("nonperso", 0.3), make("rag", 0.7)]
    sides = {"method": "rag"}, {"method": "nonperso"}
    with pytest.raises(UserError, match="claim 'so it is': its runs have no value 'habits'"):
        checked(found, claim(*sides, value="habits"))
    with pytest.raises(UserError, match="no option of method 'rag' 'text'"):
        checked([], claim({"method": "rag", "set": {"rag.text": False}}, {"method": "nonperso"}))


@pytest.mark.parametrize(
    ("sides", "more"),
    [(({}, {"method": "rag"}), {}), (({"method": "pag"}, {"method": "rag"}), {"methods": ("dpl",)})],
)
def test_methods_are_given_for_open_sides_only(sides: tuple[dict[str, Any], ...], more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"a side without a method needs methods = \[\.\.\.\]"):
        claim(*sides, **more)


def test_the_assay_s_claims_name_what_it_runs() -> None:
    assay = suites.load("assay")
    cells = {(method, retriever, variant) for method, retriever, variant, _ in suites.keys(assay)}
    for one in claims.check(assay, []):
        for side in (one.better, one.worse):
            method, *rest = side.split()
            retriever = rest[0] if rest and rest[0] in registry.names("retriever") else None
            options = ", ".join(
                word if word.startswith("history=") else f"{method}.{word}" for word in rest if word != retriever
            )
            assert (method, retriever, options) in cells
    quick = assay.quickened()
    assert {block.data for block in quick.cells} == {("mixed",)} and quick.limit == 150
    assert all(one.data == "mixed" for one in claims.check(quick, []))
