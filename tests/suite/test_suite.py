"""Suites: what a file may hold, what becomes a cell, and `bench grid` where some cells cannot run."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import registry
from bench.config import RunConfig
from bench.errors import UserError
from bench.record import runs
from bench.suite import suite
from bench.suite.suite import Given
from results.tables import which_runs
from tests import fakes
from tests.fakes import FakeGenerator, Plan, World, bench

SUITE = """\
title = "A toy"
metrics = ["rouge"]
[[cells]]
methods = ["nonperso", "rag"]
ks = [0, 1]
[[cells]]
methods = ["rag", "magic"]
retrievers = ["recency", "bm25"]
set = { "rag.order" = ["rank", "chronological"], temperature = 0.5 }
"""


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    monkeypatch.setattr(FakeGenerator, "plan", Plan())
    return FakeGenerator.plan


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "toy.toml"
    path.write_text(text)
    return path


def expanded(path: Path, tmp_path: Path, **given: object) -> tuple[list[str], list[suite.Failure]]:
    corpus = fakes.corpus(tmp_path / "data")
    configs, failures = suite.expand(suite.load(str(path)), lambda name: corpus, Given(profile="tiny", **given))  # type: ignore[arg-type]
    return [" ".join(map(str, _said(config))) for config in configs], failures


def _said(config: RunConfig) -> list[object]:
    about = [f"{name}={getattr(config, name)}" for name in ("retriever", "k", "seed")]
    return [config.method, *about, *config.method_options.values()]


def test_an_option_goes_to_the_cells_of_its_owner(tmp_path: Path) -> None:
    block = '[[cells]]\nmethods = ["nonperso", "rag", "pag"]\nretrievers = ["recency", "bm25"]\n'
    chosen = 'set = { "bm25.fields" = "full", "rag.order" = "chronological", temperature = 0.5 }\n'
    corpus = fakes.corpus(tmp_path / "data")
    path = written(tmp_path, f'title = "t"\n{block}{chosen}')
    configs, failures = suite.expand(suite.load(str(path)), lambda name: corpus, Given(profile="tiny"))
    assert failures == []
    assert [(one.method, one.retriever, one.retriever_options.get("fields")) for one in configs] == [
        ("nonperso", None, None),
        ("rag", "recency", None),
        ("rag", "bm25", "full"),
        ("pag", "recency", None),
        ("pag", "bm25", "full"),
    ]
    assert {one.method_options.get("order") for one in configs if one.method == "rag"} == {"chronological"}
    assert {one.profile.temperature for one in configs} == {0.5}


@pytest.mark.parametrize("option", ["contriever.batch_size", "dep.text", "bm25.feilds", "rag.oder"])
def test_an_option_that_fits_no_cell_of_the_block_is_refused(tmp_path: Path, option: str) -> None:
    block = '[[cells]]\nmethods = ["nonperso", "rag"]\nretrievers = ["recency", "bm25"]\n'
    path = written(tmp_path, f'title = "t"\n{block}set = {{ "{option}" = 1 }}\n')
    _, failures = expanded(path, tmp_path)
    assert [option.partition(".")[2] in one.reason for one in failures if one.what.startswith("rag")] == [True]


def test_every_shipped_suite_is_whole(tmp_path: Path) -> None:
    assert list(suite.suites()) == [
        "ablations", "assay", "k-sweep", "retrievers", "smoke", "statistics", "swap", "table1",
        "uniqueness",
    ]  # fmt: skip
    corpus = fakes.corpus(tmp_path / "data")
    sizes = {}
    for name in suite.suites():
        loaded = suite.load(name)
        configs, failures = suite.expand(loaded, lambda name: corpus, Given())
        assert failures == []
        sizes[name] = len(configs)
        assert len(suite.keys(loaded)) <= max(1, len(configs))
    assert sizes == {
        "ablations": 10, "assay": 291, "k-sweep": 18, "retrievers": 4, "smoke": 6, "statistics": 0, "swap": 30,
        "table1": 12, "uniqueness": 3,
    }  # fmt: skip


def test_blocks_are_products_and_equal_cells_stand_once(tmp_path: Path) -> None:
    cells, failures = expanded(written(tmp_path, SUITE), tmp_path)
    assert cells == [
        "nonperso retriever=None k=0 seed=0",
        "rag retriever=recency k=0 seed=0 rank",
        "rag retriever=recency k=1 seed=0 rank",
        "rag retriever=recency k=4 seed=0 rank",
        "rag retriever=bm25 k=4 seed=0 rank",
        "rag retriever=recency k=4 seed=0 chronological",
        "rag retriever=bm25 k=4 seed=0 chronological",
    ]
    (first, second) = failures
    assert first.what == "magic rag.order=rank temperature=0.5 (tiny)"
    assert first.reason.startswith("no method 'magic'")
    assert "chronological" in second.what


def test_the_command_line_goes_before_the_suite(tmp_path: Path) -> None:
    text = 'title = "t"\n[[cells]]\nmethods = ["nonperso", "rag"]\n'
    cells, failures = expanded(
        written(tmp_path, text), tmp_path, seeds=(3, 4), set_values={"rag.order": "chronological", "bm25.k1": 2}
    )
    assert cells == [
        "nonperso retriever=None k=0 seed=3",
        "nonperso retriever=None k=0 seed=4",
        "rag retriever=recency k=4 seed=3 chronological",
        "rag retriever=recency k=4 seed=4 chronological",
    ]
    assert failures == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = ", "toy.toml: "),
        ('titel = "t"', "toy.toml, titel: no such key; did you mean 'title'?"),
        ("limit = 3", "toy.toml, title: Field required"),
        ('title = "t"', "toy.toml has no cells; add a line [[cells]] and below it methods = "),
        ('title = "t"\nmethods = ["rag"]', "toy.toml, methods: it belongs below a line [[cells]]"),
        ('title = "t"\ncolour = 1', "toy.toml, colour = 1: Extra inputs are not permitted"),
        ('title = "t"\n[[cells]]\nmethod = ["rag"]', "toy.toml, cells.0.method: no such key; did you mean 'methods'?"),
        ('title = "t"\n[[cells]]\nks = [1]', "toy.toml, cells.0.methods: Field required"),
        ('title = "t"\n[[cells]]\nmethods = []', "toy.toml, cells.0.methods = []: Tuple should have at least 1 item"),
        ('title = "t"\ndata = "a\\u0000b"', r"toy.toml, data = 'a\x00b': "),
        (
            'title = "t"\n[[cells]]\nmethods = ["rag"]\nks = [-1]',
            "toy.toml, cells.0.ks.0 = -1: Input should be greater",
        ),
        ('title = "t"\n[[cells]]\nmethods = ["rag"]\nretrievers = []', "toy.toml, cells.0.retrievers = []: "),
        (
            'title = "t"\n[[cells]]\nmethods = ["rag"]\nset = { "rag.order" = [] }',
            "toy.toml, cells.0.set: rag.order has an empty list, which leaves no cell",
        ),
        ('title = "t"\nlimit = 0', "toy.toml, limit = 0: Input should be greater"),
        ('name = "x"\ntitle = "t"', "toy.toml: "),
    ],
)
def test_a_mistake_in_a_suite_names_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        suite.load(str(written(tmp_path, text)))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_suite_is_named() -> None:
    with pytest.raises(UserError, match="no suite 'tabel1'; did you mean 'table1'"):
        suite.load("tabel1")
    with pytest.raises(UserError, match=r"^suite file nosuch\.toml does not exist; check the path"):
        suite.load("nosuch.toml")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("pag", "magic"), ": no method 'magic'"),
        (("rag.order", "rag.ordre"), "no option of method 'rag' 'ordre'; did you mean 'order'"),
        (('"bm25"', '"bm52"'), "no retriever 'bm52'; did you mean 'bm25'"),
    ],
)
def test_a_mistake_in_a_cell_ends_the_command_before_anything_runs(
    tmp_path: Path, plan: Plan, capfd: pytest.CaptureFixture[str], change: tuple[str, str], says: str
) -> None:
    world = World(tmp_path)
    path = written(tmp_path, SUITE.replace('["rag", "magic"]', '["rag", "pag"]').replace(*change))
    for more in ([], ["--dry-run"]):
        assert bench(*words(world, path, *more)) == 2
        out, err = capfd.readouterr()
        assert (out, len(err.splitlines())) == ("", 1)
        assert err.startswith("bench: suite '") and says in err
    assert bench(*words(world, path, "--profile", "nofile.toml")) == 2
    assert "profile file nofile.toml does not exist" in capfd.readouterr().err
    assert (plan.started, world.folders()) == (0, {})


def words(world: World, path: Path, *more: object) -> list[object]:
    given = ["--data", world.data, "--profile", world.profile, "--generator", "fake", "--out", world.out]
    return ["grid", path, *given, *more]


def test_grid_runs_what_can_run_and_lists_the_rest(
    tmp_path: Path, plan: Plan, capfd: pytest.CaptureFixture[str]
) -> None:
    world = World(tmp_path)
    path = written(tmp_path, SUITE.replace('["rag", "magic"]', '["rag"]'))
    path.write_text(path.read_text().replace('"bm25"', '"contriever"'))  # whose model is not here
    assert bench(*words(world, path)) == 1
    out, err = capfd.readouterr()
    assert "Non-Perso" in out and "RAG · " in out
    assert err.count("not run: ") == 2
    assert "not run: data-rag-contriever-k2-seed0: no model 'none'" in err
    assert len(runs.find(world.out)) == 5
    assert plan.started == 2  # temperature 0.5 is another engine profile, and each starts once

    asked = len(plan.requests)
    path.write_text(SUITE.partition('[[cells]]\nmethods = ["rag"')[0])
    assert bench(*words(world, path)) == 0
    assert len(plan.requests) == asked  # all of it was finished


WORLDS = """\
title = "Several datasets"
limit = 4
[quick]
data = ["{first}"]
seeds = [7]
limit = 2
set = {{ temperature = 0.5 }}
[[cells]]
data = ["{first}", "{second}"]
methods = ["nonperso", "rag"]
histories = ["own", "random"]
seeds = [0, 1]
[[cells]]
quick = false
data = ["{first}"]
methods = ["pag"]
[[claims]]
says = "past reviews help"
data = ["{first}", "{second}"]
better = {{ method = "rag" }}
worse = {{ method = "nonperso" }}
value = "rouge1"
[[claims]]
says = "nothing is gained from others"
data = ["{second}"]
better = {{ method = "rag", history = "random" }}
worse = {{ method = "nonperso" }}
value = "rouge1"
at_most = 0.9
"""


def test_a_suite_of_several_datasets_runs_each_and_prints_its_claims(
    tmp_path: Path, plan: Plan, capfd: pytest.CaptureFixture[str]
) -> None:
    world = World(tmp_path)
    second = fakes.dataset(tmp_path / "second")
    path = written(tmp_path, WORLDS.format(first=world.data, second=second))
    given = ["grid", path, "--profile", world.profile, "--generator", "fake", "--out", world.out]
    assert bench(*given) == 0
    out = capfd.readouterr().out
    # Non-Perso's and RAG's with each history and seed on both, PAG on the first.
    assert len(runs.find(world.out)) == 2 * 2 * 2 * 2 + 1
    assert out.count("past reviews help") == 2 and out.count("nothing is gained from others") == 1
    assert "3 claims hold" in out and "not run" not in out
    assert bench("table", path, world.out) == 0
    assert "past reviews help" in capfd.readouterr().out
    asked = len(plan.requests)
    assert bench(*given) == 0
    assert len(plan.requests) == asked


def test_a_claim_about_an_unknown_method_is_one_line_before_anything_runs(
    tmp_path: Path, plan: Plan, capfd: pytest.CaptureFixture[str]
) -> None:
    world = World(tmp_path)
    text = WORLDS.format(first=world.data, second=world.data).replace(
        'better = { method = "rag" }', 'better = { method = "rga" }'
    )
    given = ["--profile", world.profile, "--generator", "fake", "--out", world.out]
    assert bench("grid", written(tmp_path, text), *given) == 2
    assert "no method 'rga'; did you mean 'rag'?" in capfd.readouterr().err
    assert plan.started == 0


def test_the_quick_part_is_what_it_says(tmp_path: Path) -> None:
    path = written(tmp_path, WORLDS.format(first="mixed", second="plain"))
    chosen = suite.load(str(path)).quickened()
    corpus = fakes.corpus(tmp_path / "data")
    configs, failures = suite.expand(chosen, lambda name: corpus, Given(profile="tiny"))
    assert failures == []
    assert {(one.method, one.data, one.seed, one.limit, one.history, one.profile.temperature) for one in configs} == {
        (method, "mixed", 7, 2, history, 0.5) for method in ("nonperso", "rag") for history in ("own", "random")
    }
    assert [(one.says, one.data) for one in chosen.claims] == [("past reviews help", ("mixed",))]
    with pytest.raises(UserError, match=r"suite 'toy' has no \[quick\] part; run it without --quick"):
        chosen.quickened()


def test_a_group_that_fails_is_tried_cell_by_cell(
    tmp_path: Path, plan: Plan, capfd: pytest.CaptureFixture[str]
) -> None:
    world = World(tmp_path)
    plan.die_after = 8
    path = written(tmp_path, 'title = "t"\n[[cells]]\nmethods = ["nonperso", "rag"]\n')
    assert bench(*words(world, path)) == 1
    err = capfd.readouterr().err
    assert "the fake engine died; trying its 2 cells one by one" in err
    assert err.count("not run: ") in (1, 2)
    plan.die_after = None
    assert bench(*words(world, path)) == 0
    assert len(world.folders()) == 2


def test_dry_run_starts_nothing(tmp_path: Path, plan: Plan, capfd: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path)
    path = written(tmp_path, SUITE.replace('["rag", "magic"]', '["rag"]').replace('"bm25"', '"contriever"'))
    assert bench(*words(world, path, "--dry-run")) == 1
    out, err = capfd.readouterr()
    assert "data-nonperso-seed0-" in out and "not run: data-rag-contriever-k2-seed0: no model 'none'" in err
    assert (plan.started, world.folders()) == (0, {})


def test_a_table_of_a_suite_has_its_cells_only(tmp_path: Path, plan: Plan, capfd: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path)
    assert world.run("-k", "1,2,3", method="nonperso,rag,pag") == 0
    path = written(tmp_path, 'title = "t"\n[[cells]]\nmethods = ["rag"]\n[[cells]]\nmethods = ["pag"]\nks = [3]\n')
    chosen, found = which_runs.select([path, world.out])
    assert chosen is not None and chosen.name == "toy"
    assert sorted((run.summary["method"], run.summary["k"]) for run in found) == [("pag", 3), ("rag", 2)]
    capfd.readouterr()
    assert bench("table", path, world.out, "--format", "csv") == 0
    assert len(capfd.readouterr().out.splitlines()) == 3
    assert bench("table", "ablations", world.out, "--format", "csv") == 0  # Non-Perso is part of it
    assert len(capfd.readouterr().out.splitlines()) == 2
    assert bench("table", "retrievers", world.path) == 2
    assert "holds no runs" in capfd.readouterr().err


def test_a_table_of_a_suite_respects_its_settings(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(registry.BUILTIN["generator"], "vllm", fakes.FAKE)
    world = World(tmp_path)
    own = (
        f'title = "t"\ndata = "{world.data}"\nlimit = 4\n[[cells]]\nmethods = ["rag"]\nprofiles = ["{world.profile}"]\n'
    )
    path = written(tmp_path, own)
    for limit in (2, 3):
        assert world.run("--limit", limit, method="rag") == 0
    capfd.readouterr()
    assert bench("table", path, world.out) == 0
    out, err = capfd.readouterr()
    assert "toy · none · limit 2" in out and "toy · none · limit 3" in out
    start, _, said = err.strip().partition("'toy': ")
    assert start == "note: no run has the settings of suite "
    assert set(said.split("; ")) == {"limit 2, not 4", "limit 3, not 4", "engine fake, not vllm"}
    assert bench("grid", path, "--out", world.out) == 0
    capfd.readouterr()
    assert bench("table", path, world.out) == 0
    out, err = capfd.readouterr()
    assert "limited to 4" in out and "limited to 2" not in out
    assert err == "note: 2 runs of suite 'toy' have other settings than the suite and are left out\n"


def test_values_that_fit_a_machine_make_no_run_another_than_the_suite_s(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A run of one machine is looked at on another."""
    monkeypatch.setitem(registry.BUILTIN["generator"], "vllm", fakes.FAKE)
    world = World(tmp_path)
    own = f'title = "t"\ndata = "{world.data}"\n[[cells]]\nmethods = ["rag"]\nprofiles = ["{world.profile}"]\n'
    path = written(tmp_path, own)
    for fitting in ({}, {"dtype": "float32", "engine.enforce_eager": True}):
        monkeypatch.setattr(fakes.FakeGenerator, "fitting", staticmethod(lambda found=fitting: found), raising=False)
        out = tmp_path / f"out{len(fitting)}"
        assert bench("grid", path, "--out", out) == 0
        monkeypatch.setattr(fakes.FakeGenerator, "fitting", staticmethod(lambda: {"dtype": "float16"}), raising=False)
        capfd.readouterr()
        assert bench("table", path, out) == 0
        assert "note: no run" not in capfd.readouterr().err


def test_a_folder_of_a_suite_s_name_hides_the_suite_only_where_it_holds_runs(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "retrievers").mkdir()
    assert which_runs.suite_of([Path("retrievers"), Path("here")])[1] == [Path("here")]
    assert World(tmp_path).run("--out", "retrievers") == 0
    assert which_runs.suite_of([Path("retrievers")]) == (None, [Path("retrievers")])


def test_statistics_are_a_table_of_the_data(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = fakes.dataset(tmp_path / "data")
    assert bench("table", "statistics", "--data", data, "--paper") == 0
    out = capfd.readouterr().out
    line = next(line for line in out.splitlines() if line.strip().startswith("Test Dataset: Books"))
    assert line.split()[2:] == ["Books", "3", "4.00", "±", "0.00", "23.00", "±", "0.00"]
    assert "1,600.04" not in out and "1600.04 ± 1419.89" in out
