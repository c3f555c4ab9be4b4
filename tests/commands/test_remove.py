"""`bench rm`: what is asked, what goes, what stays."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import registry
from bench.generate.store import RequestStore
from bench.record import runs
from bench.run import removing
from bench.types import Completion, Prompt
from metrics.judge import SYSTEM
from tests import fakes
from tests.fakes import FakeGenerator, Plan, World, bench


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Finished runs of Non-Perso and RAG."""
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    monkeypatch.setattr(FakeGenerator, "plan", Plan())
    world = World(tmp_path)
    assert world.run(method="nonperso,rag") == 0
    return world


@pytest.fixture
def said(world: World, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """The exit code of `bench rm` in the world's output folder, and all that it says."""

    def run(*words: object) -> tuple[int, str]:
        capfd.readouterr()
        code = bench("rm", *words, "--out", world.out)
        return code, "".join(capfd.readouterr())

    return run


Said = Callable[..., tuple[int, str]]


def paths(world: World) -> dict[str, Path]:
    return {name.split("-")[1]: folder.path for name, folder in world.folders().items()}


def answers(world: World) -> set[str]:
    store = RequestStore(world.out / ".store" / "requests.sqlite")
    found = store.keys()
    store.close()
    return found


@pytest.mark.parametrize("by", [lambda path: path, lambda path: path.name, lambda path: path.name[:8].upper()])
def test_a_run_is_removed_by_path_name_or_beginning_and_its_answers_stay(
    world: World, said: Said, by: Callable[[Path], object]
) -> None:
    kept = answers(world)
    code, text = said(by(paths(world)["rag"]), "--yes")
    assert code == 0 and text.startswith("removed 1 run (") and "bench rm --store" in text
    assert list(paths(world)) == ["nonperso"] and answers(world) == kept
    asked = len(FakeGenerator.plan.requests)
    assert world.run(method="rag") == 0
    assert len(FakeGenerator.plan.requests) == asked


def test_the_store_keeps_what_a_run_uses(world: World, said: Said) -> None:
    used = {key for row in runs.RunFolder(paths(world)["nonperso"]).rows(runs.SAMPLES) for _, key in row["requests"]}
    code, text = said(paths(world)["rag"], "--store", "--yes")
    assert (code, answers(world)) == (0, used)
    assert f"6 of 12 stored answers, which no run uses\n{len(used)} stored answers stay; the store is " in text
    assert bench("verify", paths(world)["nonperso"]) == 0
    assert said("--store") == (0, "nothing to remove: every one of 6 stored answers is used by a run\n")


def test_room_is_given_back(world: World, said: Said) -> None:
    file = world.out / ".store" / "requests.sqlite"
    store = RequestStore(file)
    for number in range(500):
        store.put(f"old{number}", Prompt("s", f"{number} " * 500), Completion("a" * 2000, (1,), "stop", 1))
    store.close()
    before = file.stat().st_size
    code, text = said("--store", "--yes")
    assert code == 0 and "removed 500 of 512 stored answers" in text and "MB smaller" in text
    assert file.stat().st_size < before / 5 and len(answers(world)) == 12


def test_the_answers_of_a_judge_stay(world: World, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RequestStore(world.out / ".store" / "requests.sqlite")
    for key, system in (("judged", SYSTEM), ("other", "Write.")):
        store.put(key, Prompt(system, "text"), Completion("7", (1,), "stop", 1))
    store.close()
    monkeypatch.setattr(removing, "_asked", lambda folder: [SYSTEM])
    assert said("--store", "--yes")[0] == 0
    assert "judged" in answers(world) and "other" not in answers(world)


def test_a_judge_is_known_by_the_runs_metrics(world: World) -> None:
    folder = runs.RunFolder(paths(world)["rag"])
    assert list(removing._asked(folder)) == []
    summary = folder.read(runs.SUMMARY)
    folder.write(runs.SUMMARY, {**summary, "metric_versions": {**summary["metric_versions"], "judge": {"judge": "1"}}})
    assert list(removing._asked(folder)) == [SYSTEM]


def test_it_asks_and_no_is_no(world: World, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    here = set(world.out.iterdir())
    name = paths(world)["rag"].name
    code, text = said(name)
    assert code == 2 and f"): {name}); add --yes" in text  # nobody to ask
    for answer, expected in (("n\n", 2), ("\n", 2), ("", 2), ("y\n", 0)):
        stdin = io.StringIO(answer)
        monkeypatch.setattr(stdin, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stdin", stdin)
        assert set(world.out.iterdir()) == here
        code, text = said(name)
        assert code == expected and f"): {name}? [y/N]" in text
    assert list(paths(world)) == ["nonperso"]


def test_what_cannot_be_removed_is_one_line(
    world: World, said: Said, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    nonperso, rag = paths(world)["nonperso"], paths(world)["rag"]
    here = set(world.out.iterdir())
    with runs.RunFolder(rag).locked():
        assert said(rag.name, "--yes") == (
            2,
            f"bench: another bench is working on {rag}; wait for it or choose another --out\n",
        )
        assert "another bench is working" in said("--store", "--yes")[1]
    (nonperso / runs.SUMMARY).rename(nonperso / "aside")
    assert f"{nonperso} is not finished" in said("--store", "--yes")[1]
    assert said(world.out, "--yes")[1].endswith("is a folder of 2 runs; name the runs to remove\n")
    assert "run 'data-' may be data-nonperso-" in said("data-", "--yes")[1]
    assert "no run 'nothing'" in said("nothing", "--yes")[1]
    monkeypatch.chdir(world.path)
    assert bench("rm", "nothing", "--yes", "--out", "empty") == 2
    assert capfd.readouterr().err.endswith("there are runs in runs (2): add --out FOLDER\n")
    assert "name a run to remove" in said()[1]
    link = world.path / "link"
    link.symlink_to(rag)
    assert "is a link" in said(link, "--yes")[1]
    assert set(world.out.iterdir()) == here and (rag / runs.SAMPLES).exists()
    (world.out / ".store" / "requests.sqlite").unlink()
    (nonperso / "aside").rename(nonperso / runs.SUMMARY)
    assert "has no request store" in said("--store", "--yes")[1]
    assert not (world.out / ".store" / "requests.sqlite").exists()
