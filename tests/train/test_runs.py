"""`bench run` and `bench train` of trained methods: train, choose an epoch, write, and never do any of it twice."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.config import load_profile
from bench.context import prefetch
from bench.data.corpus import load
from bench.embed.encoders import create as create_encoder
from bench.errors import UserError
from bench.models import assets
from bench.record import runs
from bench.train import checkpoint as checkpoints
from bench.train.checkpoint import MANIFEST, Checkpoint
from tests.fakes import FAKE, FakeGenerator, Plan, bench
from tests.generate.folders import SMOLLM
from tests.paths import ROOT
from tests.train.toy import World

pytestmark = [pytest.mark.models, pytest.mark.slow]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, require_assets: Callable[..., None]) -> World:
    require_assets(SMOLLM, "wordnet", "punkt")
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(autouse=True)
def plan(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plan]:
    monkeypatch.setitem(registry.BUILTIN["generator"], "fake", FAKE)
    monkeypatch.setattr(FakeGenerator, "plan", Plan())
    yield FakeGenerator.plan


@pytest.fixture(scope="module")
def trained(world: World) -> Path:
    """An output folder in which `soft` and `dep` are trained and nothing else is done."""
    registry.BUILTIN["generator"]["fake"] = FAKE
    try:
        assert call(world, "train", "--method", "soft,dep") == 0
    finally:
        del registry.BUILTIN["generator"]["fake"]
    return world.path / "runs"


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A copy of that folder for a test that writes into it."""
    return Path(shutil.copytree(trained, tmp_path / "runs"))


def call(world: World, verb: str, *words: str, out: str = "runs") -> int:
    given = ["--data", world.path / "data", "--profile", world.profile, "--generator", "fake"]
    return bench(verb, *words, *given, "--out", world.path / out)


def found(out: Path) -> dict[str, Checkpoint]:
    return {one.manifest["spec"]["method"]: one for one in checkpoints.find(out)}


def selection(checkpoint: Checkpoint) -> dict[str, Any]:
    (file,) = checkpoint.path.glob("selection-*.json")
    chosen: dict[str, Any] = json.loads(file.read_text())
    return chosen


def folders(out: Path, method: str) -> list[runs.RunFolder]:
    return [one for one in runs.find(out) if one.read(runs.CONFIG)["config"]["method"] == method]


def test_train_leaves_checkpoints_that_say_what_they_are(world: World, trained: Path) -> None:
    soft, dep = (found(trained)[method] for method in ("soft", "dep"))
    assert runs.find(trained) == []  # no test sample was written
    assert dep.manifest["spec"]["train.k"] == 2
    assert soft.manifest["spec"]["train.k"] == 0
    assert set(dep.manifest) >= {"identity", "spec", "config", "versions", "git", "started"}
    for one in (soft, dep):
        chosen = selection(one)
        assert set(chosen["meteor"]) == {"1", "2"}
        assert chosen["meteor"][str(chosen["epoch"])] == max(chosen["meteor"].values())
        assert (chosen["n"], chosen["failed"]) == (7, 0)
    assert {"recon", "sparse"} <= set(dep.training["epochs"][0])
    names = sorted(file.name for file in dep.path.iterdir() if file.suffix in (".pt", ".bin", ".pkl", ".pth"))
    assert names == []


