"""Provenance names commit, versions and command."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.record import provenance


def test_versions_are_of_installed_packages_only() -> None:
    versions = provenance.versions()
    assert versions["torch"] and versions["sacrebleu"]
    assert "no-such-package" not in versions


@pytest.mark.parametrize(
    ("told", "dirty"),
    [("", False), ("?? notes.txt", False), (" M README.md", True), ("?? methods/mine.py", True), ("A  x.toml", True)],
)
def test_a_tree_with_uncommitted_code_is_dirty(told: str, dirty: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, "abc\n" if "rev-parse" in command else f"{told}\n")

    monkeypatch.setattr(subprocess, "run", git)
    assert provenance.commit.__wrapped__() == {"commit": "abc", "dirty": dirty}


def test_the_command_is_kept_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["bench", "run", "--model-name", "sk-secret123", "--set", "x.api_key=hunter2", "--set", "temperature=0"]
    monkeypatch.setattr(sys, "argv", [*words, "--set=a.token=t", "-p", "task-specific-1", "hf_abcdefghijklmnopqrstuv"])
    assert provenance.collect({}, {})["command"] == [
        "run", "--model-name", "***", "--set", "x.api_key=***", "--set", "temperature=0", "--set=a.token=***",
        "-p", "task-specific-1", "***",
    ]  # fmt: skip
