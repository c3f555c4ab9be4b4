"""The command line: one line for every mistake, exit codes, streams, and a quick start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.models import assets
from bench.record import runs
from bench.score import keep
from tests import fakes
from tests.fakes import FakeGenerator, Plan, World, bench
from tests.paths import ROOT

COMMAND = Path(sys.executable).parent / "bench"


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    monkeypatch.setattr(FakeGenerator, "plan", Plan())
    return FakeGenerator.plan


@pytest.fixture
def world(tmp_path: Path, plan: Plan) -> World:
    return World(tmp_path)


@pytest.fixture
def complaint(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must fail with exit code 2, and returns its only line."""

    def run(*words: object) -> str:
        capfd.readouterr()
        code = bench(*words)
        out, err = capfd.readouterr()
        assert (code, out) == (2, ""), err
        assert len(err.splitlines()) == 1, err
        assert err.startswith("bench: ")
        assert "Traceback" not in err
        return err.removeprefix("bench: ").rstrip()

    return run


Complaint = Callable[..., str]


# ---------------------------------------------------------------- mistakes in `bench run`


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--method", "rga"], "no method 'rga'; did you mean 'rag'?"),
        (["--method", ""], "--method '' names no method"),
        (["--method", "rag", "--retriever", "bm52"], "no retriever 'bm52'; did you mean 'bm25'?"),
        (["--method", "rag", "--retriever", ","], "--retriever ',' names no retriever"),
        (["--generator", "vlm"], "no generator 'vlm'; did you mean 'vllm'?"),
        (["--profile", "tinny"], "no profile 'tinny'; did you mean 'tiny'?"),
        (["--set", 'metrics=["rogue"]'], "no metric 'rogue'; did you mean 'rouge'?"),
        (["--set", "rouge.stemmer=true"], "no option of metric 'rouge' 'stemmer'"),
        (["--set", "temperature"], "--set 'temperature': key=value is expected"),
        (["--set", "temperature=hot"], "profile {}, temperature = 'hot': "),
        (["--set", "temperature=NaN"], "profile {}, temperature = nan: "),
        (["--set", "nonperso.x=1"], "no option of method 'nonperso' 'x'"),
        (["-k", "two"], "-k 'two': whole numbers are expected"),
        (["-k", "-1"], "-k '-1': numbers of at least 0 are expected"),
        (["--seed", "0.5"], "--seed '0.5': whole numbers are expected"),
        (["--limit", "0"], "--limit 0 leaves no sample"),
        (["--limit", "few"], "Invalid value for '--limit': "),
        (["--split", "train"], "no split 'train'"),
        (["--split", "tset"], "no split 'tset'; did you mean 'test'?"),
        (["--data", "bundeld"], "no data 'bundeld'; did you mean 'bundled'?"),
        (["--data", "/nowhere/at/all"], "no data '/nowhere/at/all'"),
        (["--data", "x" * 5000], "xxx"),
        (["--profile", "x" * 5000], "xxx"),
        (["--nope"], "No such option: --nope; see `bench run --help`"),
        (["--limit"], "Option '--limit' requires an argument"),
        (["stray"], "Got unexpected extra argument"),
    ],
)
def test_a_mistake_in_a_run_is_one_line(
    world: World, plan: Plan, complaint: Complaint, words: list[str], line: str
) -> None:
    assert complaint(*world.words(*words)).startswith(line.format(world.profile))
    assert (plan.started, plan.requests) == (0, [])


def test_a_broken_line_in_the_data_is_named(world: World, complaint: Complaint) -> None:
    (world.data / "dataset.json").write_text(
        json.dumps(
            {k: v for k, v in json.loads((world.data / "dataset.json").read_text()).items() if k != "fingerprint"}
        )
    )
    reviews = world.data / "reviews.jsonl"
    lines = reviews.read_text().splitlines()
    reviews.write_text("\n".join([*lines[:4], lines[4][:20], *lines[5:]]))
    assert complaint(*world.words()).startswith(f"{reviews} line 5: not JSON")


def test_data_that_was_changed_or_never_finished_is_named(world: World, complaint: Complaint) -> None:
    (world.data / "items.jsonl").write_text((world.data / "items.jsonl").read_text().replace("what", "that"))
    assert "was changed after it was written" in complaint(*world.words())
    (world.data / "dataset.json").unlink()
    assert "has no dataset.json" in complaint(*world.words())


def test_an_output_folder_that_cannot_be_written_is_named(world: World, complaint: Complaint) -> None:
    (world.path / "file").write_text("")
    below = world.path / "file" / "runs"
    line = complaint(*world.words("--out", below))
    assert str(below) in line
    assert line.endswith("choose another folder by --out")


