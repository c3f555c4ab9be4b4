"""What is said of cells, stages, speed and time left: on a terminal, and on a stream that is none."""

from __future__ import annotations

import io
import os
import pty
import re
import threading
from pathlib import Path

import pytest
from rich.console import Console

from bench import registry
from bench.console import live
from bench.console.progress import Progress
from bench.console.state import Task
from bench.types import EngineUse, StageCost
from tests import fakes
from tests.fakes import FakeGenerator, Plan, World

USE = EngineUse(requests=60, new_tokens=3000, engine_seconds=20.0)  # 150 tokens and 3 requests a second


def cost(requests: int) -> StageCost:
    return StageCost(requests=requests, prompt_tokens=1000 * requests, new_tokens=50 * requests)


@pytest.fixture
def halfway() -> Progress:
    """DPL has finished 2 of 10 samples, one of them failed, and asked 50 requests, 8 of them for the finished two."""
    progress = Progress(quiet=True)
    progress.follow(USE)
    tasks = [Task("before", "rag", 5, done=5), Task("now", "dpl", 10), Task("next", "dpl", 4)]
    progress.expect([*tasks, Task("dep-1a, epoch 1", "dep", 2, done=2, validates=True)])
    progress.state.later, progress.state.unplanned = 20, 1
    progress.begin(tasks[1])
    progress.answered("rag", "review", cost(5))
    progress.answered("dpl", "difference", cost(40))
    progress.answered("dpl", "review", cost(10))
    for failed in (False, True):
        progress.step(tasks[1], failed=failed, requests=4)
    return progress


def drawn(progress: Progress, *, width: int = 100, height: int = 30) -> list[str]:
    out = io.StringIO()
    console = Console(force_terminal=True, width=width, height=height, file=out, color_system=None)
    console.print(live.view(progress.state, height=height, seconds=3723))
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).splitlines()]


def test_the_plain_form(halfway: Progress) -> None:
    # 12 samples of 4 requests each are left, of which 50 - 8 are answered: 6 requests at 3 a second.
    assert halfway.state.seconds_left() == pytest.approx(2.0)
    assert halfway.state.lines() == [
        "9 of 21 samples, 1 failed; cells: 1 finished, 1 being written, 21 waiting, 1 failed; "
        "60 requests generated, 150 tokens/s; about 0:02 left for this engine",
        "  dpl difference 40 requests (40,000 + 2,000 tokens); dpl review 10 requests (10,000 + 500 tokens)",
    ]


def test_the_live_form(halfway: Progress) -> None:
    lines = drawn(halfway)
    assert lines[0].split() == ["cell", "method", "samples", "failed"]
    assert re.fullmatch(r"now +dpl +\S.*\S +2 of 10 +1", lines[1])
    assert [line.split() for line in lines[2:5]] == [
        ["stage", "requests", "tokens", "read", "written"],
        ["dpl", "difference", "40", "40,000", "2,000"],
        ["dpl", "review", "10", "10,000", "500"],
    ]
    assert lines[5] == "cells: 1 finished, 1 being written, 21 waiting, 1 failed   60 requests generated, 150 tokens/s"
    assert lines[6].endswith("  9 of 21 samples, 1 failed   1:02:03   about 0:02 left for this engine")


def test_embedding_has_a_bar_of_its_own(halfway: Progress) -> None:
    halfway.embedding(30, 40)
    assert halfway.state.lines()[0].split("; ")[2] == "embedding 30 of 40 texts"
    lines = drawn(halfway)
    assert lines[5] == "cells: 1 finished, 1 being written, 21 waiting, 1 failed"
    assert re.fullmatch(r"\S+ +embedding 30 of 40 texts", lines[6])
    assert lines[7].endswith("9 of 21 samples, 1 failed   1:02:03   about 0:02 left for this engine")
    halfway.embedding(40, 40)
    assert "embedding" not in "".join(drawn(halfway))


def test_no_time_is_told_before_every_method_has_finished_a_sample(halfway: Progress) -> None:
    halfway.expect([Task("other", "pag", 3)])
    assert halfway.state.seconds_left() is None
    assert "left" not in "".join(halfway.state.lines() + drawn(halfway))
    halfway.fail("other")  # one that cannot be run is no work
    assert halfway.state.seconds_left() == pytest.approx(2.0)
    assert "2 failed" in halfway.state.cells()


