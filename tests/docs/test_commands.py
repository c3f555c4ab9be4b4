"""Every command of README.md and docs exists with its options, and runs here, or its page says why it is not run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.exceptions import TyperException
from typer.main import get_command

from bench.cli import app
from tests.docs import blocks, workshop
from tests.docs.blocks import Command
from tests.paths import ROOT

PAGES = {str(page.relative_to(ROOT)): page for page in blocks.pages()}
RUN = {name: [one for one in blocks.commands(page) if not one.why] for name, page in PAGES.items()}
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
PROGRAM = get_command(app)
# `bench doctor` says what is missing on the machine that runs this.
CODES = {"doctor": (0, 2)}
# Running text names commands without all that they need: `bench data build`, `bench COMMAND --help`.
PARTIAL = re.compile(r"Missing |no command COMMAND|.* requires an argument")


def mistake(command: Command) -> str | None:
    """What is wrong with a command before it does anything; None: nothing."""
    program, *words = command.words
    if program == "make":
        unknown = [word for word in words if "=" not in word and word not in TARGETS]
        return f"no target {unknown[0]}" if unknown else None
    try:
        _parse(PROGRAM, words)
    except TyperException as error:
        return error.format_message()
    return None


def _parse(command: Any, words: list[str]) -> None:
    """Reads the words as `bench` does, down to the last command, and calls none."""
    while hasattr(command, "commands"):
        if not words or words[0] in ("--help", "--version"):
            return
        if words[0] not in command.commands:
            raise TyperException(f"no command {words[0]}")
        command, words = command.commands[words[0]], words[1:]
    if words[:1] != ["--help"]:
        command.make_context(command.name, list(words))


@pytest.mark.parametrize("page", PAGES)
def test_every_command_exists_with_its_options(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.plugins.load", lambda files: None)
    wrong = {str(one): mistake(one) for one in blocks.commands(PAGES[page])}
    assert {one: said for one, said in wrong.items() if said} == {}
    named = {str(one): mistake(one) or "" for one in blocks.inline(PAGES[page])}
    assert {one: said for one, said in named.items() if said and not PARTIAL.match(said)} == {}


def test_mistakes_are_seen() -> None:
    def said(text: str) -> str | None:
        return mistake(Command(PAGES["README.md"], text, ""))

    assert said("bench run --method rag --limit 3  # fine") is None
    assert said("bench data stats") is None
    assert "--limits" in (said("bench run --limits 3") or "")
    assert "--limit" in (said("bench run --limit ten") or "")
    assert "rnu" in (said("bench rnu") or "")
    assert "demos" in (said("make demos") or "")


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    workshop.fill(folder)
    return folder


@pytest.mark.parametrize("page", [name for name, found in RUN.items() if found])
def test_the_commands_of_a_page_run_one_after_the_other(
    page: str, filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """`make` is not called by tests: a block with it says that it is not run."""
    workshop.stand_in(monkeypatch, tmp_path / "profiles")
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    ready = workshop.prepare(folder, filled, RUN[page])
    for command in RUN[page]:
        assert command.words[0] == "bench", f"{command}: say before its block why it is not run"
        capfd.readouterr()
        code = ready.run(command)
        assert code in CODES.get(command.words[1], (0,)), f"{command} ended with {code}:\n{capfd.readouterr().err}"


def test_what_is_not_run_says_why() -> None:
    for page in PAGES.values():
        for one in blocks.commands(page):
            assert not one.why or len(one.why.split()) > 1, one
