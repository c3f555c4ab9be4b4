"""The documentation as a site: it builds without warnings, fetches nothing, and shows every option there is."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT

README_LINES = 150
# What makes a browser fetch something from elsewhere. Links that a reader follows are no such thing.
FETCHES = re.compile(
    r"<(?:script|img|iframe)[^>]*\bsrc=[\"']?(?:https?:)?//|<link[^>]*\bhref=[\"']?(?:https?:)?//", re.I
)
STYLES = re.compile(r"url\([\"']?(?:https?:)?//|@import\s+[\"'](?:https?:)?//")


@pytest.fixture(scope="module")
def hooks() -> Any:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_site_builds_without_warnings_and_fetches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.chdir(ROOT)
    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(tmp_path)))  # strict: a warning is an error
    pages = [page for page in tmp_path.rglob("*.html") if page.name != "report.html"]
    assert len(pages) > 15
    for page in pages:
        assert not FETCHES.search(page.read_text("utf-8")), page
    for style in tmp_path.rglob("*.css"):
        assert not STYLES.search(style.read_text("utf-8")), style
    commands = (tmp_path / "commands.html").read_text("utf-8")
    for option in ("--deterministic", "--min-profile-item-users", "--no-intervals", "-k TEXT"):
        assert option in commands


def test_the_reference_has_every_command_once(hooks: Any) -> None:
    shown = hooks.described((ROOT / "docs" / "commands.md").read_text("utf-8"))
    assert sorted(shown) == sorted(hooks.commands())


def test_options_are_whole(hooks: Any) -> None:
    text = hooks.options("run")
    for option in hooks.commands()["run"].params:
        assert all(f"`{name}" in text for name in option.opts), option.opts
    assert "| `-k TEXT` | the profile's | Retrieved reviews; comma list. |" in text
    assert "Usage: `bench data import FOLDER [OPTIONS]`" in hooks.options("data import")
    assert "required" in hooks.options("data build")


def test_every_module_says_what_it_is_for(hooks: Any) -> None:
    for package in ("bench", "methods", "retrievers", "metrics", "results", "benchmarks"):
        rows = hooks.modules(package).splitlines()[2:]
        assert rows and not [row for row in rows if row.endswith("|  |")]


def test_the_citation_names_this_version() -> None:
    import yaml

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= README_LINES


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_from_the_root_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text("utf-8")):
        assert target.startswith("http") or (ROOT / target).exists(), target
