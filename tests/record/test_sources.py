"""A component's hash covers the code that it uses: no more than that, and no less where it cannot be told."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import registry
from bench.record import sources
from tests.paths import ROOT

PACKAGE = {
    "__init__.py": "",
    "method.py": (
        "from toy_package import words\nfrom toy_package.prompts import SYSTEM\n"
        "class Mine:\n    def write(self):\n        return SYSTEM * words.WORDS\n"
    ),
    "prompts.py": "from .deep.blocks import item\nSYSTEM = 'Write.'\nOTHER = item()\n",
    "words.py": "WORDS = 3\nMORE = 4\n",
    "deep/__init__.py": "",
    "deep/blocks.py": "def item(): ...\ndef unused(): ...\n",
    "lazy.py": "LATER = 1\n",
    "other.py": "class Other: pass\n",
}

# Modules that are reached as attributes of their packages.
DOTTED = (
    "import toy_package.deep.blocks\nclass Mine:\n    def write(self):\n        return toy_package.deep.blocks.item()\n"
)
WHOLE = "import toy_package\nclass Mine:\n    def write(self):\n        return toy_package.deep.blocks.item()\n"

Hash = Callable[..., str]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hash:
    """The hash of `toy_package.method.Mine` with some files of the package changed."""
    monkeypatch.syspath_prepend(tmp_path)

    def compute(**changes: str) -> str:
        for name in [name for name in sys.modules if name.partition(".")[0] == "toy_package"]:
            monkeypatch.delitem(sys.modules, name)
        for name, text in {
            **PACKAGE,
            **{f"{key.replace('_', '/', 1)}.py": text for key, text in changes.items()},
        }.items():
            path = tmp_path / "toy_package" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        importlib.invalidate_caches()
        return sources.source_hash(importlib.import_module("toy_package.method").Mine)

    return compute


def test_what_the_class_uses_counts_in_every_file(package: Hash) -> None:
    late = PACKAGE["method.py"] + "        import toy_package.lazy\n"
    hashes = [
        package(),
        package(prompts=PACKAGE["prompts.py"].replace("Write.", "Write!")),  # a constant
        package(words="WORDS = 5\n"),  # of a module
        package(deep_blocks="def item(): return 1\n"),  # called while a file is imported
        package(words="WORDS = 3\nprint('imported')\n"),
        package(method=late),
        package(method=late, lazy="LATER = 2\n"),
        package(method=DOTTED),
        package(method=DOTTED, deep_blocks="def item(): return 2\n"),
        package(method=WHOLE),
        package(method=WHOLE, deep_blocks="def item(): return 3\n"),
        package(method=WHOLE, deep___init__="print('a')\n"),
    ]
    assert len(set(hashes)) == len(hashes)


def test_what_it_does_not_use_does_not(package: Hash) -> None:
    same = [
        package(),
        package(other="class Other: changed = True\n", lazy="LATER = 2\n"),
        package(
            method="# changed\n"
            + PACKAGE["method.py"].replace("SYSTEM * words", "(SYSTEM\n        * words").replace("WORDS\n", "WORDS)\n")
        ),
        package(words="WORDS = 3\nMORE = 5\n"),
        package(deep_blocks="def item(): ...\ndef unused(): return 1\n"),
        package(method=PACKAGE["method.py"] + "def late():\n    import toy_package.lazy\n"),
    ]
    assert len(set(same)) == 1


# ---------------------------------------------------------------- a plug-in file with a method and a metric

FILE = '''\
"""Words: a method and a metric in one file."""

import json
import re
from dataclasses import dataclass
from methods.blocks import item_block
from bench.types import Column

SYSTEM = "Write."
SCALE = 10
LISTED = ["a"]
PATTERN = re.compile("a+")


def _cut(text):
    return PATTERN.sub("", text)[:SCALE]


def _ratio(a, b):
    return a / (b or SCALE * 2)


class Base:
    """What methods share."""

    def opening(self):
        return SYSTEM


@dataclass(frozen=True)
class Words(Base):
    label = "Words"
    words: int = 3

    def write(self, sample, ctx):
        return _cut(self.opening() + item_block(sample.item) + LISTED[0])


@dataclass(frozen=True)
class Share:
    columns = (Column("share", "Sh."),)

    def score(self, predictions, references):
        return [{"share": _ratio(len(re.findall("a", one)), len(json.dumps(other)))} 
                for one, other in zip(predictions, references)]
'''
METRIC = [
    ("_ratio(len(", "1 - _ratio(len("),
    ("return a / (b or", "return b / (a or"),
    ('Column("share", "Sh.")', 'Column("share", "Share", digits=2)'),
    ("class Share:", "class Share:\n    '''How many.'''\n"),
    ("import json\n", "import json\nfrom hashlib import sha256\nOTHER = sha256\n"),
    ("\n\n\nclass Base", "  # a comment\nclass Base"),
    ('SYSTEM = "Write."', "SYSTEM = 'Write.'"),
]
METHOD = [
    ('"Write."', '"Write!"'),
    ("SCALE = 10", "SCALE = 11"),
    ('"a+"', '"b+"'),
    ('["a"]', '["b"]'),
    ("words: int = 3", "words: int = 4"),
    ("return SYSTEM", "return SYSTEM + SYSTEM"),
    ("from methods.blocks import item_block", "from methods.blocks import output_block as item_block"),
    ("What methods share", "What the methods share"),  # a prompt may be made of it
    # What may change what the method uses.
    ("        return [{", "        LISTED.append('b')\n        return [{"),
    ("        return [{", "        global SCALE\n        return [{"),
    ("        return [{", "        Words.label = 'b'\n        return [{"),
    ("        return [{", "        setattr(Base, 'opening', 1)\n        return [{"),
    ("        return [{", "        given = LISTED\n        return [{"),
    ("\n\ndef _ratio", "\n\nLISTED.append('b')\n\ndef _ratio"),
    ("\n\ndef _ratio", "\n\nfor one in LISTED: SYSTEM += one\n\ndef _ratio"),
    ("\n\ndef _ratio", "\n\n@register\ndef other(): ...\n\ndef _ratio"),
    ("\n\ndef _ratio", "\n\nclass Odd(Strange): ...\n\ndef _ratio"),
    ("\n\ndef _ratio", "\n\n_ = _cut.__dict__.update(a=1)\n\ndef _ratio"),
    # What cannot be followed.
    ("return a / (b or", "return eval('a') / (b or"),
    ("return a / (b or", "return vars()['a'] / (b or"),
    ("return PATTERN", "return never_heard_of or PATTERN"),
    ("import json\n", "import json\nfrom string import *\n"),
]


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hash:
    """The hash of a class of a plug-in file with this text. The file is not run: its texts may be no program."""

    def compute(text: str, name: str = "Words") -> str:
        path = tmp_path / "plugged.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location("plugged", path)
        assert spec is not None
        monkeypatch.setitem(sys.modules, "plugged", importlib.util.module_from_spec(spec))
        return sources.source_hash(type(name, (), {"__module__": "plugged"}))

    return compute


@pytest.mark.parametrize(("old", "new"), METRIC)
def test_a_changed_metric_leaves_the_method_beside_it(plugin: Hash, old: str, new: str) -> None:
    assert old in FILE
    assert plugin(FILE.replace(old, new)) == plugin(FILE)


@pytest.mark.parametrize(("old", "new"), METHOD)
def test_what_the_method_uses_is_part_of_it(plugin: Hash, old: str, new: str) -> None:
    assert old in FILE
    assert plugin(FILE.replace(old, new)) != plugin(FILE)


def test_of_a_file_that_reaches_what_it_does_not_name_all_counts(plugin: Hash) -> None:
    for odd in ("return eval('a') / (b or", "import sys; return sys.modules['plugged'].x / (b or"):
        text = FILE.replace("return a / (b or", odd)
        assert plugin(text) != plugin(text.replace('"share", "Sh."', '"share", "Share"'))


def test_a_class_that_the_file_does_not_show_is_the_whole_file(plugin: Hash) -> None:
    assert plugin(FILE, "Made") != plugin(FILE.replace('"share", "Sh."', '"share", "Share"'), "Made")


def test_a_file_of_the_user_that_a_plugin_imports_counts(
    tmp_path: Path, plugin: Hash, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    sources._is_users.cache_clear()
    text = FILE.replace("import json\n", "import json\nfrom my_words import SYSTEM as OPENING\n")
    text = text.replace("return SYSTEM", "return OPENING")
    helper = tmp_path / "my_words.py"
    helper.write_text("SYSTEM = 'a'\nMETRIC = 1\n")
    before = plugin(text)
    helper.write_text("SYSTEM = 'a'\nMETRIC = 2\n")
    assert plugin(text) == before
    helper.write_text("SYSTEM = 'b'\nMETRIC = 2\n")
    assert plugin(text) != before


# ---------------------------------------------------------------- shipped components


def test_no_shipped_component_counts_what_it_does_not_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RAG uses no line of DPL's, and the blocks that it does not show are not part of it."""
    for package in ("methods", "retrievers"):
        for file in (ROOT / package).glob("*.py"):
            (tmp_path / package).mkdir(exist_ok=True)
            (tmp_path / package / file.name).write_bytes(file.read_bytes())
    monkeypatch.syspath_prepend(tmp_path)

    def hashes() -> dict[str, str]:
        for name in [name for name in sys.modules if name.partition(".")[0] in ("methods", "retrievers")]:
            monkeypatch.delitem(sys.modules, name)
        importlib.invalidate_caches()
        kinds: list[registry.Kind] = ["method", "retriever"]
        return {
            name: sources.source_hash(registry.load(kind, name)) for kind in kinds for name in registry.BUILTIN[kind]
        }

    before = hashes()
    assert len(set(before.values())) == len(before)
    blocks, rag = tmp_path / "methods" / "blocks.py", tmp_path / "methods" / "rag.py"
    blocks.write_text(blocks.read_text() + "\n\ndef another() -> str:\n    return 'a'\n")
    rag.write_text(rag.read_text().replace('"""', '"""Changed words. ', 1))  # a docstring that no prompt is made of
    assert hashes() == before
    blocks.write_text(
        blocks.read_text().replace("def past_reviews_block(", "def past_reviews_block(*, added: int = 1, ", 1)
    )
    changed = {name for name, value in hashes().items() if value != before[name]}
    assert {"rag", "pag", "dpl"} <= changed and changed & {"nonperso", "recency", "bm25"} == set()
