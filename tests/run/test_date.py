"""A chat template that prints today's date prints one date for all runs of a folder, also days later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bench import registry
from bench.config import Profile
from bench.generate.prompts import chat
from bench.generate.prompts.chat import ChatEncoder
from bench.models import assets
from bench.record import day, runs
from bench.types import Completion, Request
from results.checks import verify as verification
from tests.fakes import World
from tests.generate.folders import SMOLLM, tokenizer_folder

pytestmark = pytest.mark.models

TEMPLATE = """\
{%- set today = strftime_now("%d %b %Y") if strftime_now is defined else "no date" -%}
<|im_start|>system
Today: {{ today }}
{{ messages[0]['content'] }}<|im_end|>
<|im_start|>user
{{ messages[1]['content'] }}<|im_end|>
<|im_start|>assistant
"""


class Dated:
    """Echoes the seed. Its prompts are rendered by a template that prints the date."""

    folder: ClassVar[str] = ""
    requests: ClassVar[list[Request]] = []

    def __init__(self, profile: Profile, *, deterministic: bool = False, log: Path | None = None) -> None:
        self.encoder = chat.of_profile(profile, self.folder)

    def identity(self) -> Mapping[str, Any]:
        return {"backend": "dated", "version": "1"}

    async def start(self) -> None: ...

    async def generate(self, request: Request) -> Completion:
        self.requests.append(request)
        return Completion(f"text {request.seed}", (1,), "stop", n_prompt=len(request.ids))

    async def close(self) -> None: ...


class Clock(datetime):
    today: ClassVar[str] = "2026-01-31"

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return datetime.fromisoformat(cls.today).replace(tzinfo=tz)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, require_assets: Callable[..., None]) -> World:
    require_assets(SMOLLM)
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", "tests.run.test_date:Dated")
    monkeypatch.setattr(Dated, "folder", str(tokenizer_folder(tmp_path / "model", TEMPLATE)))
    monkeypatch.setattr(Dated, "requests", [])
    monkeypatch.setattr(day, "datetime", Clock)
    monkeypatch.setattr(chat, "datetime", Clock)
    monkeypatch.setattr(Clock, "today", "2026-01-31")
    return World(tmp_path)


def dates() -> set[str]:
    encoder = ChatEncoder(Dated.folder)
    texts = [encoder.tokenizer.decode(list(request.ids)) for request in Dated.requests]
    return {text.partition("Today: ")[2].partition("\n")[0] for text in texts}


def test_the_date_of_the_first_day_is_recorded_and_told_ever_after(world: World) -> None:
    assert world.run() == 0
    assert dates() == {"31 Jan 2026"}
    assert world.folder().read(runs.CONFIG)["date"] == "2026-01-31"
    Clock.today = "2026-02-02"
    with verification.Verifier() as verifier:
        assert {check.name: check.holds for check in verifier.verify(world.folder())}["texts"] is True
    kept = list(world.folder().rows(runs.SAMPLES))[2:]
    world.folder().write_rows(runs.SAMPLES, kept)
    (world.folder().path / runs.SUMMARY).unlink()
    (world.out / ".store" / "requests.sqlite").unlink()
    Dated.requests.clear()
    assert world.run() == 0
    assert (len(Dated.requests), dates()) == (2, {"31 Jan 2026"})
    assert world.run("--limit", 1) == 0
    assert dates() == {"31 Jan 2026"}


def test_a_date_may_be_chosen_and_is_part_of_the_identity(world: World) -> None:
    assert world.run("--set", "date=2020-02-29") == 0
    assert dates() == {"29 Feb 2020"}
    assert world.run() == 0
    assert len(runs.find(world.out)) == 2
    assert world.run("--set", "date=tomorrow") == 2


def test_a_run_that_was_begun_with_another_date_is_not_mixed(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    """Its folder was copied elsewhere, or the record of the day is gone."""
    assert world.run() == 0
    (world.folder().path / runs.SUMMARY).unlink()
    (world.out / ".store" / "date").unlink()
    Clock.today = "2026-02-02"
    assert world.run() != 0
    assert "was begun with the date 2026-01-31, and this command has 2026-02-02; add --set" in capfd.readouterr().err


def test_a_damaged_record_of_the_day_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / ".store").mkdir()
    (tmp_path / ".store" / "date").write_text("yesterday")
    assert day.of(tmp_path) == datetime.now(UTC).date().isoformat() == day.of(tmp_path)


def test_a_template_without_a_date_records_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dated, "folder", str(assets.path(SMOLLM)))
    assert world.run() == 0
    assert world.folder().read(runs.CONFIG)["date"] == ""
    assert not ChatEncoder(Dated.folder).dated