def test_a_file_that_is_no_request_store_is_named(world: World, complaint: Complaint) -> None:
    (world.out / ".store").mkdir(parents=True)
    (world.out / ".store" / "requests.sqlite").write_text("not a database at all, but long enough to be looked at " * 9)
    assert "requests.sqlite cannot be opened" in complaint(*world.words())


def with_model(world: World, folder: Path) -> list[str]:
    """`bench run` by transformers on this model folder."""
    world.profile.write_text(fakes.PROFILE.replace('llm = "none"', f'llm = "{folder}"'))
    return world.words("--generator", "transformers")


def test_a_model_without_tokenizer_is_named(world: World, complaint: Complaint, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_text("{}")
    assert f"{folder} lacks a tokenizer" in complaint(*with_model(world, folder))


@pytest.mark.models
def test_a_model_without_chat_template_is_named_once(
    world: World,
    complaint: Complaint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    require_assets: Callable[..., None],
) -> None:
    from bench.generate.prompts.chat import ChatEncoder
    from tests.generate.folders import SMOLLM, tokenizer_folder

    loaded: list[str] = []
    load = ChatEncoder.__init__

    def counted(self: ChatEncoder, folder: str, **more: bool) -> None:
        loaded.append(folder)
        load(self, folder, **more)

    monkeypatch.setattr(ChatEncoder, "__init__", counted)

    require_assets(SMOLLM)
    folder = tokenizer_folder(tmp_path / "model", template="")
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_text('{"model_type": "llama"}')
    line = complaint(*with_model(world, folder), "--set", "dtype=float32")
    assert line.startswith(f"{folder} has no chat template, as base models have none; --set chat_template=plain sends")
    assert loaded == [str(folder)]


def test_a_model_that_does_not_exist_is_named(world: World, complaint: Complaint) -> None:
    line = complaint(*with_model(world, Path("nobody/nothing-of-that-name")))
    assert "'nobody/nothing-of-that-name'" in line
    assert "bench models pull" in line


def test_a_metric_without_its_data_says_so_before_anything_is_generated(
    world: World, plan: Plan, complaint: Complaint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DEP_BENCH_HOME", str(tmp_path / "empty"))
    line = complaint(*world.words("--set", 'metrics=["rouge","meteor"]'))
    assert line == "model 'wordnet' is not on this machine; run `bench models pull`"
    assert (plan.started, plan.requests) == (0, [])


# ---------------------------------------------------------------- mistakes elsewhere


def test_show_needs_a_run(world: World, complaint: Complaint) -> None:
    (world.path / "file").write_text("")
    for place in (world.path, world.path / "nowhere", world.path / "file"):
        assert complaint("show", place) == f"{place} has no config.json; name a run folder (`bench ls runs` lists them)"
    assert complaint("show") == "Missing argument 'RUN'; see `bench show --help`"


def test_a_method_stands_for_its_runs(world: World, complaint: Complaint, capfd: pytest.CaptureFixture[str]) -> None:
    assert world.run() == 0
    name = world.folder().path.name
    sample = world.rows()[0]["sample_id"]
    for words in (["show", "NonPerso"], ["show", "nonperso", "--sample", sample], ["score", "nonperso"]):
        assert bench(*words, "--out", world.out) == 0
    capfd.readouterr()
    bench("verify", "Non-Perso", "--out", world.out)  # a row of a table
    assert name in capfd.readouterr().out
    assert complaint("rm", "nonperso", "--out", world.out, "--yes") == (
        f"'nonperso' is a method; name the runs to remove, of {name}"
    )
    assert world.run("--seed", 1) == 0
    for words in (["show", "nonperso"], ["show", "nonperso", "--sample", sample]):
        said = complaint(*words, "--out", world.out)
        assert said.startswith(f"'nonperso' has 2 runs in {world.out}: ") and said.endswith("; name one of them")
        assert name in said
    assert complaint("show", "rag", "--sample", sample, "--out", world.out) == (
        "rag has no config.json; name a run folder (`bench ls runs` lists them)"
    )


def test_a_run_may_be_given_by_its_name(
    world: World, complaint: Complaint, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.run() == 0
    name = world.folder().path.name
    for command in ("show", "verify", "score"):
        capfd.readouterr()
        assert bench(command, name, "--out", world.out) == 0, capfd.readouterr().err
    assert complaint("show", f"{name}x", "--out", world.out).startswith(f"{name}x has no config.json")
    monkeypatch.chdir(world.path)  # where the output folder is the default, runs/
    for command in ("show", "verify", "score", "table"):
        assert bench(command, name) == 0, capfd.readouterr().err


def test_a_checkpoint_that_does_not_exist_or_is_not_used_is_named(world: World, complaint: Complaint) -> None:
    line = complaint(*world.words("--checkpoint", "bad", method="soft"))
    assert line == "bad is no checkpoint; name a folder, or a name that `bench ls checkpoints` lists"
    line = complaint(*world.words("--checkpoint", "/nonexist", method="rag,nonperso"))
    assert line.startswith("--checkpoint /nonexist: rag, nonperso takes none; name a trained method")


def test_show_needs_a_sample_of_the_run(world: World, complaint: Complaint) -> None:
    assert world.run() == 0
    line = complaint("show", world.folder().path, "--sample", "Books/u0/r3")
    assert line.startswith(f"no sample of {world.folder().path.name} 'Books/u0/r3'; did you mean 'Books/u0/r4'?")


def test_damaged_run_files_are_named(world: World, complaint: Complaint) -> None:
    assert world.run() == 0
    path = world.folder().path
    config = (path / runs.CONFIG).read_text()
    for content in ("{", "[]", "{}", '{"config": {"method": 3}}', config.replace('"seed"', '"sead"')):
        (path / runs.CONFIG).write_text(content)
        assert str(path / runs.CONFIG) in complaint("show", path)
        assert str(path / runs.CONFIG) in complaint("score", path)
    (path / runs.CONFIG).write_text(config)
    (path / runs.SUMMARY).write_text('{"scores"')
    assert str(path / runs.SUMMARY) in complaint("table", path)


def test_tables_need_finished_runs(world: World, complaint: Complaint) -> None:
    assert complaint("table", world.out) == f"{world.out} holds no runs; run `bench run --out {world.out}` first"
    assert complaint("score", world.out) == f"no runs in {world.out}; name a run folder, a method or an output folder"
    assert world.run() == 0
    assert complaint("table", world.out, "--format", "htlm").startswith("no format 'htlm'")
    assert complaint("score", world.out, "--metric", "rogue").startswith("no metric 'rogue'; did you mean 'rouge'?")
    (world.folder().path / runs.SUMMARY).unlink()
    assert complaint("table", world.out).startswith("none of the 1 runs is finished")


def test_scoring_needs_all_samples_and_the_same_data(world: World, complaint: Complaint) -> None:
    assert world.run() == 0
    folder = world.folder()
    rows = list(folder.rows(runs.SAMPLES))
    folder.write_rows(runs.SAMPLES, rows[1:])
    assert complaint("score", world.out) == (
        f"{folder.path.name} lacks 1 of 6 samples; delete its summary.json and run its command again"
    )
    folder.write_rows(runs.SAMPLES, rows)
    table = world.data / "items.jsonl"
    table.write_text(table.read_text().replace("what", "that"))
    manifest = json.loads((world.data / "dataset.json").read_text())
    del manifest["fingerprint"]
    (world.data / "dataset.json").write_text(json.dumps(manifest))
    assert f"data '{world.data}' has changed since {folder.path.name} was written" in complaint("score", world.out)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["ls", "mehtods"], "no list 'mehtods'; did you mean 'methods'?"),
        (["ls", "me"], "list 'me' may be methods, metrics; write more of the name"),
        (["ls"], "Missing argument"),
        (["xyzzy"], "No such command 'xyzzy'; see `bench --help`"),
        (["data"], "Missing command; see `bench data --help`"),
        (["data", "build"], "Missing option"),
        (["data", "fetch", "dlp"], "no dataset to fetch 'dlp'; did you mean 'dpl'?"),
        (["data", "import", "/nowhere", "--out", "x"], "/nowhere is no copy of DPL's data: "),
        (["data", "import", ".", "--out", "x", "--layout", "lmap"], "no layout 'lmap'; did you mean 'lamp'?"),
        (["data", "stats", "--data", "bundeld"], "no data 'bundeld'; did you mean 'bundled'?"),
        (["models", "pull", "wordnett"], "no model 'wordnett'; did you mean 'wordnet'?"),
        (["models", "pull", "--profile", "tinny"], "no profile 'tinny'"),
    ],
)
def test_other_commands_complain_in_one_line_too(complaint: Complaint, words: list[str], line: str) -> None:
    assert complaint(*words).startswith(line)


