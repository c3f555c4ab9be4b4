"""What is said on a stream that is no terminal."""

from __future__ import annotations

import pytest

from bench.generate.service import EngineUse
from bench.progress import Progress


def test_a_plain_line_at_the_end_and_none_for_every_sample(capfd: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        progress.follow(EngineUse(requests=2, new_tokens=300, first=1.0, last=3.0))
        progress.say("starting [the] engine ...")
        progress.expect(20)
        for number in range(20):
            progress.step(failed=number == 3)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == ["starting [the] engine ...", "20 of 20 samples, 1 failed  2 requests, 150 tokens/s"]


def test_quiet_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with Progress(quiet=True) as progress:
        progress.say("hello")
        progress.expect(1)
        progress.step(failed=False)
    assert capfd.readouterr() == ("", "")
    assert (progress.done, progress.failed) == (1, 0)


def test_answers_show_while_no_sample_is_finished(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.progress.PLAIN_SECONDS", 0.0)
    with Progress() as progress:
        progress.follow(EngineUse(requests=7, new_tokens=300, first=1.0, last=3.0))
        progress.expect(20)
        progress.tick()
    assert capfd.readouterr().err.splitlines() == ["0 of 20 samples  7 requests, 150 tokens/s"]
