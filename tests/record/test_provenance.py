"""The hash of a method's source covers every file that it imports; provenance names commit, versions and command."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.record import provenance

FILES = {
    "__init__.py": "",
    "method.py": "from toy_package import words\nfrom toy_package.prompts import SYSTEM\nclass Mine: pass\n",
    "prompts.py": "from .deep.blocks import item\nSYSTEM = 'Write.'\n",
    "words.py": "WORDS = 3\n",
    "deep/__init__.py": "",
    "deep/blocks.py": "def item(): ...\n",
    "lazy.py": "LATER = 1\n",
    "other.py": "class Other: pass\n",
}


@pytest.fixture
def source_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The hash of `toy_package.method.Mine` with some files of the package changed."""
    monkeypatch.syspath_prepend(tmp_path)

    def compute(**changes: str) -> str:
        for name in [name for name in sys.modules if name.partition(".")[0] == "toy_package"]:
            monkeypatch.delitem(sys.modules, name)
        for name, text in {**FILES, **{f"{key.replace('_', '/')}.py": text for key, text in changes.items()}}.items():
            path = tmp_path / "toy_package" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        importlib.invalidate_caches()
        return provenance.source_hash(importlib.import_module("toy_package.method").Mine)

    return compute


def test_every_file_that_the_method_imports_counts(source_hash: Callable[..., str]) -> None:
    hashes = [
        source_hash(),
        source_hash(method=FILES["method.py"] + "# changed\n"),
        source_hash(prompts=FILES["prompts.py"].replace("Write.", "Write!")),  # a constant
        source_hash(words="WORDS = 4\n"),  # imported as a module
        source_hash(deep_blocks="def item(): return 1\n"),  # not by the method itself
        source_hash(method=FILES["method.py"] + "def late():\n    import toy_package.lazy\n"),
        source_hash(method=FILES["method.py"] + "def late():\n    import toy_package.lazy\n", lazy="LATER = 2\n"),
    ]
    assert len(set(hashes)) == len(hashes)


def test_other_files_do_not_count(source_hash: Callable[..., str]) -> None:
    assert source_hash(other="class Other: changed = True\n", lazy="LATER = 2\n") == source_hash()


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