def test_an_error_of_several_lines_becomes_one_line(complaint: Complaint) -> None:
    assert complaint("models", "pull", "two\nlines").startswith("no model 'two lines'")


# ---------------------------------------------------------------- what it prints


def test_show_a_run_and_a_sample(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert world.run(method="rag") == 0
    capfd.readouterr()
    path = world.folder().path
    assert bench("show", path) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert f"{path.name}: finished, 6 samples" in out
    assert '"input_budget": 200' in out
    assert "Books (n = 3): rouge1 " in out

    assert bench("show", path, "--sample", "Films/u1/r4") == 0
    out = capfd.readouterr().out
    row = next(row for row in world.rows() if row["sample_id"] == "Films/u1/r4")
    assert out.startswith(f"Sample Films/u1/r4 of {path.name}\n  category    Films\n  user        u1\n")
    assert "Prompt of stage review: system message\n  Given the title" in out
    assert "    - [Review Text]: u1 wrote this as number 3\n" in out
    assert "Retrieved reviews, best first: 2\n  1. Films/u1/r3 · rated 5 · " in out
    assert "\n    u1 wrote this as number 3\n  2. Films/u1/r2 · " in out
    assert f"Answer\n  {row['text']}\n" in out
    assert "Reference: what the user really wrote\n  xylophonic secret of u1\n" in out
    scores, _, sliced = out.rpartition("Scores of this sample alone\n")[2].partition("Its numbers that tables are")
    assert [line.split()[0] for line in scores.splitlines() if line] == ["rouge1", "rougeL", "bleu"]
    assert [line.split()[0] for line in sliced.splitlines()[1:]] == ["rating", "history", "peers", "words"]

    assert bench("show", path, "--sample", "films/U1") == 0
    assert capfd.readouterr().out == out
    assert bench("show", path, "--sample", "Films") == 2
    assert "sample 'Films' may be Films/u0/r4, Films/u1/r4, Films/u2/r4; write more" in capfd.readouterr().err


def test_show_of_a_run_that_was_moved_writes_nothing(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert world.run() == 0
    moved = world.path / "elsewhere" / "run"
    moved.parent.mkdir()
    world.folder().path.rename(moved)
    capfd.readouterr()
    assert bench("show", moved, "--sample", "Films/u1/r4") == 0
    assert "Prompt of stage review\n  no longer stored\n" in capfd.readouterr().out
    assert [path.name for path in moved.parent.iterdir()] == ["run"]


def test_show_lists_failures_and_survives_what_no_terminal_can_show(
    world: World, plan: Plan, capfd: pytest.CaptureFixture[str]
) -> None:
    plan.refuse = "2-4"
    assert world.run() == 1
    folder = world.folder()
    rows = list(folder.rows(runs.SAMPLES))
    rows[0]["text"] = "a lone \ud800 and [bold] brackets [/nothing]"
    folder.write_rows(runs.SAMPLES, rows)
    capfd.readouterr()
    assert bench("show", folder.path) == 0
    assert "failed Books/u2/r4: the fake engine refuses '2-4'" in capfd.readouterr().out
    assert bench("show", folder.path, "--sample", rows[0]["sample_id"]) == 0
    assert "a lone \\ud800 and [bold] brackets [/nothing]" in capfd.readouterr().out


def test_bench_table_prints_the_table_that_bench_run_printed(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert world.run(method="nonperso,rag") == 0
    printed = capfd.readouterr().out
    assert bench("table", world.out) == 0
    out, err = capfd.readouterr()
    assert (out, err) == (printed, "")
    assert bench("table", world.out, "--format", "markdown") == 0
    assert "| Non-Perso |" in capfd.readouterr().out
    assert bench("table", world.out, "--format", "csv") == 0
    assert capfd.readouterr().out.startswith("table,kind,label,")


def test_scoring_again_gives_the_same_and_generates_nothing(
    world: World, plan: Plan, capfd: pytest.CaptureFixture[str]
) -> None:
    assert world.run() == 0
    folder = world.folder()
    before = {**folder.read(runs.SUMMARY), "finished": "2020-01-01T00:00:00+00:00"}
    before["digest"] = keep.digest(before)
    folder.write(runs.SUMMARY, before)
    assert bench("score", world.out) == 0
    assert folder.read(runs.SUMMARY) == before
    assert len(plan.requests) == 6


@pytest.mark.parametrize("verb", ["score", "run"])
def test_another_metric_is_added_to_those_of_a_run(
    world: World, plan: Plan, capfd: pytest.CaptureFixture[str], verb: str
) -> None:
    assert world.run("--metric", "rouge") == 0
    folder = world.folder()
    before = folder.read(runs.SUMMARY)["scores"]
    assert (world.run("--metric", "bleu") if verb == "run" else bench("score", world.out, "--metric", "bleu")) == 0
    after = folder.read(runs.SUMMARY)
    assert [column["key"] for column in after["columns"]] == ["rouge1", "rougeL", "bleu"]
    assert all(after["scores"][category].items() >= values.items() for category, values in before.items())
    assert len(plan.requests) == 6
    assert bench("verify", world.out) == 0
    capfd.readouterr()
    assert (world.run("--metric", "rouge") if verb == "run" else bench("score", world.out)) == 0
    assert folder.read(runs.SUMMARY) == after  # no metric is removed


def test_lists(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    expected = {
        "methods": "rag", "retrievers": "bm25", "metrics": "meteor", "generators": "vllm", "data": "bundled",
        "models": "wordnet", "profiles": "paper-32b", "suites": "table1",
    }  # fmt: skip
    for what, name in expected.items():
        assert bench("ls", what) == 0
        out, err = capfd.readouterr()
        assert err == ""
        assert any(line.split()[:1] == [name] for line in out.splitlines())
    assert bench("ls", "runs", "--out", world.out) == 0
    assert capfd.readouterr().out == ""
    assert world.run() == 0
    capfd.readouterr()
    assert bench("ls", "runs", "--out", world.out) == 0
    assert capfd.readouterr().out.split() == [world.folder().path.name, "finished"]


def test_doctor_names_commands_that_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEP_BENCH_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr("bench.commands.doctor.installed", lambda: None)
    assert bench("doctor", "--out", tmp_path / "runs") == 2
    out = capfd.readouterr().out
    lines = {line.split()[1]: line for line in out.splitlines()}
    assert "pip install '.[cpu]', or '.[cuda]' with a GPU" in lines["engine"]
    for name in assets.ASSETS:
        assert lines[name].startswith("missing") and "bench models pull" in lines[name]
    assert lines["output"].startswith("ok")
    assert "pip" not in lines["faiss"]


# ---------------------------------------------------------------- the real command


def test_no_help_text_loses_a_word(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    import typer.main

    from bench.cli import app

    monkeypatch.setenv("COLUMNS", "500")
    group: Any = typer.main.get_command(app)
    commands = {(name,): command for name, command in group.commands.items()}
    for name in ("data", "models"):
        commands |= {(name, inner): command for inner, command in group.commands[name].commands.items()}
    assert ("data", "build") in commands and ("grid",) in commands
    for words, command in commands.items():
        assert bench(*words, "--help") == 0
        shown = " ".join(capfd.readouterr().out.split())
        texts = [command.help, *(getattr(parameter, "help", "") for parameter in command.params)]
        for text in filter(None, texts):
            assert " ".join(text.split()).rstrip(".") in shown, (words, text)
        for parameter in command.params:
            if isinstance(given := getattr(parameter, "show_default", None), str):
                assert f"[default: ({given})" in shown, (words, given)


@pytest.mark.parametrize("words", [[], ["--help"], ["run", "--help"], ["data", "build", "--help"]])
def test_help_is_instant(words: list[str]) -> None:
    # Typer itself needs pydantic for the options of a command.
    heavy = {
        "torch",
        "vllm",
        "transformers",
        "numpy",
        "pandas",
        "duckdb",
        "pyarrow",
        "datasets",
        "scipy",
        "tenacity",
    } | (set() if words[1:] else {"pydantic"})
    script = f"import sys\nfrom bench.cli import main\ntry: main()\nfinally: print(sorted(set(sys.modules) & {heavy}))"
    run = subprocess.run([sys.executable, "-c", script, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert "Usage: " in run.stdout
    assert run.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(not COMMAND.exists(), reason="bench is not installed as a command")
def test_the_command_is_installed() -> None:
    run = subprocess.run([COMMAND, "run", "--method", "rga"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    line = run.stderr.splitlines()[-1]  # a busy machine may say before it that it is reading data
    assert line.startswith("bench: no method 'rga'; did you mean 'rag'? Known: ")
    assert "Traceback" not in run.stderr


def test_a_reader_who_leaves_early_sees_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", "from bench.cli import main; main()", "ls", "retrievers"]
    run = subprocess.run(command, cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert run.stderr == ""


def test_an_output_that_cannot_show_every_letter_is_no_crash(world: World) -> None:
    assert world.run() == 0
    command = [sys.executable, "-c", "from bench.cli import main; main()", "table", str(world.out)]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert "Non-Perso" in run.stdout
