"""The pages on methods, retrievers, metrics, training and data name every option with its true default."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import pytest

from bench import registry
from bench.config import TrainConfig
from bench.data.build.rules import Rules
from bench.registry import Kind
from tests.paths import ROOT

DOCS = ROOT / "docs"
SHARED = {"rag_soft": "soft"}  # method -> the page of another that describes it too
ROW = re.compile(r"^\| `(\w+)` \| `([^|]*)` \|", re.MULTILINE)
PARTS = ("## Options", "## Decisions and deviations", "## Run it")


def page(method: str) -> str:
    return (DOCS / "methods" / f"{SHARED.get(method, method)}.md").read_text("utf-8")


def section(text: str, heading: str) -> str:
    """What stands below a heading, down to the next of its level or above."""
    level = heading.partition(" ")[0]
    found = re.search(rf"^{re.escape(heading)}\b.*?\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no section {heading!r}"
    return found[1]


def shown(default: Any) -> str:
    """A default as it is given on the command line: true, 0.05, sae."""
    if isinstance(default, tuple):
        return ",".join(default)
    return default if isinstance(default, str) and default else json.dumps(default)


def options(kind: Kind, name: str) -> dict[str, str]:
    return {option: shown(default) for option, default in registry.options_of(kind, name).items()}


def described(text: str) -> dict[str, str]:
    return dict(ROW.findall(text))


@pytest.mark.parametrize("method", registry.BUILTIN["method"])
def test_a_method_has_a_page_with_its_options_its_decisions_and_a_command(method: str) -> None:
    text = page(method)
    for part in PARTS:
        section(text, part)
    assert described(section(text, "## Options")) == options("method", method)
    assert re.search(rf"^bench run --method [\w,]*\b{method}\b", section(text, "## Run it"), re.MULTILINE)
    source = registry.BUILTIN["method"][method].partition(":")[0].replace(".", "/")
    assert f"`{source}.py`" in text


def test_no_page_is_about_something_else() -> None:
    files = {path.stem for path in (DOCS / "methods").glob("*.md")}
    assert files == {"index", *registry.BUILTIN["method"]} - SHARED.keys()


def test_the_overview_has_every_method_in_the_tables_order() -> None:
    rows = re.findall(r"^\| \[`(\w+)`\]\((\w+)\.md\)", page("index"), re.MULTILINE)
    assert rows == [(name, SHARED.get(name, name)) for name in registry.BUILTIN["method"]]


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in ("retriever", "metric") for name in registry.BUILTIN[cast(Kind, kind)]]
)
def test_a_retriever_or_metric_has_a_section_with_its_options(kind: Kind, name: str) -> None:
    text = (DOCS / f"{kind}s.md").read_text("utf-8")
    assert described(section(text, f"## {name}")) == options(kind, name)
    assert re.search(rf"^\| `{name}`", text, re.MULTILINE), "the overview lacks it"


def test_the_metrics_page_names_the_pinned_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = dict(one.split("==") for one in project["dependencies"] if "==" in one)
    text = (DOCS / "metrics.md").read_text("utf-8")
    for package in ("rouge-score", "nltk", "sacrebleu", "bert-score"):
        assert f"{package} {pins[package]}" in text


def test_the_training_page_names_every_setting() -> None:
    text = section((DOCS / "training.md").read_text("utf-8"), "## The settings")
    assert described(text) == {name: shown(field.default) for name, field in TrainConfig.model_fields.items()}


def test_the_data_page_names_every_threshold() -> None:
    text = section((DOCS / "data.md").read_text("utf-8"), "### The rules")
    assert described(text) == {field.name: shown(field.default) for field in fields(Rules)}


@pytest.mark.parametrize("path", sorted((DOCS / "methods").glob("*.md")), ids=lambda path: cast(Path, path).stem)
def test_pages_fetch_nothing(path: Path) -> None:
    assert not re.search(r"<script|<img|!\[[^]]*\]\(https?:", path.read_text("utf-8"))
