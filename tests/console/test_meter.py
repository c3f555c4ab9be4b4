"""One bar on a terminal, plain lines elsewhere, and control characters spelled out on both."""

from __future__ import annotations

import os
import pty
import time
from collections.abc import Callable

import pytest

from bench.console.meter import Meter

END = "THE END"


def work(meter: Meter) -> None:
    meter.start("reading [b]items\x1b[2J", 4)
    for number in range(4):
        meter.advance(1, f"note {number}")
    meter.say("[one] line\x07")


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, use: Callable[[], None]) -> str:
    """What a terminal on stderr is sent."""
    main, stderr = pty.openpty()
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    with monkeypatch.context() as patch, open(stderr, "w") as terminal:
        patch.setattr("sys.stderr", terminal)
        use()
        terminal.write(END)
        terminal.flush()
        sent = b""
        while not sent.endswith(END.encode()):  # one read gives 4 KB at most
            sent += os.read(main, 4096)
    return sent.decode().removesuffix(END)


def test_without_a_terminal_lines_come_now_and_then(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Meter(shown=True) as meter:
        work(meter)
    with Meter(shown=True, stays=True) as meter:
        work(meter)
    monkeypatch.setattr("bench.console.terminal.PLAIN_SECONDS", 0.0)
    with Meter(shown=True) as meter:
        meter.start("filtering")
        meter.advance(1)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "[one] line\\x07",
        "reading [b]items\\x1b[2J 100%  note 3",
        "[one] line\\x07",
        "filtering ...",
    ]


def test_nothing_is_shown_unless_asked_for(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.console.terminal.PLAIN_SECONDS", 0.0)
    with Meter() as meter:
        work(meter)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("stays", [False, True])
def test_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch, stays: bool) -> None:
    def use() -> None:
        with Meter(shown=True, stays=stays) as meter:
            work(meter)

    monkeypatch.setattr("bench.console.terminal.PATIENCE", 0.0)
    sent = on_a_terminal(monkeypatch, use)
    assert "[one] line\\x07\r\n" in sent
    assert "reading [b]items\\x1b[2J" in sent and "100%" in sent and "note 3" in sent
    assert "\x07" not in sent and "\x1b[2J" not in sent
    after = sent.rpartition("note 3")[2]
    assert ("\x1b[2K" in after) == (not stays)  # the line of a bar that vanishes is cleared


def slow(*works: str, seconds: float) -> None:
    with Meter(shown=True) as meter:
        for what in works:
            meter.start(what)
            time.sleep(seconds)


def test_work_that_takes_longer_says_once_what_it_is_for(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it never advances; what is quick stays silent, and so does what is over."""
    monkeypatch.setattr("bench.console.terminal.PATIENCE", 0.2)
    slow("reading", "embedding", seconds=0.5)
    assert capfd.readouterr().err.splitlines() == ["reading ...", "embedding ..."]
    slow("reading", "embedding", seconds=0.0)
    time.sleep(0.4)
    assert capfd.readouterr().err == ""


def test_a_terminal_shows_the_bar_of_long_work_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.console.terminal.PATIENCE", 0.2)
    assert "embedding" in on_a_terminal(monkeypatch, lambda: slow("embedding", seconds=0.6))
    assert on_a_terminal(monkeypatch, lambda: slow("embedding", seconds=0.0)) == ""