@pytest.mark.parametrize("verb", ["run", "train"])
def test_validation_without_its_data_is_refused_before_anything_is_trained(
    verb: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The choice of the epoch needs METEOR, whatever metrics the run has."""

    def absent() -> Path:
        raise UserError("no wordnet here")

    monkeypatch.setattr(assets, "nltk_path", absent)
    metric = ["--metric", "bleu"] if verb == "run" else []
    assert call(world, verb, "--method", "soft", *metric, out=str(tmp_path / "out")) == 2
    assert capfd.readouterr().err.splitlines()[-1] == "bench: no wordnet here"
    assert checkpoints.find(tmp_path / "out") == []


@pytest.mark.parametrize("lost", ["selection-*.json", "validation-*/epoch-2/summary.json"])
def test_an_epoch_is_chosen_again_from_what_is_left(world: World, copy: Path, plan: Plan, lost: str) -> None:
    """As after a kill between the scoring of two epochs, or where the user deletes the selection."""
    before = {path: json.loads(path.read_text()) for path in copy.glob("checkpoints/*/selection-*.json")}
    for file in [*before, *copy.glob(f"checkpoints/*/{lost}")]:
        file.unlink(missing_ok=True)
    assert call(world, "train", "--method", "soft,dep", out=str(copy)) == 0
    assert plan.requests == []
    for path, chosen in before.items():
        again = json.loads(path.read_text())
        assert {**again, "chosen": ""} == {**chosen, "chosen": ""}


def test_run_uses_what_train_made_and_every_k_the_same_checkpoint(world: World, copy: Path, plan: Plan) -> None:
    assert call(world, "run", "--method", "nonperso,dep", "-k", "0,1,2", out=str(copy)) == 0
    assert len(checkpoints.find(copy)) == 2
    cells = {one.read(runs.CONFIG)["config"]["k"]: one for one in folders(copy, "dep")}
    assert sorted(cells) == [0, 1, 2]
    best = selection(found(copy)["dep"])["epoch"]
    for folder in cells.values():
        about = folder.read(runs.SUMMARY)["trained"]
        assert about["epoch"] == best
        assert about["checkpoint"] == found(copy)["dep"].path.name
    (plain,) = folders(copy, "nonperso")
    texts = [[row["text"] for row in one.rows(runs.SAMPLES)] for one in (plain, cells[0])]
    assert texts[0] == texts[1]  # K = 0 is Non-Perso, request by request
    soft = [request for request in plan.requests if request.embeds is not None]
    assert len(soft) == 2 * 7
    assert {request.embeds.shape for request in soft if request.embeds is not None} <= {(6, 64), (12, 64)}


def test_the_same_command_again_does_nothing(world: World, copy: Path, plan: Plan) -> None:
    assert call(world, "run", "--method", "soft", out=str(copy)) == 0
    assert plan.requests
    plan.requests.clear()
    assert call(world, "run", "--method", "soft", out=str(copy)) == 0
    assert call(world, "train", "--method", "soft", out=str(copy)) == 0
    assert plan.requests == []


def test_the_text_to_be_written_is_in_no_prompt_and_no_vector(world: World, trained: Path) -> None:
    """Test samples only: a validation sample's text is rightly in the history of its user's test sample."""
    corpus = load(str(world.path / "data"))
    secret = {corpus.reference(one.sample_id) for one in corpus.samples("test")}
    shown = {review.text for sample in corpus.samples("train") for review in sample.history}
    store = prefetch.vector_store(trained)
    embedder = create_encoder(load_profile(str(world.profile)).embedder).identity()
    assert store.vectors(embedder, shown)
    assert not store.vectors(embedder, secret)
    with sqlite3.connect(trained / ".store" / "requests.sqlite") as db:
        prompts = [zlib.decompress(row[0]).decode() for row in db.execute("SELECT prompt FROM completions")]
    assert prompts
    assert not [prompt for prompt in prompts for text in secret if text.strip() in prompt]


def test_every_epoch_has_embeddings_of_its_own(world: World, trained: Path) -> None:
    texts = []
    for epoch in (1, 2):
        (folder,) = found(trained)["soft"].path.glob(f"validation-*/epoch-{epoch}")
        texts.append([row["requests"] for row in runs.RunFolder(folder).rows(runs.SAMPLES)])
    assert texts[0] != texts[1]  # other embeddings, other keys in the request store


def test_a_checkpoint_that_fits_is_taken(world: World, trained: Path) -> None:
    place = found(trained)["soft"].path
    assert call(world, "run", "--method", "soft", "--checkpoint", str(place), out="elsewhere") == 0
    assert checkpoints.find(world.path / "elsewhere") == []
    assert len(folders(world.path / "elsewhere", "soft")) == 1


def test_a_checkpoint_that_does_not_fit_is_refused_with_the_keys(
    world: World, trained: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = str(found(trained)["dep"].path)
    words = ("--checkpoint", place, "--set", "input_budget=100", "--set", "dep.embeddings=his")
    assert call(world, "run", "--method", "dep", *words) == 2
    said = capfd.readouterr().err.splitlines()[-1]
    assert "does not fit this run" in said
    assert 'dep.embeddings: "both" there, "his" here' in said
    assert "input_budget: " in said and ", 100 here" in said
    assert "seed:" not in said


def test_train_takes_k_and_limit_and_says_the_command_that_runs_it(
    world: World, plan: Plan, capfd: pytest.CaptureFixture[str]
) -> None:
    """The checkpoint knows its training settings: the next command repeats none, and may contradict none."""
    words = ("--method", "dep", "-k", "1", "--limit", "4", "--set", "train.epochs=1", "--set", "dep.text=false")
    assert call(world, "train", *words, out="small") == 0
    (checkpoint,) = checkpoints.find(world.path / "small")
    assert (checkpoint.manifest["spec"]["train.k"], checkpoint.training["samples"]) == (1, 4)
    (said,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("next: bench ")]
    given = shlex.split(said)[2:]
    assert "dep.text=false" in given and "train." not in said
    assert bench(*given) == 0
    (folder,) = folders(world.path / "small", "dep")
    about = folder.read(runs.CONFIG)
    assert about["config"]["k"] == 2  # the profile's: one checkpoint serves every K
    assert about["trained"]["checkpoint"] == checkpoint.path.name
    assert set(about["config"]["changed"]) >= {"train.k", "train.limit", "train.epochs"}
    assert len(checkpoints.find(world.path / "small")) == 1
    assert bench(*given, "--set", "train.val_limit=3") == 0  # decides no weight
    for setting, theirs in (("train.lr=0.5", "0.01"), ("train.limit=5", "4"), ("train.k=2", "1")):
        assert bench(*given, "--set", setting) == 2
        error = capfd.readouterr().err.splitlines()[-1]
        assert error.startswith(f"bench: --set {setting}: checkpoint ")
        assert error.endswith(f" was trained with {theirs}; leave out the setting or --checkpoint")


def test_train_refuses_one_setting_in_two_words(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(world, "train", "--method", "dep", "-k", "1", "--set", "train.k=2", out="two") == 2
    assert capfd.readouterr().err == "bench: -k 1 and --set train.k=2 are one setting; give one of them\n"


def test_what_is_no_checkpoint_is_named(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(world, "run", "--method", "soft", "--checkpoint", str(world.path)) == 2
    assert "is no checkpoint; name a folder" in capfd.readouterr().err


def changed(name: str, **values: Any) -> Callable[[Path], None]:
    """Changes values in one of the JSON files; None removes a key."""

    def apply(folder: Path) -> None:
        told = json.loads((folder / name).read_text()) | values
        (folder / name).write_text(json.dumps({key: value for key, value in told.items() if value is not None}))

    return apply


def cut(name: str, size: int) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:size])

    return apply


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (changed(MANIFEST, spec=None), "is no checkpoint of this version"),
        (changed(MANIFEST, spec=[1]), "is no checkpoint of this version"),
        (cut(MANIFEST, 9), f"{MANIFEST} is damaged"),
        (cut("training.json", 40), "training.json is damaged"),
        (changed("training.json", space=None), "training.json, space: Field required"),
        (changed("training.json", space={"hidden_size": 64}), "training.json, space.vector_size: Field required"),
        (changed("training.json", epochs="two"), "training.json, epochs = 'two': Input should be a valid"),
        (
            changed("training.json", space={"vector_size": 64, "hidden_size": 63}),
            "tensors do not fit the method",
        ),
        (cut("epoch-2.safetensors", 100), "epoch-2.safetensors cannot be read"),
        (cut("epoch-1.safetensors", 0), "epoch-1.safetensors cannot be read"),
        (lambda folder: (folder / "epoch-2.safetensors").unlink(), "epoch-2.safetensors cannot be read"),
    ],
)
def test_a_damaged_checkpoint_is_named_before_an_engine_starts(
    world: World,
    trained: Path,
    plan: Plan,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    says: str,
) -> None:
    folder = tmp_path / "checkpoints" / "soft"
    shutil.copytree(found(trained)["soft"].path, folder)
    spoil(folder)
    capfd.readouterr()
    assert call(world, "run", "--method", "soft", "--checkpoint", str(folder), out="damaged") == 2
    err = capfd.readouterr().err
    (line,) = [line for line in err.splitlines() if line.startswith("bench: ")]
    assert says in line and "Traceback" not in err
    assert plan.started == 0
    assert bench("ls", "checkpoints", "--out", tmp_path) == 0  # one damaged does not hide the others
    assert "soft" in capfd.readouterr().out


def test_checkpoints_are_listed(world: World, trained: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("ls", "checkpoints", "--out", trained) == 0
    out = capfd.readouterr().out
    for one in checkpoints.find(trained):
        assert one.path.name in out
    assert "parameters" in out and "METEOR" in out


def test_a_method_without_training_is_not_trained(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(world, "train", "--method", "rag") == 2
    assert "method 'rag' has nothing to train" in capfd.readouterr().err


def test_a_training_that_fails_says_why_and_is_named(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(world, "run", "--method", "soft", "--set", "input_budget=3", out="tight") == 1
    said = capfd.readouterr().err
    assert "no training sample fits the input budget" in said
    assert "was not trained" in said
    assert "Traceback" not in said


def planned(out: str) -> tuple[int, int, int]:
    """(samples left, requests, those that are stored) of a dry run, as it prints them."""
    rows = [line.split("  ") for line in out.splitlines() if " of " in line and "review" in line]
    cells = [[word for word in row if word.strip()] for row in rows]
    left = sum(int(row[2].split()[0]) for row in cells)
    return left, sum(int(row[4]) for row in cells), sum(int(row[5]) for row in cells)


def test_a_dry_run_of_trained_methods_counts_what_the_run_then_asks(
    world: World, plan: Plan, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two epochs are validated on 7 samples before the 7 test samples are written."""
    words = ("run", "--method", "soft,dep", "--metric", "bleu")
    assert call(world, *words, "--dry-run", out="dry") == 0
    said = capfd.readouterr().out
    assert planned(said) == (42, 42, 0)
    assert said.count(": trained first, 2 x 7 samples, at most 6 steps") == 2
    assert "texts are not embedded yet" in said
    assert checkpoints.find(world.path / "dry") == [] and plan.requests == []
    assert call(world, *words, out="dry") == 0
    assert len(plan.requests) == 42


def test_a_dry_run_knows_the_stored_answers_of_trained_methods(
    world: World, copy: Path, plan: Plan, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ("run", "--method", "soft,dep", "--metric", "bleu")
    assert call(world, *words, "--dry-run", out=str(copy)) == 0
    assert planned(capfd.readouterr().out) == (14, 14, 0)  # trained and validated before
    assert call(world, *words, out=str(copy)) == 0
    assert len(plan.requests) == 14
    for folder in runs.find(copy):
        (folder.path / runs.SUMMARY).unlink()
        folder.write_rows(runs.SAMPLES, list(folder.rows(runs.SAMPLES))[:2])
    capfd.readouterr()
    assert call(world, *words, "--dry-run", out=str(copy)) == 0
    assert planned(capfd.readouterr().out) == (10, 10, 10)


def workers(folder: Path) -> list[int]:
    """The processes that train below this folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = file.read_bytes().decode(errors="replace")
            if "bench.train.worker" in words and str(folder) in words:
                found.append(int(file.parent.name))
    return found


def until(condition: Callable[[], object], seconds: float = 120) -> bool:
    end = time.monotonic() + seconds
    while not (met := bool(condition())) and time.monotonic() < end:
        time.sleep(0.02)
    return met


def test_a_killed_trainer_is_one_line_and_the_same_command_goes_on(world: World) -> None:
    out = world.path / "trainer"
    words = ["run", "--method", "soft", "--data", world.path / "data", "--profile", world.profile]
    words += ["--generator", "echo", "--out", out, "--set", "train.epochs=40", "--metric", "bleu"]
    command = [sys.executable, "-c", "from bench.cli import main; main()", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert until(lambda: list(out.glob("checkpoints/*/resume.safetensors")))
    for worker in workers(out):
        os.kill(worker, signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.splitlines()[-1].endswith("its process ended with -9; run the same command again to continue")
    assert "Traceback" not in err
    (checkpoint,) = checkpoints.find(out)
    assert 0 < len(list(checkpoint.folder.rows("steps.jsonl"))) < 120
    assert bench(*words) == 0
    assert [row["step"] for row in checkpoint.folder.rows("steps.jsonl")] == list(range(1, 121))


def test_ctrl_c_saves_the_training_and_the_same_command_goes_on(world: World) -> None:
    out = world.path / "stopped"
    words = ["run", "--method", "soft", "--data", world.path / "data", "--profile", world.profile]
    words += ["--generator", "echo", "--out", out, "--set", "train.epochs=40", "--metric", "bleu"]
    words += ["--set", "train.batch=1"]  # so that an epoch has steps between its saves
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command = [sys.executable, "-c", code + "from bench.cli import main; main()", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert until(lambda: list(out.glob("checkpoints/*/resume.safetensors")))
    began = time.monotonic()
    process.send_signal(signal.SIGINT)  # to the command alone, which tells its training
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 5
    assert process.returncode == 130
    assert err.splitlines()[-2:] == ["stopping ...", "bench: stopped; the same command goes on where it was"]
    assert "Traceback" not in err and not workers(out)
    (checkpoint,) = checkpoints.find(out)
    done = len(list(checkpoint.folder.rows("steps.jsonl")))
    assert 0 < done < 280
    assert int(checkpoint.read_tensors("resume.safetensors")[1]["step"]) == done
    assert bench(*words) == 0
    assert [row["step"] for row in checkpoint.folder.rows("steps.jsonl")] == list(range(1, 281))


@pytest.mark.parametrize("name", ["manifest.json", "training.json", "selection-*.json", "epoch-{}.safetensors"])
def test_a_truncated_checkpoint_is_named(
    name: str, world: World, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for part in ("checkpoints", ".store"):  # and no finished run, which would need no checkpoint any more
        shutil.copytree(trained / part, out / part)
    checkpoint = found(out)["soft"]
    (file,) = checkpoint.path.glob(name.format(selection(checkpoint)["epoch"]))
    whole = file.read_bytes()
    for share in (0.0, 0.4, 0.98):
        file.write_bytes(whole[: int(share * len(whole))])
        assert call(world, "run", "--method", "soft", "--metric", "bleu", out=str(out)) == 2
        err = capfd.readouterr().err
        assert "Traceback" not in err
        assert str(file) in err.splitlines()[-1]
    file.write_bytes(whole)
    assert call(world, "run", "--method", "soft", "--metric", "bleu", out=str(out)) == 0


def test_a_killed_command_leaves_no_trainer_and_goes_on(world: World) -> None:
    out = world.path / "killed"
    words = ["train", "--method", "soft", "--data", world.path / "data", "--profile", world.profile]
    words += ["--generator", "echo", "--out", out, "--set", "train.epochs=40"]
    code = "from bench.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert until(lambda: list(out.glob("checkpoints/*/resume.safetensors")))
    process.kill()
    process.wait()
    assert until(lambda: not workers(out), 20)
    (checkpoint,) = checkpoints.find(out)
    assert not checkpoint.trained
    assert bench(*words) == 0
    assert [row["step"] for row in checkpoint.folder.rows("steps.jsonl")] == list(range(1, 121))
