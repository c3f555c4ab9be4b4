"""Names of data are anybody's: in tables, pages and figures they are text."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench import registry
from bench.data.folder import jsonl
from tests import fakes
from tests.fakes import World, bench
from tests.results.valid import document

NAME = (
    "<script>alert(1)</script> | $\\frac$ $ `**x**` ![p](http://x.x/p.png) [l](http://x.x) &lt; \\input{/etc/passwd} ~"
)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two finished methods on a dataset whose name, title and category are attacks."""
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    world = World(tmp_path)
    tables = json.loads(json.dumps(fakes.tables()).replace('"Books"', json.dumps(NAME)))
    manifest = {"name": NAME, "title": NAME, "synthetic": True, "categories": [NAME, "Films"]}
    jsonl.write(world.data, manifest, tables)
    assert world.run("-k", "1,2", method="nonperso,rag") == 0
    return world


def table(world: World, form: str, capfd: pytest.CaptureFixture[str]) -> str:
    capfd.readouterr()
    assert bench("table", world.out, "--format", form) == 0
    return capfd.readouterr().out


def test_markdown(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    text = table(world, "markdown", capfd)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1  # as many cells in every row
    assert "alert(1)" in text
    for markup in ("<script", "![p]", "[l]", "`", "**x**", "&lt; "):
        assert not re.search(rf"(?<!\\){re.escape(markup)}", text), markup


def test_latex(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    text = table(world, "latex", capfd)
    commands = set(re.findall(r"\\([A-Za-z]+)", text))
    assert commands <= {
        "begin", "end", "centering", "small", "setlength", "tabcolsep", "toprule", "midrule", "bottomrule", "cmidrule",
        "multicolumn", "textbf", "underline", "tiny", "pm", "caption", "textbackslash", "textasciitilde", "textless",
        "textgreater", "textbar", "dag", "ddag", "dagger", "ddagger", "cdot", "textasciicircum",
    }  # fmt: skip
    bare = re.sub(r"\\.", "", text)
    assert bare.count("{") == bare.count("}")
    assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0


def test_html_and_the_report(world: World, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert bench("report", world.out, "--to", tmp_path / "r.html") == 0
    for page, scripts in ((table(world, "html", capfd), 0), ((tmp_path / "r.html").read_text("utf-8"), 3)):
        assert page.count("<script") == page.count("</script>") == scripts
        assert "alert(1)</script>" not in page
    root = document(table(world, "html", capfd))
    assert NAME in "".join(root.itertext())
    assert not {"script", "img", "a"} & {element.tag for element in root.iter()}


@pytest.mark.parametrize("kind", ["k-sweep", "ablations", "costs"])
def test_figures_read_no_formula(world: World, tmp_path: Path, kind: str) -> None:
    assert bench("plot", kind, world.out, "--to", tmp_path / "f.svg") == 0
    picture = (tmp_path / "f.svg").read_text("utf-8")
    assert "<script" not in picture
    assert "\\frac" in picture or kind == "costs"
