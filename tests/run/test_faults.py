"""Whatever breaks, the same command goes on to the same end, or says in one line why it cannot."""

from __future__ import annotations

import functools
import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.context import prefetch
from bench.errors import UserError
from bench.generate.server import openai
from bench.generate.server.retries import RetryPolicy
from bench.generate.store import RequestStore
from bench.record import contents, runs, sqlite
from bench.record.runs import RunFolder
from bench.run import cells
from bench.score import keep, score_arrays
from bench.types import Completion, Prompt
from benchmarks import endstate
from benchmarks.endstate import EndState
from tests import fakes
from tests.embed.fakes import FakeEmbedder
from tests.fakes import FakeGenerator, Plan, World, bench, in_a_process
from tests.generate.fake_server import FakeServer, Reply, completed, refusal, serving
from tests.paths import ROOT
from tests.results import scored
from tests.results.tables.test_leaderboard import summary as leaderboard_summary

METHODS = "nonperso,pag"  # one request a sample, and two that follow each other
TARGETS = 6
REQUESTS = 3 * TARGETS


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", fakes.FAKE)
    monkeypatch.setattr(FakeGenerator, "plan", Plan())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def unbroken(world: World) -> EndState:
    """What the grid ends with where nothing disturbs it."""
    return elsewhere(world, METHODS)


def elsewhere(world: World, method: str) -> EndState:
    out, world.out = world.out, world.path / "unbroken"
    assert world.run(method=method) == 0
    state, world.out = endstate.read(world.out), out
    FakeGenerator.plan = Plan()
    return state


def one_line(capfd: pytest.CaptureFixture[str]) -> str:
    """The line that says why a command ended."""
    err = capfd.readouterr().err
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("bench: ")]
    assert line == err.splitlines()[-1]
    return line


