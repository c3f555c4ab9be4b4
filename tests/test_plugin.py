"""`--plugin my.py`: a method, a retriever, a metric and a dataset from one file, and what such a file may be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import registry, runs
from bench.errors import UserError
from tests import fakes
from tests.fakes import World, bench

PLUGIN = '''
"""One of each kind."""
from dataclasses import dataclass
from pathlib import Path

from bench.types import Column, Prompt


@dataclass(frozen=True)
class Echoes:
    label = "Echoes"
    uses_retriever = True
    uses_embeddings = False
    varies = False
    words: int = 3

    async def write(self, sample, ctx):
        past = ctx.retrieve(sample)
        return await ctx.generate(Prompt("Write.", " ".join(review.text for review in past)), stage="review")


@dataclass(frozen=True)
class Oldest:
    uses_embeddings = False

    def texts(self, samples):
        return ()

    def rank(self, sample, k, ctx):
        return sample.history[::-1][:k]


@dataclass(frozen=True)
class Letters:
    columns = (Column("letters", "Let.", digits=1),)

    def score(self, predictions, references):
        return [{"letters": float(len(text))} for text in predictions]

    def aggregate(self, rows):
        return {"letters": sum(row["letters"] for row in rows) / len(rows)}

    def versions(self):
        return {"letters": "1"}


@dataclass(frozen=True)
class Toys:
    place: str = "PLACE"

    def folder(self):
        return Path(self.place)


def helper():
    return None
'''


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The plug-in, which nothing knows yet and nothing remembers afterwards."""
    monkeypatch.setattr(registry, "_plugged", {})
    monkeypatch.setattr(registry, "_files", [])
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    path = tmp_path / "my_plugs.py"
    path.write_text(PLUGIN.replace("PLACE", str(tmp_path / "data")))
    yield path
    sys.modules.pop("my_plugs", None)


def test_one_file_brings_a_method_a_retriever_a_metric_and_data(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    world = World(tmp_path)
    words = ["--plugin", file, "--data", "toys", "--retriever", "oldest", "--metric", "rouge,letters"]
    assert world.run(*words, method="echoes") == 0
    out = capfd.readouterr().out
    assert "Echoes" in out and "Let." in out
    rows = list(world.folder().rows(runs.SAMPLES))
    assert rows[0]["retrieved"] == ["Books/u0/r0", "Books/u0/r1"]
    assert world.folder().read(runs.CONFIG)["config"]["data"] == "toys"
    for command in (["score", world.out], ["table", world.out, "--by", "history:2"], ["show", world.folder().path]):
        assert bench(*command, "--plugin", file) == 0
    capfd.readouterr()
    for kind, name in (("methods", "echoes"), ("retrievers", "oldest"), ("metrics", "letters"), ("data", "toys")):
        assert bench("ls", kind, "--plugin", file) == 0
        assert any(line.split()[:1] == [name] for line in capfd.readouterr().out.splitlines())
    assert registry.options_of("method", "echoes") == {"words": 3}


def test_a_changed_plug_in_is_a_changed_run(file: Path, tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.run("--plugin", file, method="echoes") == 0
    file.write_text(file.read_text().replace('"Write."', '"Write it."'))
    sys.modules.pop("my_plugs")
    registry._plugged.clear()
    registry._files.clear()
    assert world.run("--plugin", file, method="echoes") == 0
    assert len(runs.find(world.out)) == 2


def test_a_table_without_the_plug_in_still_shows_its_runs(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    world = World(tmp_path)
    assert world.run("--plugin", file, "--metric", "rouge,letters", method="echoes") == 0
    sys.modules.pop("my_plugs")
    registry._plugged.clear()
    capfd.readouterr()
    assert bench("table", world.out) == 0
    assert "Echoes" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("my_plugs.txt", "", "is no Python file"),
        ("absent.py", None, "is no Python file"),
        ("my_nothing.py", "x = 1\n", "holds no plug: a dataclass with one of write (method), rank (retriever)"),
        ("my_broken.py", "import nothing_of_that_name\n", "cannot be imported: ModuleNotFoundError: No module named"),
        ("json.py", "", "a module 'json' is there already; rename the file"),
        ("my.dotted.py", "x = 1\n", "is no Python file"),
        ("my_exit.py", "raise SystemExit(0)\n", "cannot be imported: SystemExit: 0"),
        ("my_syntax.py", "def (:\n", "cannot be imported: SyntaxError"),
        ("my_bytes.py", "x = '\0'\n", "cannot be imported: "),
    ],
)
def test_what_is_no_plug_in(file: Path, name: str, text: str | None, message: str) -> None:
    path = file.with_name(name)
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError) as error:
        registry.plug([str(path)])
    assert message in str(error.value)


@pytest.mark.parametrize(("cls", "kind"), [("Rag", "method"), ("BM25", "retriever"), ("Bundled", "data")])
def test_a_built_in_name_is_refused(file: Path, cls: str, kind: str) -> None:
    old = {"method": "Echoes", "retriever": "Oldest", "data": "Toys"}[kind]
    file.write_text(file.read_text().replace(f"class {old}", f"class {cls}"))
    with pytest.raises(UserError, match=f"class {cls} would be {kind} '{cls.lower()}', which is there already; rename"):
        registry.plug([str(file)])
    assert registry.load("method", "rag").__module__ == "methods.rag"


def test_a_name_of_two_files_is_refused(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "my_others.py"
    other.write_text(file.read_text())
    registry.plug([str(file)])
    with pytest.raises(
        UserError, match=r"my_others\.py: class Echoes would be method 'echoes', which is there already"
    ):
        registry.plug([str(other)])
    sys.modules.pop("my_others", None)


def test_data_of_a_plug_in_that_is_not_there(file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("run", "--plugin", file, "--data", "toys", "--out", tmp_path / "runs") == 2
    err = capfd.readouterr().err
    assert err == f"bench: data 'toys' of a plug-in: its folder() gave {tmp_path / 'data'}, which is not there\n"
    assert bench("run", "--plugin", file, "--data", "tosy") == 2
    assert "no data 'tosy'; did you mean 'toys'?" in capfd.readouterr().err


def test_a_run_of_a_plug_in_that_is_not_named_says_so(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    world = World(tmp_path)
    assert world.run("--plugin", file, method="echoes") == 0
    sys.modules.pop("my_plugs")
    registry._plugged.clear()
    capfd.readouterr()
    for command in ("score", "verify"):
        bench(command, world.out)
        said = "".join(capfd.readouterr())
        assert "no method 'echoes'" in said and "one of a plug-in is known with --plugin FILE" in said


def test_a_retriever_that_gives_too_many_fails_its_samples(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file.write_text(file.read_text().replace("[::-1][:k]", "[::-1]"))
    world = World(tmp_path)
    assert world.run("--plugin", file, "--retriever", "oldest", method="rag,pag") == 1
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.startswith("12 samples failed; 12 of them: retriever 'oldest' gave 4 reviews where K = 2; `bench show ")
    assert f"{world.out}/" in line