@pytest.mark.parametrize(("width", "height"), [(100, 30), (80, 24), (60, 12)])
def test_many_cells_fit_on_the_terminal(halfway: Progress, width: int, height: int) -> None:
    names = [f"bundled-a-method-with-a-long-name-contriever-k{k}-seed0-0123abcd" for k in range(45)]
    halfway.state.waiting = lambda: (512, 80.0)
    many = [Task(name, f"method{number}", 5) for number, name in enumerate(names)]
    halfway.expect(many)
    for task in many:
        halfway.begin(task)
        halfway.answered(task.method, "review", cost(2))
    lines = drawn(halfway, width=width, height=height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    shown = sum("0 of 5" in line for line in lines)
    assert shown >= 1
    assert f"... and {45 - shown} more cells are being written" in lines
    assert any(line.startswith("... and ") and line.endswith(" more stages") for line in lines)
    assert any(line.startswith("cells: 1 finished, 46 being written, 21 waiting, 1 failed") for line in lines)


def test_a_plain_line_at_the_end_and_none_for_every_sample(capfd: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        progress.follow(USE)
        progress.say("starting [the] engine ...")
        task = Task("one", "rag", 20)
        progress.expect([task])
        for number in range(20):
            progress.step(task, failed=number == 3, requests=1)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "starting [the] engine ...",
        "20 of 20 samples, 1 failed; 60 requests generated, 150 tokens/s",
    ]


def test_quiet_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with Progress(quiet=True) as progress:
        progress.say("hello")
        task = Task("one", "rag", 1)
        progress.expect([task])
        progress.step(task, failed=False, requests=1)
    assert capfd.readouterr() == ("", "")
    assert (progress.state.done, progress.state.failed) == (1, 0)


def test_answers_show_while_no_sample_is_finished(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.console.terminal.PLAIN_SECONDS", 0.0)
    with Progress() as progress:
        progress.follow(USE)
        task = Task("one", "rag", 20)
        progress.expect([task])
        progress.begin(task)
        progress.answered("rag", "review", cost(7))
    assert capfd.readouterr().err.splitlines() == [
        "0 of 20 samples; 60 requests generated, 150 tokens/s",
        "  rag review 7 requests (7,000 + 350 tokens)",
    ]


def test_requests_in_the_engine_are_told_while_none_is_answered(halfway: Progress) -> None:
    halfway.follow(EngineUse(), lambda: (36, 80.0))
    assert halfway.state.lines()[0].split("; ")[2] == "36 requests in the engine, none answered for 1:20"
    assert drawn(halfway)[6] == "36 requests in the engine, none answered for 1:20"
    halfway.follow(USE, lambda: (36, 3.0))
    assert halfway.state.lines()[0].split("; ")[2:4] == [
        "60 requests generated, 150 tokens/s",
        "36 requests in the engine",
    ]


def test_a_plain_line_comes_while_nothing_is_answered(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.console.terminal.PLAIN_SECONDS", 0.0)
    asked = threading.Semaphore(0)

    def waiting() -> tuple[int, float]:
        asked.release()
        return 4, 20.0

    with Progress() as progress:
        progress.follow(EngineUse(), waiting)
        progress.expect([Task("one", "rag", 20)])
        assert all(asked.acquire(timeout=30) for _ in range(6))  # by then a line was printed
    assert capfd.readouterr().err.splitlines()[0] == "0 of 20 samples; 4 requests in the engine, none answered for 0:20"


def test_no_time_is_told_while_more_requests_are_in_the_engine_than_came_out(halfway: Progress) -> None:
    halfway.state.waiting = lambda: (61, 0.0)
    assert halfway.state.seconds_left() is None
    halfway.state.waiting = lambda: (60, 0.0)
    assert halfway.state.seconds_left() == pytest.approx(2.0)


def test_the_time_left_is_told_from_the_later_half_of_the_answers() -> None:
    """10 answers in the first 100 seconds, 10 in the next 5: the 30 that are left take 15 seconds."""
    progress, use, task = Progress(quiet=True), EngineUse(), Task("one", "rag", 50)
    progress.follow(use)
    progress.expect([task])
    for number in range(1, 21):
        use.requests = number
        use.engine_seconds = 10.0 * number if number <= 10 else 100 + 0.5 * (number - 10)
        progress.answered("rag", "review", cost(1))
        progress.step(task, failed=False, requests=1)
        if number == 7:
            assert progress.state.seconds_left() is None  # too few to tell
    assert progress.state.seconds_left() == pytest.approx(15.0)


def test_a_grid_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`bench run` of four cells with a terminal for stderr: the view is drawn while samples are written, then gone."""
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    monkeypatch.setattr(FakeGenerator, "plan", Plan())
    answered = Progress.answered

    def answered_and_drawn(self: Progress, method: str, stage: str, cost: StageCost) -> None:
        answered(self, method, stage, cost)
        assert self._live is not None
        self._live.refresh()

    monkeypatch.setattr(Progress, "answered", answered_and_drawn)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "30")
    main, stderr = pty.openpty()
    seen = bytearray()

    def read() -> None:
        while not seen.endswith(b"THE END"):
            seen.extend(os.read(main, 4096))

    reader = threading.Thread(target=read)
    reader.start()
    with monkeypatch.context() as patch, open(stderr, "w") as terminal:
        patch.setattr("sys.stderr", terminal)
        assert World(tmp_path).run("--seed", "0,1", method="nonperso,pag") == 0
        terminal.write("THE END")
    reader.join(timeout=30)
    text = seen.decode()
    assert re.search(r"data-pag-recency-k2-seed1\S* +pag ", text)
    assert re.search(r"pag +profile +\d", text)
    assert "cells: " in text and "4 being written" in text
    assert "scoring" in text.rpartition("\x1b[2K")[2]