def in_a_fork(work: Callable[[], int]) -> int:
    """Does it in a process like this one; its exit code, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# ---------------------------------------------------------------- kill -9


def dies_at(n: int) -> None:
    """This process is killed at its n-th write of anything, in the middle of it where it has one."""
    writes = 0

    def now() -> bool:
        nonlocal writes
        writes += 1
        return writes == n

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    append, replace, put = RunFolder.append, Path.replace, RequestStore.put

    def torn(self: RunFolder, name: str, row: Any) -> None:
        if now():
            with (self.path / name).open("a") as file:
                file.write(runs.dump(row)[:25])
            kill()
        append(self, name, row)

    def never_in_place(self: Path, target: Any) -> Path:
        if now():
            kill()
        return replace(self, target)

    def before_or_after(self: RequestStore, *words: Any) -> Any:
        if now():
            if n % 2:
                put(self, *words)
            kill()
        return put(self, *words)

    RunFolder.append, Path.replace, RequestStore.put = torn, never_in_place, before_or_after  # type: ignore[method-assign]


def test_killed_at_any_write_a_grid_ends_as_if_unbroken(world: World, unbroken: EndState) -> None:
    kills = 0
    for moment in range(1, 1000, 4):
        world.out = world.path / f"killed-{moment}"
        if in_a_fork(lambda n=moment: dies_at(n) or world.run(method=METHODS)) == 0:  # type: ignore[misc]
            break
        kills += 1
        kept = endstate.read(world.out)
        FakeGenerator.plan = plan = Plan()
        assert world.run(method=METHODS) == 0
        assert endstate.read(world.out) == unbroken, moment
        assert len(plan.requests) == REQUESTS - len(kept.requests)
        assert not [file for folder in runs.find(world.out) for file in folder.path.glob(".*.tmp")]
    assert kills >= 10


def test_killed_again_and_again_it_still_ends(world: World, unbroken: EndState) -> None:
    stored = [0]
    while in_a_fork(lambda: dies_at(11) or world.run(method=METHODS)):
        stored.append(len(endstate.stored(world.out)))
        assert stored[-1] >= stored[-2]
        assert len(stored) < 60, stored
    assert endstate.read(world.out) == unbroken
    assert len(stored) > 4


def test_killed_while_it_is_scored_again_a_run_is_unfinished_and_no_mixture(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    assert world.run("--metric", "rouge") == 0
    folder = world.folder()
    unbroken = folder.read(runs.SUMMARY)
    for moment in range(1, 100):
        if in_a_fork(lambda n=moment: dies_at(n) or bench("score", world.out, "--metric", "bleu")) == 0:  # type: ignore[misc]
            break
        capfd.readouterr()
        if folder.done:
            assert bench("table", world.out) == 0
        else:
            assert bench("table", world.out) == 2
            assert "none of the 1 runs is finished" in one_line(capfd)
            assert bench("verify", world.out) == 1
            assert f"run `bench score {folder.path}`" in capfd.readouterr().out
        again = bench("score", world.out) if moment % 2 else world.run("--metric", "rouge")
        summary = folder.read(runs.SUMMARY)
        assert again == 0
        if list(summary["metric_versions"]) == ["rouge", "bleu"]:
            break  # killed when all was done
        assert {key for key in unbroken if summary[key] != unbroken[key]} <= {"files", "digest"}  # a start more
        assert {file.name for file in folder.path.glob(".*")} <= {".lock"}
    assert moment >= 5
    assert list(folder.summary()["metric_versions"]) == ["rouge", "bleu"]


def test_a_run_that_is_written_on_after_that_is_finished_anew(world: World) -> None:
    FakeGenerator.plan.refuse = "u1"
    assert world.run(method="rag") == 1
    folder = world.folder()
    folder.write(runs.SUMMARY, {**folder.read(runs.SUMMARY), "finished": "2001-01-01", "engine_use": None})
    (folder.path / runs.SUMMARY).rename(folder.path / keep.EARLIER)
    FakeGenerator.plan.refuse = ""
    assert world.run(method="rag") == 0
    summary = folder.read(runs.SUMMARY)
    assert summary["finished"] > "2001-01-01" and summary["engine_use"]["requests"] == 2


# ---------------------------------------------------------------- damaged files


def cut(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])


@pytest.mark.parametrize("share", [0.6])
@pytest.mark.parametrize(
    "name", [runs.CONFIG, runs.PROVENANCE, runs.SAMPLES, runs.SCORES, score_arrays.FILE, runs.SUMMARY]
)
@pytest.mark.parametrize("finished", [True, False])
def test_a_truncated_file_of_a_run_is_made_again_or_named(
    name: str, share: float, finished: bool, world: World, unbroken: EndState, capfd: pytest.CaptureFixture[str]
) -> None:
    assert world.run(method=METHODS) == 0
    folder = runs.find(world.out)[0].path
    cut(folder / name, share)
    if not finished:
        (folder / runs.SUMMARY).unlink()
    FakeGenerator.plan = Plan()
    codes = []
    for command in (lambda: world.run(method=METHODS), lambda: bench("table", world.out)):
        capfd.readouterr()
        codes.append(command())
        if codes[-1]:
            assert codes[-1] == 2
            assert str(folder) in one_line(capfd)
    if not finished and codes == [0, 0]:
        assert endstate.read(world.out) == unbroken
    assert FakeGenerator.plan.requests == []


@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_a_truncated_store_is_named_and_costs_no_finished_row(
    share: float, world: World, unbroken: EndState, capfd: pytest.CaptureFixture[str]
) -> None:
    assert world.run(method="nonperso") == 0
    store = world.out / ".store" / "requests.sqlite"
    with closing(sqlite3.connect(store)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    cut(store, share)
    FakeGenerator.plan = plan = Plan()
    capfd.readouterr()
    if world.run(method=METHODS):  # or what was cut off was not needed
        assert "move it away" in one_line(capfd)
    else:
        assert share > 0.9
    store.unlink()
    for rest in store.parent.glob("requests.sqlite-*"):
        rest.unlink()
    assert world.run(method=METHODS) == 0
    state = endstate.read(world.out)
    assert (state.rows, state.texts, state.scores) == (unbroken.rows, unbroken.texts, unbroken.scores)
    assert len(plan.requests) <= REQUESTS


@pytest.mark.parametrize("name", ["dataset.json", "items.jsonl", "reviews.jsonl", "samples.jsonl"])
def test_a_truncated_dataset_is_named(name: str, world: World, capfd: pytest.CaptureFixture[str]) -> None:
    for share in (0.0, 0.3, 0.97):
        whole = (world.data / name).read_bytes()
        cut(world.data / name, share)
        assert world.run() == 2
        assert str(world.data) in one_line(capfd)
        (world.data / name).write_bytes(whole)


# ---------------------------------------------------------------- files that hold something else


def test_whatever_a_file_of_a_run_holds_it_is_named_with_what_mends_it(
    world: World, unbroken: EndState, capfd: pytest.CaptureFixture[str]
) -> None:
    assert world.run(method=METHODS) == 0
    folder = runs.find(world.out)[0]
    sample = next(folder.rows(runs.SAMPLES))["sample_id"]
    commands: list[tuple[object, ...]] = [
        ("table", world.out),
        ("show", folder.path),
        ("show", folder.path, "--sample", sample),
        ("show", folder.path, "--provenance"),
        ("report", world.out, "--to", world.path / "report.html"),
        (*world.words(method=METHODS), "--dry-run"),
        tuple(world.words(method=METHODS)),
    ]
    readers = {  # by what they read of a finished run; of config.json each its own part
        runs.SUMMARY: {0, 1, 3, 4, 5, 6},
        runs.SAMPLES: {1, 2, 4},
        runs.SCORES: {0, 2, 4, 6},
        runs.PROVENANCE: {3},
    }
    whole = {name: (folder.path / name).read_text() for name in (*readers, runs.CONFIG)}
    for name, content in odd_contents(whole):
        (folder.path / name).write_text(content)
        named = set()
        for place, words in enumerate(commands):
            capfd.readouterr()
            if code := bench(*words):
                line = one_line(capfd)
                assert code == 2 and str(folder.path / name) in line, (name, content, words, line)
                assert re.search("Field required|should be|expected|does not hold|configuration", line), line
                named.add(place)
        assert named and named <= readers.get(name, named), (name, content, named, line)
        if name in (runs.SUMMARY, runs.SCORES):
            assert bench("score", folder.path) == 0
        elif name == runs.SAMPLES:
            assert bench("score", folder.path) == 2
            (folder.path / runs.SUMMARY).unlink()
            assert world.run(method=METHODS) == 0
        else:
            shutil.rmtree(folder.path)
            assert world.run(method=METHODS) == 0
        assert endstate.read(world.out) == unbroken, (name, content)
        whole = {kept: (folder.path / kept).read_text() for kept in whole}
        for kept, text in whole.items():  # as it was made the first time
            (folder.path / kept).write_text(text)


def test_a_run_of_an_older_version_is_one_line_and_written_again_once_it_is_deleted(
    world: World, unbroken: EndState, capfd: pytest.CaptureFixture[str]
) -> None:
    assert world.run(method=METHODS) == 0
    old = runs.find(world.out)[0].path
    for name in (runs.CONFIG, runs.SUMMARY):
        values = json.loads((old / name).read_text())
        del values["format"]
        (old / name).write_text(json.dumps(values))
    says = f"{old / runs.CONFIG} was written by an older version (format 1, this is 4); delete {old} and run its"
    for words in (
        ("table", world.out),
        ("show", old),
        ("score", world.out),
        ("report", world.out, "--to", world.path / "report.html"),
        (*world.words(method=METHODS), "--dry-run"),
        world.words(method=METHODS),
    ):
        capfd.readouterr()
        assert bench(*words) == 2, words
        assert one_line(capfd).startswith(f"bench: {says}"), words
    assert bench("verify", world.out) == 3
    assert says in capfd.readouterr().out
    shutil.rmtree(old)
    FakeGenerator.plan = plan = Plan()
    assert world.run(method=METHODS) == 0
    assert endstate.read(world.out) == unbroken
    assert plan.requests == []


def odd_contents(whole: dict[str, str]) -> Iterator[tuple[str, str]]:
    """(file, another content): valid JSON that lacks something, or has another type there."""
    for name in (runs.SAMPLES, runs.SCORES):
        lines = whole[name].splitlines()
        row = json.loads(lines[1])
        for odd in ({}, {"sample_id": "x", "error": None}, {**row, "user_id": 7}, {**row, "bleu": 1, "text": 1}):
            yield name, "\n".join([lines[0], json.dumps(odd), *lines[2:]]) + "\n"
    row = json.loads(lines[1])
    yield runs.SCORES, "\n".join([json.dumps({**row, "rouge": {"rouge1": "x"}}), *lines[1:]]) + "\n"
    yield runs.SUMMARY, "{}"
    summary = json.loads(whole[runs.SUMMARY])
    for key, value in {"scores": {}, "n": {"Books": 3}, "stages": {"review": {}}, "columns": [{}], "k": True}.items():
        yield runs.SUMMARY, json.dumps({**summary, key: value})
    yield runs.PROVENANCE, "{}"
    yield runs.PROVENANCE, json.dumps({**json.loads(whole[runs.PROVENANCE]), "command": "bench"})
    config = json.loads(whole[runs.CONFIG])
    for key in ("identity", "sources", "config", "generator"):
        yield runs.CONFIG, json.dumps({name: value for name, value in config.items() if name != key})
    yield runs.CONFIG, json.dumps({**config, "config": {"method": "rag"}})


ASKED_OF_A_SUMMARY = {key for key, field in contents.Summary.model_fields.items() if field.is_required()} - {"finished"}


@pytest.mark.parametrize("key", sorted(ASKED_OF_A_SUMMARY))
def test_a_value_of_another_type_in_a_summary_is_named(
    key: str, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = scored.finished(world.out / "run", leaderboard_summary(), scored.rows(0.5, users=2)).folder
    summary = folder.summary()
    last = 5 if key in ("retriever", "kept") else None
    for value in ([1], last) if key in ("settings", "changed") else ({"a": []}, [1], last):  # a setting may be a list
        folder.write(runs.SUMMARY, {**summary, key: value})
        for words in (("table", world.out), ("plot", "costs", world.out, "--to", world.path / "a.svg")):
            capfd.readouterr()
            assert bench(*words) == 2
            line = one_line(capfd)
            assert line.startswith(f"bench: {folder.path / runs.SUMMARY}, {key}")
            assert line.endswith(f"; `bench score {folder.path}` writes it anew")


@pytest.mark.parametrize("content", ["garbage", "{}", '{"text": "cut', '{"text": 5, "ids": []}', None, "[" * 100_000])
def test_a_stored_answer_that_cannot_be_read_is_asked_for_again_and_replaced(
    content: str | None, world: World, unbroken: EndState
) -> None:
    assert world.run(method=METHODS) == 0
    changed(world, completion=content or b"\xff\x00")
    for folder in runs.find(world.out):
        shutil.rmtree(folder.path)
    FakeGenerator.plan = plan = Plan()
    assert world.run(method=METHODS) == 0
    assert endstate.read(world.out) == unbroken
    assert len(plan.requests) == REQUESTS


@pytest.mark.parametrize("prompt", [b"\x00", None, zlib.compress(b"{}"), zlib.compress(b"[1]"), "text", 5])
def test_a_stored_prompt_that_cannot_be_read_says_so(
    prompt: object, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    assert world.run() == 0
    changed(world, prompt=prompt)
    capfd.readouterr()
    assert bench("show", world.folder().path, "--sample", "Books/u1/r4") == 0
    assert "Prompt of stage review\n  no longer readable\n" in capfd.readouterr().out
    assert bench("report", world.out, "--to", world.path / "report.html") == 0


def changed(world: World, **values: object) -> None:
    """Every row of the store with another content."""
    with closing(sqlite3.connect(world.out / ".store" / "requests.sqlite")) as db, db:
        for column, value in values.items():
            db.execute(f"UPDATE completions SET {column} = ?", (value,))


# ---------------------------------------------------------------- stores that another process holds


@pytest.mark.parametrize("seconds", [0.5, None])
def test_a_locked_store_is_waited_for_and_then_named(
    seconds: float | None, world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sqlite, "WAIT", 30 if seconds else 0.2)
    assert world.run() == 0
    store = world.out / ".store" / "requests.sqlite"
    capfd.readouterr()
    with closing(sqlite3.connect(store, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        if seconds:
            threading.Timer(seconds, lambda: other.execute("COMMIT")).start()
            assert world.run("--seed", 1) == 0
        else:
            assert world.run("--seed", 1) == 2
            line = one_line(capfd)
            assert "database is locked" in line and "another program holds it" in line
            other.execute("COMMIT")
    assert world.run("--seed", 1) == 0


def test_two_processes_with_the_same_command_leave_one_whole_grid(world: World, unbroken: EndState) -> None:
    processes = [in_a_process(world.words(method=METHODS), FAKE_SECONDS="0.3") for _ in range(2)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    codes = sorted(process.returncode for process in processes)
    assert codes in ([0, 0], [0, 2]), errors
    assert "Traceback" not in "".join(errors)
    if codes[1]:
        (refused,) = [error for error, process in zip(errors, processes, strict=True) if process.returncode]
        assert "another bench is working on" in refused.splitlines()[-1]
    assert endstate.read(world.out) == unbroken


# ---------------------------------------------------------------- disks


Remount = Callable[..., None]


@pytest.fixture
def disk(world: World) -> Iterator[Remount]:
    """Mounts a small file system as the output folder; called again, it gives it other options."""
    world.out.mkdir()
    mounted = False

    def mount(options: str) -> None:
        nonlocal mounted
        words = ["mount", "-t", "tmpfs", "-o", f"remount,{options}" if mounted else options, "tmpfs", str(world.out)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode and not mounted:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        mounted = True

    yield mount
    if mounted:
        subprocess.run(["umount", "--lazy", str(world.out)], check=True)


@pytest.mark.parametrize(("store_there", "says"), [(True, "request store"), (False, ".json")])
def test_a_full_disk_is_one_line_and_with_room_the_same_command_goes_on(
    store_there: bool, says: str, world: World, unbroken: EndState, disk: Remount, capfd: pytest.CaptureFixture[str]
) -> None:
    disk("size=16k")
    if not store_there:  # or it would always be what does not fit
        (world.path / "store").mkdir()
        (world.out / ".store").symlink_to(world.path / "store")
    refused = []
    for size in range(16, 1000, 48 if store_there else 12):
        capfd.readouterr()
        disk(f"size={size}k")
        code = world.run(method=METHODS)
        if code == 0:
            break
        assert code == 2
        refused.append(one_line(capfd))
    assert len(refused) >= 2
    assert all(str(world.out) in line for line in refused), refused
    assert any(says in line and "make room" in line for line in refused), refused
    assert endstate.read(world.out) == unbroken


def test_a_read_only_folder_is_one_line_and_its_table_can_be_seen(
    world: World, unbroken: EndState, disk: Remount, capfd: pytest.CaptureFixture[str]
) -> None:
    disk("size=8m,ro")
    assert world.run(method=METHODS) == 2
    assert str(world.out) in one_line(capfd)
    disk("rw")
    assert world.run(method="nonperso") == 0
    disk("ro")
    for command in (lambda: world.run(method=METHODS), lambda: bench("score", world.out)):
        capfd.readouterr()
        assert command() == 2
        assert str(world.out) in one_line(capfd)
    assert bench("table", world.out) == 0
    disk("rw")
    assert world.run(method=METHODS) == 0
    assert endstate.read(world.out) == unbroken


@pytest.mark.parametrize("arrays", [True, False])
def test_of_a_read_only_folder_runs_are_proved_and_tables_made(
    arrays: bool, world: World, disk: Remount, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for module in (prefetch, cells):
        monkeypatch.setattr(module, "create_encoder", lambda config: FakeEmbedder())
    disk("size=8m")
    assert world.run("--retriever", "contriever", method="rag") == 0
    if not arrays:
        (world.folder().path / score_arrays.FILE).unlink()
    disk("ro")
    before = {file: file.stat().st_mtime_ns for file in world.out.rglob("*") if file.is_file()}
    capfd.readouterr()
    assert bench("verify", world.out) == 0
    assert capfd.readouterr().out.endswith("proved\n")
    assert bench("table", world.out) == 0
    assert "±" in capfd.readouterr().out
    assert bench("plot", "costs", world.out, "--to", world.path / "plot.svg") == 0
    disk("rw")
    assert bench("verify", world.out) == 0
    assert {file: file.stat().st_mtime_ns for file in world.out.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("killed", [False, True])
def test_of_a_read_only_folder_every_sample_can_be_seen(
    killed: bool, world: World, disk: Remount, capfd: pytest.CaptureFixture[str]
) -> None:
    disk("size=8m")
    assert world.run() == 0
    store = world.out / ".store" / "requests.sqlite"
    if killed:  # what is stored is still beside the file
        assert in_a_fork(lambda: dies_with_new_answers(store)) == -signal.SIGKILL
        assert store.with_name(f"{store.name}-wal").stat().st_size > 0
    disk("ro")
    folder = world.folder().path
    capfd.readouterr()
    for words in (
        ("show", folder, "--sample", "Books/u1/r4"),
        ("report", world.out, "--to", world.path / "report.html"),
        ("run", *world.words()[1:]),  # finished before
    ):
        assert bench(*words) == 0
    out = capfd.readouterr().out
    assert "no longer" not in out and "[Item Title]: " in out
    with closing(sqlite.connect(store)) as db:
        assert db.execute("SELECT count(*) FROM completions").fetchone() == (TARGETS + killed,)
    with pytest.raises(UserError, match="readonly database; choose another folder by --out"):
        RequestStore(store).put("new", Prompt("", ""), Completion("", (), "stop", 0))


def dies_with_new_answers(store: Path) -> int:
    RequestStore(store).put("another", Prompt("", ""), Completion("", (), "stop", 0))
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


@contextmanager
def small_files() -> Iterator[None]:
    """No file may grow above a kilobyte."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("before", "file", "after"),
    [
        (["regress"], "baseline.json", ["--write"]),
        (["plot", "costs", "--to"], "costs.svg", []),
        (["report", "--no-prompts", "--to"], "report.html", []),
    ],
)
def test_where_there_is_no_room_what_was_there_stays(
    before: list[str], file: str, after: list[str], world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    assert world.run(method=METHODS) == 0
    there = world.path / "there"
    there.mkdir()
    words = (*before, there / file, world.out, *after)
    whole = b""
    for kept in (list[str](), [file]):
        capfd.readouterr()
        with small_files():
            assert bench(*words) == 2
        assert one_line(capfd).startswith(f"bench: {there / file}: File too large; make room")
        assert [found.name for found in there.iterdir()] == kept
        if kept:
            assert (there / file).read_bytes() == whole
        assert bench(*words) == 0
        whole = (there / file).read_bytes()


def test_a_link_and_a_device_stay_what_they_are(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert world.run() == 0
    real, link = world.path / "real.json", world.path / "link.json"
    real.touch(mode=0o640)
    link.symlink_to(real)
    assert bench("regress", link, world.out, "--write") == 0
    assert link.is_symlink() and real.stat().st_size > 0 and real.stat().st_mode & 0o777 == 0o640
    assert bench("regress", "/dev/full", world.out, "--write") == 2
    assert "/dev/full: No space left on device" in one_line(capfd)
    assert Path("/dev/full").is_char_device()


# ---------------------------------------------------------------- servers


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers are given up after some tenths of a second."""
    quick = RetryPolicy(tries=3, per_try=0.5, total=5.0, first_pause=0.01, longest_pause=0.02)
    monkeypatch.setattr(openai, "RetryPolicy", lambda: quick)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")


def served(world: World, address: str, *words: object) -> int:
    given = world.words("--base-url", address, *words)
    given[given.index("fake")] = "openai"
    return bench(*given)


def asked_for(body: dict[str, Any], title: str) -> bool:
    return title in body["messages"][1]["content"]


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (refusal(500, "it broke"), "500 it broke"),
        (Reply(body=completed("late"), after=1.0), "no answer in time"),
        (Reply(body=completed("half"), cut=True), "the server gave no answer in 3 tries"),
    ],
)
@pytest.mark.usefixtures("hasty")
def test_a_server_that_fails_at_some_requests_costs_these_samples_alone(
    reply: Reply, says: str, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    def answer(n: int, body: dict[str, Any]) -> Reply:
        return reply if asked_for(body, "title 2-4") else Reply(body=completed(f"answer {len(str(body))}"))

    with serving(FakeServer(answer=answer)) as server:
        assert served(world, server.address) == 1
        assert capfd.readouterr().err.splitlines()[-1].startswith("2 samples failed")
        rows = list(world.folder().rows(runs.SAMPLES))
        failed = [row for row in rows if row["error"]]
        assert [row["sample_id"] for row in failed] == ["Books/u2/r4", "Films/u2/r4"]
        assert all(says in row["error"] and row["traceback"] is None for row in failed)
        assert len(rows) == TARGETS == sum(world.folder().read(runs.SUMMARY)["n"].values())
        server.answer = lambda n, body: Reply(body=completed("better"))
        before = len(server.bodies)
        assert served(world, server.address, "--retry") == 0
        assert len(server.bodies) == before + 2
    assert not [row for row in world.folder().rows(runs.SAMPLES) if row["error"]]


# A server in a process of its own, which is killed when it has answered N requests.
MORTAL = """
import os, signal, sys, time
from tests.generate.fake_server import FakeServer, Reply, completed, serving

def answer(n, body):
    if n >= int(sys.argv[2]):
        time.sleep(0.3)  # the earlier ones are answered meanwhile
        os.kill(os.getpid(), signal.SIGKILL)
    return Reply(body=completed("Score: 4 of " + str(len(str(body)))))

with serving(FakeServer(port=int(sys.argv[1]), answer=answer)):
    print("ready", flush=True)
    time.sleep(600)
"""


def mortal(port: int, answers: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", MORTAL, str(port), str(answers)]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def port() -> int:
    with serving(FakeServer()) as server:
        return server.port


@pytest.mark.parametrize("judge", [False, True])
@pytest.mark.usefixtures("hasty")
def test_a_server_that_is_killed_again_and_again_is_asked_nothing_twice(
    judge: bool, port: int, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    address = f"http://127.0.0.1:{port}/v1"
    words = ("--metric", "judge", "--set", f"judge.base_url={address}") if judge else ()
    run: Callable[[], int] = (lambda: world.run(*words)) if judge else functools.partial(served, world, address)
    stored, kills = [0], 0
    while True:
        server = mortal(port, 2)
        capfd.readouterr()
        code = run()
        stored.append(len(endstate.stored(world.out)) - (TARGETS if judge else 0))
        if code == 0:
            server.kill()
            server.wait()
            break
        kills += 1
        assert server.wait(10) == -signal.SIGKILL
        assert code == 1
        assert "is gone" in one_line(capfd)
    assert stored == [0, 2, 4, 6]  # two more with every server: what it answered counts, and is not asked again
    assert kills == 2
    summary = world.folder().read(runs.SUMMARY)
    assert (summary["failed"], summary["n"]) == (0, {"Books": 3, "Films": 3})
    if judge:
        assert sum(values["judge_n"] for values in summary["scores"].values()) == TARGETS
