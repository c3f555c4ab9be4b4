"""Names to classes: built-in ones, entry points, and what can be wrong with an entry point."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from bench import registry
from bench.commands import listing
from bench.config import RunConfig, load_profile, variant
from bench.data import corpus
from bench.data.synthetic import world
from bench.errors import UserError
from bench.suite import grid
from methods.rag import Rag
from tests.fakes import profile_file
from tests.paths import ROOT

PLUGIN = '''
"""One line on the plug-in.

More."""
from __future__ import annotations
from dataclasses import dataclass, field

@dataclass(frozen=True)
class Mine:
    label = "Mine"
    uses_retriever = True
    uses_embeddings = False

    n: int = 3
    share: float = 0.5
    names: tuple[str, ...] = ("a",)
    table: dict[str, int] = field(default_factory=lambda: {"x": 1})
    made: int = field(default=0, init=False)

    async def write(self, sample, ctx):
        return ""

    def __post_init__(self):
        if self.n == 13:
            raise ValueError("13 is not for me")

@dataclass(frozen=True)
class Half:
    label = "Half"
    uses_retriever = False

@dataclass
class Needy:
    n: int

class Plain:
    label = "Plain"
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "my_plugin.py").write_text(PLUGIN)
    (tmp_path / "my_broken.py").write_text("import nothing_of_that_name")
    monkeypatch.syspath_prepend(tmp_path)
    targets = {
        "mine": "my_plugin:Mine",
        "needy": "my_plugin:Needy",
        "plain": "my_plugin:Plain",
        "half": "my_plugin:Half",
        "absent": "my_plugin:Absent",
        "broken": "my_broken:Mine",
        "gone": "no_such_package:Mine",
        "rag": "my_plugin:Mine",
    }

    def entry_points(*, group: str) -> list[metadata.EntryPoint]:
        if group != "dep_bench.method":
            return []
        return [metadata.EntryPoint(name, target, group) for name, target in targets.items()]

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    monkeypatch.delitem(sys.modules, "my_plugin", raising=False)
    registry.installed.cache_clear()
    yield
    registry.installed.cache_clear()


def test_every_built_in_name_loads() -> None:
    for kind, known in registry.BUILTIN.items():
        for name, target in known.items():
            assert registry.load(kind, name).__name__ == target.partition(":")[2]


@pytest.mark.usefixtures("plugin")
def test_an_entry_point_is_known_by_its_name_and_takes_options() -> None:
    made = registry.create("method", "mine", {"n": "7", "share": 1})
    assert (made.n, made.share, made.names, made.label) == (7, 1.0, ("a",), "Mine")
    assert registry.options_of("method", "mine") == {"n": 3, "share": 0.5, "names": ("a",), "table": {"x": 1}}
    assert set(registry.names("method")) == {
        "nonperso", "rag", "mine", "needy", "plain", "half", "absent", "broken", "gone", *registry.BUILTIN["method"]
    }  # fmt: skip
    assert "mine" not in registry.names("metric")


@pytest.mark.usefixtures("plugin")
def test_a_built_in_name_cannot_be_taken_over() -> None:
    assert registry.load("method", "rag") is Rag


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mime", {}, r"^no method 'mime'; did you mean 'mine'\?"),
        ("mine", {"m": 1}, r"^no option of method 'mine' 'm'"),
        ("mine", {"made": 1}, r"^no option of method 'mine' 'made'"),
        ("mine", {"n": "many"}, r"^mine.n='many': .*integer"),
        ("mine", {"n": 1.5}, r"^mine.n=1.5: .*integer"),
        ("mine", {"n": None}, r"^mine.n=None: .*integer"),
        ("mine", {"share": "nan"}, r"^mine.share='nan': a finite number"),
        ("mine", {"share": float("inf")}, r"^mine.share=inf: a finite number"),
        ("mine", {"names": 3}, r"^mine.names=3: "),
        ("broken", {}, r"^method 'broken' \(my_broken:Mine\) cannot be loaded: No module named 'nothing_of_that_name'"),
        ("gone", {}, r"^method 'gone' \(no_such_package:Mine\) cannot be loaded: .*see `bench doctor`"),
        ("absent", {}, r"^method 'absent' \(my_plugin:Absent\) cannot be loaded: .*no attribute 'Absent'"),
        ("needy", {}, r"^method 'needy' \(my_plugin:Needy\): its option 'n' needs a default"),
        ("plain", {}, r"^method 'plain' \(my_plugin:Plain\) is no dataclass"),
        ("half", {}, r"^method 'half' \(my_plugin:Half\) lacks uses_embeddings, write; see bench/protocols.py$"),
        ("mine", {"n": 13}, r"^method 'mine': 13 is not for me$"),
    ],
)
def test_a_mistake_in_a_plug_in_is_one_line(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        registry.create("method", name, options)
    assert "\n" not in str(error.value)


def test_no_plugin_can_take_the_name_of_a_shipped_dataset() -> None:
    assert registry.SHIPPED["data"] == (*corpus.SHIPPED, *world.named())


@pytest.mark.usefixtures("plugin")
def test_lists_and_all_do_not_import_installed_packages() -> None:
    rows = {name: rest for name, *rest in listing.rows("methods", ROOT)}
    assert rows["mine"] == ["installed: my_plugin:Mine, imported when it is asked for by name", ""]
    assert rows["rag"][1] == "order='rank'"
    assert grid.named("all", "method") == [one for one in registry.BUILTIN["method"] if one != "oracle"]
    assert not {"my_plugin", "my_broken"} & set(sys.modules)
    assert grid.named("mine", "method") == ["mine"]
    registry.create("method", "mine")
    assert "my_plugin" in sys.modules


@pytest.mark.usefixtures("plugin")
def test_the_variant_of_a_run_names_the_options_that_differ(tmp_path: Path) -> None:
    profile = load_profile(str(profile_file(tmp_path)))
    options = registry.options_of("method", "mine")
    for change, says in (({}, ""), ({"n": 4}, "mine.n=4"), ({"names": ("b",)}, "mine.names=['b']")):
        config = RunConfig(
            method="mine", method_options={**options, **change}, k=0, data="d", data_fingerprint="f", profile=profile
        )
        again = RunConfig.model_validate_json(config.model_dump_json())
        assert variant(again) == says


def test_options_of_the_built_in_retrievers_are_checked() -> None:
    for options, message in (({"b": 2}, "bm25.b=2"), ({"k1": 0}, "bm25.k1=0"), ({"lowercase": "maybe"}, "boolean")):
        with pytest.raises(UserError, match=message):
            registry.create("retriever", "bm25", options)
