"""`--help`: examples that can be typed, and nothing cut in a terminal of 80 columns."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import typer.main
from typer.exceptions import TyperException

from bench.cli import app
from bench.commands.examples import EXAMPLES
from tests.fakes import bench


def commands(command: Any = None, words: str = "") -> dict[str, Any]:
    """Words after `bench` -> command or group, all of them."""
    command = command or typer.main.get_command(app)
    found = {words: command}
    for name, inner in getattr(command, "commands", {}).items():
        found |= commands(inner, f"{words} {name}".strip())
    return found


COMMANDS = commands()


def lines(words: str) -> list[list[str]]:
    return [shlex.split(one.replace("\\\n", " ")) for one in EXAMPLES[words]]


def parse(words: list[str]) -> None:
    """Raises TyperException where the command line does not know what is given."""
    name = " ".join(words[1:3]) if words[1] in ("data", "models", "export", "import") else words[1]
    COMMANDS[name].make_context(name, list(words[1 + len(name.split()) :]))


@pytest.mark.parametrize("words", COMMANDS)
def test_every_help_has_examples_that_can_be_typed(
    words: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.plugins.load", lambda files: None)
    for example in lines(words):
        assert example[: 1 + len(words.split())] == ["bench", *words.split()]
        parse(example)
    assert bench(*words.split(), "--help") == 0
    shown = capfd.readouterr().out
    for line in "\n".join(EXAMPLES[words]).splitlines():
        assert f"\n    {line}\n" in shown


def test_no_example_is_of_a_command_that_is_gone() -> None:
    assert set(EXAMPLES) == set(COMMANDS)
    with pytest.raises(TyperException):
        parse(["bench", "run", "--limits", "3"])


@pytest.mark.parametrize("words", COMMANDS)
def test_nothing_is_cut_in_80_columns(
    words: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert bench(*words.split(), "--help") == 0
    shown = capfd.readouterr().out
    assert "…" not in shown and not re.search(r"[\w,]\.\.\.$", shown, re.MULTILINE)
    assert max(map(len, shown.splitlines())) <= 80
    for parameter in COMMANDS[words].params:
        for option in (*parameter.opts, *parameter.secondary_opts) if parameter.param_type_name == "option" else ():
            assert re.search(rf"(^|[ ,/]){option}([ ,\n]|$)", shown, re.MULTILINE), option


def test_the_version_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("--version") == 0
    out, err = capfd.readouterr()
    assert re.fullmatch(r"dep-bench \S+( \(commit [0-9a-f]{12}(, changed)?\))?\n", out) and err == ""
