"""A folder in which the commands of the pages run: an engine that costs nothing, and the files that pages name."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench import config, plugins, registry
from bench.context import prefetch
from bench.embed import encoders
from bench.record import runs
from bench.run import cells
from bench.train import checkpoint
from tests import fakes
from tests.docs.blocks import Command, examples
from tests.embed.fakes import FakeEmbedder
from tests.paths import ROOT

PLUGINS = ROOT / "docs" / "plugins.md"
QUICK_START = ROOT / "docs" / "quick-start.md"
SUITES = ROOT / "docs" / "suites.md"
NAMES = {"Mine": "my_data"}  # class -> file, where it is not the class's name

# Budgets that hold the bundled corpus's prompts. No metric of it needs a model.
PROFILE = fakes.PROFILE.replace("input_budget = 200", "input_budget = 1500")

# What a page takes for granted that begins with finished runs.
BEFORE = "run --method nonperso,rag,dpl --limit 6"
MAKES_ITS_OWN = ("run", "grid", "doctor")
PREPARED = {  # what a page shows of something that another page makes
    "smoke": "grid smoke",
    "retrievers": "grid retrievers --profile tiny --limit 6",
    "my-suite.toml": "grid my-suite.toml --limit 3",
    "my-baseline.json": "regress my-baseline.json smoke --write",
}


@dataclass(frozen=True)
class Workshop:
    folder: Path

    def run(self, command: Command) -> int:
        """The exit code of one command of a page, its placeholders filled in."""
        forget_plugins()
        return fakes.bench(*(self._filled(word) for word in command.words[1:]))

    def _filled(self, word: str) -> str:
        if word not in ("RUN", "SAMPLE_ID"):
            return word
        done = (found for found in runs.find(self.folder / "runs") if "-rag-" in found.path.name and found.done)
        run = next(found for found in done if "history=" not in found.summary()["variant"])
        return run.path.name if word == "RUN" else next(run.rows(runs.SAMPLES))["sample_id"]


def plugin_files(folder: Path) -> dict[str, Path]:
    """class -> file of every example of docs/plugins.md, as a reader would save it."""
    files = {}
    for text in examples(PLUGINS, "python"):
        (name,) = re.findall(r"^class (\w+)", text, re.MULTILINE)
        files[name] = folder / f"{NAMES.get(name, name.lower())}.py"
        files[name].write_text(text)
    return files


def fill(folder: Path) -> None:
    """What the pages speak of: plug-ins, a profile, a suite, raw reviews, a dataset."""
    plugin_files(folder)
    (folder / "my-profile.toml").write_text(examples(QUICK_START, "toml")[0])
    (folder / "my-suite.toml").write_text(examples(SUITES, "toml")[0])
    fakes.dataset(folder / "data" / "mine")
    review, item = map(json.loads, examples(QUICK_START, "json")[0].splitlines())
    users, items = [f"u{i}" for i in range(8)], [f"i{i}" for i in range(8)]
    reviews = [
        {
            **review,
            "user_id": user,
            "parent_asin": name,
            "timestamp": review["timestamp"] + at,
            "text": f"{user} heard {name} at home. " * 8,
        }
        for user in users
        for at, name in enumerate(items)
    ]
    _write(folder / "reviews.jsonl.gz", reviews)
    _write(folder / "meta.jsonl.gz", [{**item, "parent_asin": name} for name in items])


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    with gzip.open(path, "wt") as file:
        file.writelines(f"{json.dumps(row)}\n" for row in rows)


def profiles(folder: Path) -> Mapping[str, Path]:
    """The shipped profiles' names, each for a profile that loads no model."""
    folder.mkdir()
    for name in config.profiles():
        (folder / f"{name}.toml").write_text(PROFILE)
    return {path.stem: path for path in folder.glob("*.toml")}


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """In the place of vLLM, the shipped profiles' models and their encoders."""
    monkeypatch.setitem(registry.BUILTIN["generator"], "vllm", fakes.FAKE)
    monkeypatch.setattr(fakes.FakeGenerator, "plan", fakes.Plan())
    found = profiles(folder)
    monkeypatch.setattr(config, "profiles", lambda: found)
    for module in (prefetch, cells, checkpoint):
        monkeypatch.setattr(module, "create_encoder", lambda config: FakeEmbedder())
    monkeypatch.setattr(encoders, "create", lambda config: FakeEmbedder())
    monkeypatch.setattr(registry, "_from_files", {})
    monkeypatch.setattr("bench.plugins._loaded", [])


def forget_plugins() -> None:
    """Every command of a reader's is a process of its own, which knows the plug-ins that it is given."""
    registry._from_files.clear()
    plugins._loaded.clear()
    for name in ("habits", "crowd", "closest", "size", "my_data"):
        sys.modules.pop(name, None)


def prepare(folder: Path, first: Path, page: list[Command]) -> Workshop:
    """A copy of the filled folder, with what this page's commands find there."""
    shutil.copytree(first, folder, dirs_exist_ok=True)  # which is the working folder
    if page and page[0].words[1] not in MAKES_ITS_OWN:
        assert fakes.bench(*BEFORE.split()) == 0
    named = {word for command in page for word in command.words}
    for name, words in PREPARED.items():
        if name in named and not any(command.words[1:] == words.split() for command in page):
            assert fakes.bench(*words.split()) == 0, words
    return Workshop(folder)
