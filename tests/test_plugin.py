"""`--plugin my.py`: a method, a retriever, a metric and a dataset from one file, and what is refused in such a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from bench import plugins, registry
from bench.errors import UserError
from bench.record import runs
from bench.score import score_arrays, scoring
from tests import fakes
from tests.embed.fakes import FakeEmbedder
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
    """The plug-in file, not loaded yet, and forgotten after the test."""
    monkeypatch.setattr(registry, "_from_files", {})
    monkeypatch.setattr(plugins, "_loaded", [])
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    path = tmp_path / "my_components.py"
    path.write_text(PLUGIN.replace("PLACE", str(tmp_path / "data")))
    yield path
    sys.modules.pop("my_components", None)


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


def forget() -> None:
    """As in a new process."""
    sys.modules.pop("my_components", None)
    registry._from_files.clear()
    plugins._loaded.clear()
    score_arrays._metric.cache_clear()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('label = "Echoes"', "label = 5", "label is 5, but a text as an attribute of the class is expected"),
        ('label = "Echoes"', "label = property(lambda self: 'x')", "label is <property object at"),
        ('label = "Echoes"', 'label = "a\\nb"', "label is 'a\\nb', but a text"),
        ("uses_retriever = True", "uses_retriever = 'no'", "uses_retriever is 'no', but true or false"),
        ("uses_embeddings = False\n    varies", "uses_embeddings = True\n    varies", "texts is None, but a method"),
        ("words: int = 3", "words: object = object()", "the option 'words' is <object object at"),
        ("words: int = 3", "words: float = float('inf')", "the option 'words' is inf, but a JSON value is expected"),
        (
            "words: int = 3",
            "words: list = field(default_factory=lambda: 1 / 0)",
            "'words': ZeroDivisionError: division",
        ),
        (
            "words: int = 3",
            "words: int = 3\n    def __post_init__(self): raise RuntimeError('boo')",
            "cannot be made: RuntimeError: boo",
        ),
        (
            "words: int = 3",
            "words: int = 3\n    def __post_init__(self): raise TypeError('boo')",
            "cannot be made: TypeError: boo",
        ),
        (
            "def rank(self, sample, k, ctx):\n        return",
            "rank = 3\n    def x(self, sample, k):\n        return",
            "",
        ),
        ('(Column("letters", "Let.", digits=1),)', '"letters"', "columns is 'letters', but a tuple of bench.types"),
        ('(Column("letters", "Let.", digits=1),)', "()", "columns is (), but a tuple of bench.types.Column"),
        (
            '(Column("letters", "Let.", digits=1),)',
            '(Column("a", "A"), Column("a", "B"))',
            "but a tuple of bench.types",
        ),
        ('(Column("letters", "Let.", digits=1),)', "(Column(5, 'A'),)", "but a tuple of bench.types.Column"),
        (
            'columns = (Column("letters", "Let.", digits=1),)',
            "columns = property(lambda self: 1 / 0)",
            "reading columns",
        ),
    ],
)
def test_a_broken_protocol_is_refused_before_an_engine_starts(
    file: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    old: str,
    new: str,
    says: str,
) -> None:
    monkeypatch.setattr(fakes.FakeGenerator, "plan", fakes.Plan())
    text = file.read_text().replace("import dataclass\n", "import dataclass, field\n")
    assert old in text
    file.write_text(text.replace(old, new, 1))
    world = World(tmp_path)
    words = ["--plugin", file, "--retriever", "oldest", "--metric", "rouge,letters"]
    assert world.run(*words, method="echoes") == 2
    err = capfd.readouterr().err
    assert says in err and len(err.splitlines()) == 1
    assert fakes.FakeGenerator.plan.started == 0
    assert not list(runs.find(world.out))


SCORE = 'return [{"letters": float(len(text))} for text in predictions]'
AGGREGATE = 'return {"letters": sum(row["letters"] for row in rows) / len(rows)}'
ROWS = '[{"letters": VALUE if "of u1" in text else 1.0} for text in references]'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            SCORE,
            f"return {ROWS.replace('VALUE', '1 / 0')}",
            "on sample Books/u1/r4: ZeroDivisionError: division by zero",
        ),
        (SCORE, f"return {ROWS.replace('VALUE', 'exit(0)')}", "on sample Books/u1/r4: SystemExit: 0"),
        (
            SCORE,
            f"return {ROWS.replace('VALUE', 'float(chr(110) + chr(97) + chr(110))')}",
            "on sample Books/u1/r4: ValueE",
        ),
        (
            SCORE,
            f"return {ROWS.replace('VALUE', 'text')}",
            "'letters' of its row is 'xylophonic secret of u1', not a finite number",
        ),
        (
            SCORE,
            f"return {ROWS.replace('VALUE', 'object()')}",
            "on sample Books/u1/r4: TypeError: Object of type object",
        ),
        (SCORE, "return [{'letters': 1.0} if i else {} for i, _ in enumerate(predictions)]", "only some rows have"),
        (SCORE, "return [1.0 for _ in predictions]", "on sample Books/u0/r4: TypeError: its row is float, not a dict"),
        (SCORE, "return []", "on sample Books/u0/r4 and 5 more at once: TypeError: score() gave 0 rows for 6 pairs"),
        (
            SCORE,
            "return None",
            "on sample Books/u0/r4 and 5 more at once: TypeError: score() gave NoneType for 6 pairs",
        ),
        (
            SCORE,
            "return [1 / (len(predictions) == 1)]",
            "on sample Books/u1/r4 and 1 more at once: ZeroDivisionError: division by zero",
        ),
        (AGGREGATE, "return None", "at aggregate(), category Books: TypeError: it gave NoneType, not a dict"),
        (AGGREGATE, "raise KeyError('q')", "at aggregate(), category Books: KeyError: 'q'"),
        (AGGREGATE, "return {'letters': float('nan')}", "'letters' is nan, not a finite number"),
        (AGGREGATE, "return {'letters': 'x'}", "'letters' is 'x', not a finite number"),
        (AGGREGATE, "return {}", "it gave no 'letters'"),
        (AGGREGATE, "return {'other': 1.0}", "it gave 'other', which is none of its columns: letters"),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_a_metric_that_fails_leaves_the_run_unscored_and_its_texts_kept(
    file: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    old: str,
    new: str,
    says: str,
    apart: bool,
) -> None:
    if (apart and not any(part in new for part in ("1 / 0", "exit(0)", "return None"))) or (apart and old == AGGREGATE):
        return  # once a way in which rows come from another process
    monkeypatch.setattr(fakes.FakeGenerator, "plan", plan := fakes.Plan())
    whole = file.read_text()
    metric = whole[: whole.index("@dataclass")] + whole[whole.index("@dataclass(frozen=True)\nclass Letters") :]
    assert old in metric
    file.write_text(metric.replace(old, new))
    if apart:
        file.write_text(file.read_text().replace("    columns =", "    per_pair = True\n    columns ="))
        monkeypatch.setattr(scoring, "_workers", lambda samples: 2)
    world = World(tmp_path)
    words = ["--plugin", file, "--metric", "rouge,letters"]
    assert world.run(*words, method="rag") == 1
    err = capfd.readouterr().err
    kept = world.folder().path / plugins.ERROR
    (line,) = [line for line in err.splitlines() if line.startswith("bench:")]
    assert line == err.splitlines()[-1]
    assert line.startswith(f"bench: metric 'letters' of {file} failed ") and says in line
    assert str(kept) in line and "Traceback" not in err
    assert "Traceback" in kept.read_text()
    assert not world.folder().done
    assert len(world.rows()) == 6 == len(plan.requests)

    forget()
    file.write_text(metric)
    assert world.run(*words, method="rag") == 0
    assert (len(plan.requests), kept.exists()) == (6, False)
    forget()
    file.write_text(metric.replace(old, new))
    before = (world.folder().path / runs.SUMMARY).read_bytes()
    assert bench("score", world.out, "--plugin", file) == 1
    assert says in capfd.readouterr().err
    assert (world.folder().path / runs.SUMMARY).read_bytes() == before


@pytest.mark.parametrize(
    ("new", "says"),
    [
        ("return None", "TypeError: it gave None, not a dict of texts"),
        ("raise OSError('no disk')", "OSError: no disk"),
        ("return {'letters': 1}", "TypeError: it gave {'letters': 1}, not a dict of texts"),
    ],
)
def test_a_metric_without_versions_fails_before_anything_is_generated(
    file: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    new: str,
    says: str,
) -> None:
    monkeypatch.setattr(fakes.FakeGenerator, "plan", plan := fakes.Plan())
    file.write_text(file.read_text().replace('return {"letters": "1"}', new))
    assert World(tmp_path).run("--plugin", file, "--metric", "letters", method="nonperso") == 1
    err = capfd.readouterr().err
    assert err == f"bench: metric 'letters' of {file} failed at versions(): {says}\n"
    assert plan.requests == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("return sample.history[::-1][:k]", "raise ValueError('no way')", "ValueError: no way"),
        ("return sample.history[::-1][:k]", "exit(0)", "SystemExit: 0"),
        ("return sample.history[::-1][:k]", "return None", "TypeError: rank() gave NoneType, not a tuple of reviews"),
        ("return sample.history[::-1][:k]", "return ('a', 'b')", "TypeError: rank() gave str for a review"),
        (
            "return sample.history[::-1][:k]",
            "return [__import__('dataclasses').replace(sample.history[0], review_id='x')]",
            "ValueError: rank() gave x, which is not in the sample's history",
        ),
    ],
)
def test_a_retriever_that_fails_on_a_sample_fails_that_sample(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], old: str, new: str, says: str
) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, f"if sample.user_id == 'u1':\n            {new}\n        {old}"))
    world = World(tmp_path)
    assert world.run("--plugin", file, "--retriever", "oldest", "-k", "2", method="echoes") == 1
    assert "2 samples failed" in capfd.readouterr().err.splitlines()[-1]
    rows = {row["sample_id"]: row for row in world.rows()}
    assert {name for name, row in rows.items() if row["error"]} == {"Books/u1/r4", "Films/u1/r4"}
    row = rows["Books/u1/r4"]
    assert row["error"] == f"retriever 'oldest' of {file} failed on sample Books/u1/r4: {says}"
    assert "my_components.py" in row["traceback"] or "prefetch.py" in row["traceback"]
    assert (row["text"], rows["Books/u0/r4"]["retrieved"]) == ("", ["Books/u0/r0", "Books/u0/r1"])
    assert world.folder().read(runs.SUMMARY)["failed"] == 2


@pytest.mark.parametrize("new", ["[1 / (one.user_id != 'u1') for one in samples] and ()", "[5 for one in samples]"])
def test_a_retriever_whose_texts_fails(file: Path, tmp_path: Path, new: str) -> None:
    file.write_text(file.read_text().replace("return ()", f"return {new}"))
    world = World(tmp_path)
    assert world.run("--plugin", file, "--retriever", "oldest", method="echoes") == 1
    failed = [row["sample_id"] for row in world.rows() if row["error"]]
    assert failed == (["Books/u1/r4", "Films/u1/r4"] if "1 /" in new else [row["sample_id"] for row in world.rows()])


def test_a_method_whose_texts_fails_or_that_exits(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("run.cells", "context.prefetch"):
        monkeypatch.setattr(import_module(f"bench.{module}"), "create_encoder", lambda config: FakeEmbedder())
    text = file.read_text().replace("uses_embeddings = False\n    varies", "uses_embeddings = True\n    varies")
    given = (
        "    def texts(self, sample, ctx):\n        return [1 / (sample.user_id != 'u1')] and ()\n\n    async def write"
    )
    text = text.replace("    async def write", given, 1)
    file.write_text(text.replace("past =", "sample.user_id == 'u2' and exit(0)\n        past ="))
    world = World(tmp_path)
    assert world.run("--plugin", file, method="echoes") == 1
    errors = {row["sample_id"]: row["error"] for row in world.rows() if row["error"]}
    assert {name[6:8] for name in errors} == {"u1", "u2"}
    assert errors["Books/u1/r4"].endswith("failed on sample Books/u1/r4: ZeroDivisionError: division by zero")
    assert errors["Books/u2/r4"] == "SystemExit: 0"
    monkeypatch.setattr("bench.context.prefetch.create_encoder", lambda config: FakeEmbedder())
    assert bench("verify", world.out, "--plugin", file) == 0


@pytest.mark.parametrize(
    ("new", "says"),
    [("return None", "TypeError: it gave NoneType, not a path"), ("raise ValueError('x')", "ValueError: x")],
)
def test_a_dataset_whose_folder_fails(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], new: str, says: str
) -> None:
    file.write_text(file.read_text().replace("return Path(self.place)", new))
    assert World(tmp_path).run("--plugin", file, "--data", "toys") == 1
    assert capfd.readouterr().err == f"bench: data 'toys' of {file} failed at folder(): {says}\n"


def test_a_changed_plug_in_is_a_changed_run(file: Path, tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.run("--plugin", file, method="echoes") == 0
    file.write_text(file.read_text().replace('"Write."', '"Write it."'))
    sys.modules.pop("my_components")
    registry._from_files.clear()
    plugins._loaded.clear()
    assert world.run("--plugin", file, method="echoes") == 0
    assert len(runs.find(world.out)) == 2


def test_a_table_without_the_plug_in_still_shows_its_runs(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    world = World(tmp_path)
    assert world.run("--plugin", file, "--metric", "rouge,letters", method="echoes") == 0
    sys.modules.pop("my_components")
    registry._from_files.clear()
    capfd.readouterr()
    assert bench("table", world.out) == 0
    assert "Echoes" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("my_components.txt", "", "is no Python file"),
        ("absent.py", None, "is no Python file"),
        ("my_nothing.py", "x = 1\n", "holds no component: a dataclass with one of write (method), rank (retriever)"),
        ("my_broken.py", "import nothing_of_that_name\n", "cannot be imported: ModuleNotFoundError: No module named"),
        ("json.py", "", "a module 'json' is there already; rename the file"),
        ("my.dotted.py", "x = 1\n", "is no Python file"),
        ("my_exit.py", "raise SystemExit(0)\n", "cannot be imported: SystemExit: 0"),
        ("my_syntax.py", "def (:\n", "cannot be imported: SyntaxError"),
        ("my_bytes.py", "x = '\0'\n", "cannot be imported: "),
    ],
)
def test_a_file_that_is_not_a_plug_in_is_named(file: Path, name: str, text: str | None, message: str) -> None:
    path = file.with_name(name)
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError) as error:
        plugins.load([str(path)])
    assert message in str(error.value)


@pytest.mark.parametrize(("cls", "kind"), [("Rag", "method"), ("BM25", "retriever"), ("Bundled", "data")])
def test_a_built_in_name_is_refused(file: Path, cls: str, kind: str) -> None:
    old = {"method": "Echoes", "retriever": "Oldest", "data": "Toys"}[kind]
    file.write_text(file.read_text().replace(f"class {old}", f"class {cls}"))
    with pytest.raises(UserError, match=f"class {cls} would be {kind} '{cls.lower()}', which is there already; rename"):
        plugins.load([str(file)])
    assert registry.load("method", "rag").__module__ == "methods.rag"


def test_two_files_cannot_add_the_same_name(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "my_others.py"
    other.write_text(file.read_text())
    plugins.load([str(file)])
    with pytest.raises(
        UserError, match=r"my_others\.py: class Echoes would be method 'echoes', which is there already"
    ):
        plugins.load([str(other)])
    sys.modules.pop("my_others", None)


def test_a_dataset_whose_folder_is_missing(file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
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
    sys.modules.pop("my_components")
    registry._from_files.clear()
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
