"""The commands that the pages name, as a reader would type them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.paths import ROOT

SHELL = ("", "bash", "console", "sh")
FENCE = re.compile(
    r"(?:^ *<!-- not run: (?P<why>.+?) -->\n+)?^ *```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^ *```", re.M | re.S
)
INLINE = re.compile(r"`(?:\.venv/bin/)?(bench [^`]+|make [^`]+)`")
MADE = ("docs/examples/",)  # by `make examples`, which has run what it names


@dataclass(frozen=True)
class Command:
    """`why` it is not run; "": it is."""

    page: Path
    text: str
    why: str

    @property
    def words(self) -> list[str]:
        """Without comments, prompts and variables before the command."""
        words = shlex.split(self.text.removeprefix("$ "), comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            del words[0]
        return [words[0].removeprefix(".venv/bin/"), *words[1:]] if words else []

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {' '.join(self.words)}"


def pages() -> list[Path]:
    """README.md, CONTRIBUTING.md and everything under docs."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in found if not str(page.relative_to(ROOT)).startswith(MADE)]


def commands(page: Path) -> list[Command]:
    """Lines of shell blocks that call bench or make, in order."""
    return [one for one in _lines(page) if one.words[:1] in (["bench"], ["make"])]


def _lines(page: Path) -> Iterator[Command]:
    for block in FENCE.finditer(page.read_text("utf-8")):
        if block["language"] in SHELL:
            for line in map(str.strip, block["text"].replace("\\\n", " ").splitlines()):
                if re.match(r"(\$ )?(\w+=\S+ )*(\.venv/bin/)?(bench|make)\b", line):
                    yield Command(page, line, block["why"] or "")


def inline(page: Path) -> list[Command]:
    """Commands in running text, those with an ellipsis left out."""
    text = FENCE.sub("", page.read_text("utf-8"))
    return [Command(page, found, "in running text") for found in INLINE.findall(text) if "..." not in found]


def examples(page: Path, language: str) -> list[str]:
    """The texts of the page's blocks in a language."""
    return [block["text"] for block in FENCE.finditer(page.read_text("utf-8")) if block["language"] == language]
